import { once } from "node:events";
import { describeCause, errorPolicies, HoldfastError, readErrno } from "../../base/errors.ts";
import { chooseEntries, type Extraction } from "../../operations/extract/choose-entries.ts";
import { lockBackup } from "../../operations/extract/find-backup.ts";
import { writeExtractedDirectory, writeExtractedFile, type Written } from "../../operations/extract/write-extraction.ts";
import { listDoubts } from "../../operations/list-doubts.ts";
import { openScratch } from "../../operations/offline/open-restore-work.ts";
import { openAddressed, openDestination } from "../../operations/verify.ts";
import type { VerbContext } from "../verb.ts";
import { listMember, listMembers } from "./list-contents.ts";
import { chooseGiven, loadExtractSettings, type GivenWords } from "./open-backup.ts";

export interface ExtractOptions {
  readonly output?: string;
  readonly force?: boolean;
  readonly job?: string;
  readonly destination?: string;
  readonly offline?: string;
}

/** Lists what a backup holds, or gives a part of it. Nothing is overwritten unless that was said, so a doubtful backup is only told. */
export async function extract(given: GivenWords, options: ExtractOptions, context: VerbContext): Promise<number> {
  if (options.output !== "-") return await extractTold(given, options, context);
  try {
    return await extractTold(given, options, context);
  } catch (error) {
    // Standard output is the data's, even with --json.
    const failure =
      error instanceof HoldfastError ? error : new HoldfastError("internal", `Bug: ${describeCause(error)}`, { cause: error });
    const told = context.signal.aborted && !(error instanceof HoldfastError) ? new HoldfastError("cancelled", "Interrupted") : failure;
    context.terminal.tell(`error: ${told.message}`);
    if (told.hint !== undefined) context.terminal.tell(`hint: ${told.hint}`);
    return errorPolicies[told.code].exit;
  }
}

async function extractTold(given: GivenWords, options: ExtractOptions, context: VerbContext): Promise<number> {
  const { terminal, signal } = context;
  const { output } = options;
  if (output === "-" && process.stdout.isTTY) {
    throw new HoldfastError("usage", "Data is not written to a terminal", {
      hint: "Say -o FILE, or pipe it: `holdfast extract … -o - | less`.",
    });
  }
  const settings = await loadExtractSettings(context);
  await using scratch = await openScratch(settings);
  const chosen = await chooseGiven(given, options, scratch.path, context);
  using _lock = await lockBackup(settings, chosen.keys, (line) => terminal.tell(line), signal);
  await using destination = await openDestination(chosen.address.destination);
  const reader = await openAddressed(destination, chosen.address, signal);
  const doubts = listDoubts(chosen.backup);
  if (doubts.length > 0) terminal.tell(`warning: the backup ${chosen.backup.name} is ${doubts.join(" and ")}`);
  if (output !== undefined && chosen.member === undefined) {
    if (reader.manifest.members.length !== 1)
      throw new HoldfastError("usage", "A part of a backup needs a member", {
        hint: `It has: ${reader.manifest.members.map(({ datastore }) => datastore).join(", ")}.`,
      });
  }
  const member =
    chosen.member === undefined && output === undefined
      ? undefined
      : reader.findMember(chosen.member ?? reader.manifest.members[0]?.datastore ?? "");
  try {
    if (member === undefined) listMembers(reader, chosen.backup, terminal);
    else if (output === undefined) {
      if (chosen.path !== undefined)
        throw new HoldfastError("usage", "Where should it go?", { hint: "Say -o FILE, -o DIRECTORY/ or -o - (standard output)." });
      await listMember(reader, member, terminal, signal);
    } else {
      const extraction = await chooseEntries(reader, member, chosen.path, signal);
      const written = await write(extraction, output, options, context);
      // Whoever goes away early has not got all of it, so that is no success; nothing is said, because nobody asked.
      if (written === "unread") return 1;
      if (written !== undefined) {
        const { name, id } = chosen.backup;
        if (terminal.json === "json")
          terminal.printJson({
            backup: { id, name },
            member: member.datastore,
            path: chosen.path ?? null,
            output: written.path,
            bytes: written.bytes,
          });
        else terminal.tell(`extracted and compared: ${written.path}`);
      }
    }
  } catch (error) {
    throw explainMissing(error, reader.manifest.name);
  }
  return 0;
}

async function write(
  extraction: Extraction,
  output: string,
  { force }: ExtractOptions,
  { signal }: VerbContext,
): Promise<Written | "unread" | undefined> {
  const { content, tar, unpacked, extent, summary } = extraction;
  if (output.endsWith("/")) return await writeExtractedDirectory(output, unpacked, signal);
  const isTar = output === "-" || output.endsWith(".tar");
  const body = content !== undefined && (extent === "name" || !isTar) ? content : isTar ? tar : undefined;
  if (body === undefined) {
    throw new HoldfastError("usage", `That is ${summary}, which is no one file`, {
      hint: `Say -o ${output}/ for a directory, -o ${output}.tar for a plain tar, or the path of one file in it.`,
    });
  }
  if (output !== "-") return await writeExtractedFile(output, body, force === true ? "replace" : "refuse", signal);
  return (await print(body, signal)) === "whole" ? undefined : "unread";
}

/** To standard output. @throws what keeps it from being written, but for a reader that has gone */
async function print(body: Extraction["tar"], signal: AbortSignal): Promise<"whole" | "unread"> {
  const { stdout } = process;
  const ended = new AbortController();
  stdout.once("error", (error) => ended.abort(error));
  try {
    const either = AbortSignal.any([signal, ended.signal]);
    for await (const chunk of body(either)) if (!stdout.write(chunk)) await once(stdout, "drain", { signal: either });
    await new Promise<void>((resolve, reject) => {
      stdout.write("", (error) => (error === null || error === undefined ? resolve() : reject(error)));
    });
    return "whole";
  } catch (error) {
    const failure: unknown = ended.signal.aborted ? ended.signal.reason : error;
    if (readErrno(failure) === "EPIPE") return "unread";
    if (!ended.signal.aborted) throw error;
    throw new HoldfastError(
      readErrno(failure) === "ENOSPC" ? "no-space" : "disk-failed",
      `Cannot write the data: ${describeCause(failure)}`,
      {
        cause: failure,
      },
    );
  }
}

/** An object that the manifest names and the destination does not have is damage, not a wrong name. */
function explainMissing(error: unknown, name: string): unknown {
  if (!(error instanceof HoldfastError) || error.code !== "backup-not-found") return error;
  return new HoldfastError("backup-incomplete", `A part of ${name} is missing: ${error.message}`, {
    cause: error,
    hint: "Use another backup, or bring the part back from a copy.",
  });
}
