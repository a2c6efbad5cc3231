import { describeAge } from "../../base/describe-amount.ts";
import { findDestination } from "../../operations/find-config.ts";
import { collectConfig, type CollectedConfig } from "../../operations/offline/collect-config.ts";
import { openScratch } from "../../operations/offline/open-restore-work.ts";
import { openView } from "../../operations/offline/open-view.ts";
import type { NeededValue } from "../../operations/offline/rewrite-config.ts";
import type { VerbContext } from "../verb.ts";
import { loadOfflineConfig, type OfflineConfig } from "./offline-config.ts";

/** Prints the config that the newest backups carry. Needs no daemon, marker or config. */
export async function printDestinationConfig(given: string, job: string | undefined, context: VerbContext): Promise<number> {
  const { terminal, signal } = context;
  const known = await loadOfflineConfig(context);
  await using scratch = await openScratch(known.settings);
  const path = findPath(given, known);
  const view = await openView(
    { path, host: known.settings.hostname, scratchDir: scratch.path, ...(job === undefined ? {} : { job }) },
    signal,
  );
  const collected = await collectConfig(view, signal);
  if (terminal.json === "json") {
    terminal.printJson(collected);
    return 0;
  }
  const { stringify } = await import("yaml");
  for (const line of describeHead(collected, path)) terminal.print(line === "" ? "#" : `# ${line}`);
  terminal.print("");
  terminal.print(stringify(collected.config, { lineWidth: 0, indentSeq: false, aliasDuplicateObjects: false }).trimEnd());
  for (const line of collected.conflicts) terminal.tell(`warning: ${line}`);
  for (const { name, reason } of collected.passedOver) terminal.tell(`warning: passed over ${name}: ${reason}`);
  return 0;
}

/** A name has no slash; without a config, or one that knows the name, it is a path. */
function findPath(given: string, { config }: OfflineConfig): string {
  if (given.includes("/") || config === undefined) return given;
  const { options } = findDestination(config, given);
  return typeof options === "object" && options !== null && "path" in options ? String(options.path) : given;
}

function describeHead({ sources, needed, conflicts, passedOver }: CollectedConfig, path: string): readonly string[] {
  const list = (title: string, lines: readonly string[]): readonly string[] =>
    lines.length === 0 ? [] : ["", title, ...lines.map((line) => `  ${oneLine(line)}`)];
  return [
    `The config that the backups at ${oneLine(path)} carry. Look through it before you use it:`,
    "paths and addresses are those of the machine that made the backups. `holdfast check` tests it.",
    ...list(
      "Taken from:",
      sources.map(
        ({ job, backup, host, createdAt, form }) =>
          `job ${job}: ${backup}, made ${createdAt} (${describeAge(Date.now() - Date.parse(createdAt))} ago)${host === null ? "" : ` on ${host}`}` +
          (form === "complete" ? "" : "; by an older version, so every default is written out and `notify` is not known"),
      ),
    ),
    ...list("Secrets and other values that are NOT in the backups. Put them there first:", needed.map(describeNeeded)),
    ...list("The backups do not agree:", conflicts),
    ...list(
      "Passed over:",
      passedOver.map(({ name, reason }) => `${name}: ${reason}`),
    ),
  ];
}

function describeNeeded({ key, kind, at, was, default: fallback }: NeededValue): string {
  const stood = was === "config" ? "; it stood in the config itself" : "";
  switch (kind) {
    case "file":
      return `${key}: in the file ${at} (mode 0600)${stood}`;
    case "credential":
      return `${key}: as the systemd credential ${at} (LoadCredential=)`;
    case "env":
      return `${key}: in the environment variable ${at}${fallback === undefined ? stood : `; ${JSON.stringify(fallback)} where it is not set`}`;
    case "text":
      return `${key}: a part of it stands as *** and is to be written again`;
  }
}

/** A comment must not end early: names and reasons come from the backups. */
const oneLine = (text: string): string => text.replaceAll(/[\p{Cc}\u2028\u2029]+/gu, " ");
