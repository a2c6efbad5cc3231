import { backupForms } from "./pick-scope.ts";
import type { Verb } from "./verb.ts";
import type { ExtractOptions } from "./extract/extract.ts";

export const extractVerb: Verb = {
  name: "extract",
  help: {
    exits: {
      0: "all of it was written, and its hashes agree",
      1: "failed, or whoever read standard output went away early",
      4: "no such backup, member or path",
      5: "the backup is being removed or written to, or it was interrupted",
      6: "damaged: a file was not made; what went to standard output must not be used",
      7: "refused: something has that name, see --force",
    },
    daemon: "none",
    json: "without a member {backup: {id, name, job, destination}, members: [{datastore, kind, status, entries: [{name, form, bytes, storedBytes, sha256, sourcePath}]}]}; of a member {datastore, kind, status, entries, files: [{path, type, bytes, mode, uid, gid, mtimeNs, sha256, …}]}; with -o FILE {backup: {id, name}, member, path, output, bytes}; with -o - nothing",
    examples: [
      "holdfast extract latest                                  # what it holds",
      "holdfast extract latest uploads                          # what lies in the tree",
      "holdfast extract latest memory -o /tmp/memory.db",
      "holdfast extract latest uploads avatars/7.png -o 7.png",
      "holdfast extract latest uploads 'avatars/*.png' -o - | tar -tvf -",
      "holdfast extract latest uploads avatars -o /tmp/avatars/",
      "holdfast extract --offline /mnt/rescued/duck_backup_20260101_030000.tar.gz memory -o memory.db",
    ],
  },
  define(command, run) {
    command
      .description("Look into a backup, or take a member, a file or a glob out of it; needs no daemon and overwrites nothing")
      .argument("[backup]", `${backupForms}, or \`latest\` (default: latest); with --offline it may be left out`)
      .argument("[member]", "the datastore; without it the backup's contents are listed")
      .argument("[path]", "an entry, a path in a tree, or a glob; without it the member as it is")
      .option(
        "-o, --output <where>",
        "a file, DIRECTORY/ with a slash at its end, or - for standard output; without it the member is listed",
      )
      .option("--force", "replace the file")
      .option("--job <job>", "of this job")
      .option("--destination <name>", "the copy at this destination")
      .option("--offline <path>", "from this backup or directory, with no config")
      .action((backup: string | undefined, member: string | undefined, path: string | undefined, options: ExtractOptions) =>
        run(async (context) => (await import("./extract/extract.ts")).extract({ backup, member, path }, options, context)),
      );
  },
};
