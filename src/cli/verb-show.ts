import { HoldfastError } from "../base/errors.ts";
import { describeGroup, describeSnapshot } from "../archive/describe-snapshot.ts";
import type { Manifest, ManifestMember } from "../archive/manifest.ts";
import { describeBytes } from "../base/describe-amount.ts";
import { describeDuration } from "../base/parse-duration.ts";
import type { CatalogBackup } from "../catalog/contract.ts";
import { listDoubts } from "../operations/list-doubts.ts";
import { listStates } from "./describe-backup.ts";
import { describeAgo } from "./describe-status.ts";
import { paintState } from "./finish-asked.ts";
import { backupForms, createBackupPath, pickScope, type ScopeOptions } from "./pick-scope.ts";
import type { Terminal } from "./terminal.ts";
import type { Verb, VerbContext } from "./verb.ts";

interface Options extends ScopeOptions {
  readonly info?: boolean;
  readonly manifest?: boolean;
  readonly restoreText?: boolean;
  readonly offline?: string;
}

interface Shown {
  readonly backup: CatalogBackup;
  readonly manifest: Manifest;
}

export const showVerb: Verb = {
  name: "show",
  help: {
    exits: { 4: "no such backup, or it holds no such text", 6: "its manifest cannot be read" },
    json: "{backup, manifest}: the backup as list prints it and the manifest as docs/FORMAT.md describes it; with --info or --restore-text {text}; with --manifest the manifest alone",
    examples: [
      "holdfast show latest --job nightly",
      "holdfast show duck_backup_20260101_030000.tar.gz --info",
      "holdfast show --offline /mnt/rescued/duck_backup_20260101_030000.tar.gz",
    ],
  },
  define(command, run) {
    command
      .description("What a backup holds: datastores, contents, sizes, notes, marks")
      .argument("[backup]", `${backupForms}, or \`latest\` (default: latest)`)
      .option("--job <job>", "of this job")
      .option("--destination <name>", "the copy at this destination")
      .option("--info", "print its backup_info.txt")
      .option("--restore-text", "print its RESTORE.txt: how to restore it without Holdfast")
      .option("--manifest", "print its manifest as JSON")
      .option("--offline <path>", "from this backup or directory, with no daemon, catalog or config")
      .action((backup: string | undefined, options: Options) => run((context) => show(backup, options, context)));
  },
};

async function show(backup: string | undefined, options: Options, context: VerbContext): Promise<number> {
  const { connect, terminal, signal } = context;
  const text = chooseText(options);
  if (options.offline !== undefined) {
    const { showOffline } = await import("./offline/show-offline.ts");
    return await showOffline(context, {
      path: options.offline,
      ...(backup === undefined ? {} : { backup }),
      ...(options.job === undefined ? {} : { job: options.job }),
      ...(text === undefined ? {} : { text }),
    });
  }
  const client = await connect();
  const name = backup ?? "latest";
  const query = { ...pickScope(options) };
  if (text !== undefined) {
    const answer = await client.send<{ readonly text: string }>(
      { method: "GET", path: createBackupPath(name, `/texts/${encodeURIComponent(text)}`, query) },
      signal,
    );
    if (terminal.json === "json") terminal.printJson(answer);
    else terminal.print(answer.text.trimEnd());
    return 0;
  }
  const shown = await client.send<Shown>({ method: "GET", path: createBackupPath(name, "", query) }, signal);
  if (options.manifest === true) terminal.printJson(shown.manifest);
  else if (terminal.json === "json") terminal.printJson(shown);
  else for (const line of describeShown(shown, terminal)) terminal.print(line);
  return 0;
}

function chooseText({ info, restoreText, manifest }: Options): string | undefined {
  if ([info, restoreText, manifest].filter((given) => given === true).length > 1)
    throw new HoldfastError("usage", "--info, --restore-text and --manifest exclude each other", { hint: "Say one of them." });
  return info === true ? "backup_info.txt" : restoreText === true ? "RESTORE.txt" : undefined;
}

/** A backup and its manifest, for people. */
export function describeShown({ backup, manifest }: Shown, terminal: Terminal): readonly string[] {
  const { colors } = terminal;
  const line = (name: string, text: string): string => `  ${name.padEnd(10)} ${text}`;
  const states = listStates(backup).map((state) => paintState(terminal, state));
  const instant = (ms: number | null): string => (ms === null ? "never" : describeAgo(new Date(ms).toISOString()));
  const took = backup.drillMs === null ? "" : `; it took ${describeDuration(backup.drillMs)}`;
  return [
    `${colors.bold(backup.name)}  ${states.join(", ")}`,
    line("id", backup.id),
    line("job", `${backup.job}, number ${backup.sequence}${backup.class === "backup" ? "" : ", saved before a restore"}`),
    line("at", `${backup.destination}${backup.folder === "" || backup.folder === "." ? "" : `, in ${backup.folder}`}`),
    line("made", `${manifest.createdAt} (${describeAgo(manifest.createdAt)}) on ${manifest.host}, trigger: ${manifest.trigger}`),
    line("size", `${describeBytes(backup.storedBytes)} stored, ${describeBytes(backup.plainBytes)} plain, as ${manifest.layout}`),
    ...(backup.note === null ? [] : [line("note", backup.note)]),
    line("verified", instant(backup.verifiedAtMs)),
    line("drilled", `${instant(backup.drilledAtMs)}${took}`),
    ...(manifest.group === undefined ? [] : [line("group", describeGroup(manifest.group))]),
    ...(backup.pinned === null ? [] : [line("pinned", backup.pinned === "" ? "yes" : backup.pinned)]),
    ...backup.suspect.map((reason) => line("suspect", `${reason}${backup.accepted === null ? "" : " (accepted)"}`)),
    ...(backup.damaged === null ? [] : [line("damaged", colors.red(backup.damaged))]),
    line("restore", `holdfast restore ${backup.name}${listDoubts(backup).length === 0 ? "" : " --accept-doubtful"}`),
    ...manifest.members.flatMap((member) => ["", ...describeMember(member, terminal)]),
  ];
}

function describeMember(member: ManifestMember, { colors }: Terminal): readonly string[] {
  const { datastore, kind, status, entries, contents, notes } = member;
  const bytes = entries.reduce((sum, { plain }) => sum + plain.bytes, 0);
  const copied = describeSnapshot(member);
  const counts = Object.entries(contents.counts).toSorted(([one], [other]) => one.localeCompare(other));
  return [
    `  ${colors.bold(datastore)} (${kind})${status === "ok" ? "" : `  ${status}`}  ${describeBytes(bytes)}`,
    ...entries.map(({ object, plain, stored }) => `    ${object}  ${describeBytes(plain.bytes)}, ${describeBytes(stored.bytes)} stored`),
    ...(counts.length === 0 ? [] : [`    ${counts.map(([name, count]) => `${name.replace(/^rows\./, "rows of ")}: ${count}`).join(", ")}`]),
    ...(copied === undefined ? [] : [`    ${copied}`]),
    ...notes.map(({ level, message }) => `    ${level}: ${message}`),
  ];
}
