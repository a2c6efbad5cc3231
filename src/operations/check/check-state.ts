import Database from "better-sqlite3";
import { existsSync } from "node:fs";
import { access, constants, readdir, readFile, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import { describeBytes } from "../../base/describe-amount.ts";
import { describeCause } from "../../base/errors.ts";
import type { Settings } from "../../config/config.ts";
import { withStateExplained } from "../explain-state-error.ts";
import { stateMarker } from "../open-state.ts";
import { offlineJournalDir, restoreJournalDir } from "../prepare-task.ts";
import { type Finding, fail, ok, warn } from "./finding.ts";

const fewBytes = 64 << 20;
const rebuildHint = "Stop the daemon, then `holdfast rebuild --offline` makes a new state from the destinations.";

/** Whether the daemon's own directory is well; reads only. */
export async function checkState(settings: Settings): Promise<readonly Finding[]> {
  const { stateDir } = settings;
  const what = `state directory ${stateDir}`;
  if (!existsSync(stateDir)) return [warn(what, "is not there: the daemon has not run yet", "systemctl start holdfast")];
  const findings: Finding[] = [];
  const { mode, uid } = await stat(stateDir);
  if ((mode & 0o022) !== 0) findings.push(fail(what, `others may write to it (mode ${formatMode(mode)})`, `chmod go-w ${stateDir}`));
  if (uid !== process.geteuid?.()) findings.push(warn(what, `it belongs to uid ${uid}, not to the one who asks`));
  await withStateExplained(stateDir, () => access(stateDir, constants.R_OK | constants.W_OK | constants.X_OK));
  const { bavail, bsize, files, ffree } = await statfs(stateDir);
  const freeBytes = bavail * bsize;
  if (freeBytes < fewBytes) findings.push(fail(what, `only ${describeBytes(freeBytes)} are free on its disk`, "Free some space."));
  else findings.push(ok(what, `${describeBytes(freeBytes)} free`));
  if (files > 0 && ffree < 1_000) findings.push(fail(what, `only ${ffree} inodes are free on its disk`));
  findings.push(...(await checkFiles(stateDir)), ...(await checkJournals(stateDir)));
  return findings;
}

async function checkFiles(stateDir: string): Promise<readonly Finding[]> {
  const isSetUp = existsSync(join(stateDir, stateMarker));
  const names = ["queue.db", "catalog.db"].filter((name) => isSetUp || existsSync(join(stateDir, name)));
  if (names.length === 0) return [warn(`state directory ${stateDir}`, "is empty: the daemon has not run yet")];
  const findings = names.map((name) => checkDatabase(join(stateDir, name)));
  const aside = (await readdir(stateDir)).filter((name) => name.startsWith("damaged-"));
  for (const name of aside)
    findings.push(warn("state", `${join(stateDir, name)} holds a damaged state from before a rebuild`, "Remove it when nobody needs it."));
  return findings;
}

/** A reader beside the daemon: it has the file open through SQLite itself, and no lock of anybody's is lost. */
function checkDatabase(path: string): Finding {
  const what = `state file ${path}`;
  if (!existsSync(path)) return fail(what, "is missing", rebuildHint);
  try {
    const database = new Database(path, { readonly: true, fileMustExist: true, timeout: 2_000 });
    try {
      const verdict = database.pragma("integrity_check(1)", { simple: true });
      return verdict === "ok" ? ok(what, "is whole") : fail(what, String(verdict), rebuildHint);
    } finally {
      database.close();
    }
  } catch (error) {
    return fail(what, describeCause(error), rebuildHint);
  }
}

async function checkJournals(stateDir: string): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const directory of [restoreJournalDir(stateDir), offlineJournalDir(stateDir)]) {
    const names = await readdir(directory).catch(() => []); // made by the first restore
    for (const name of names.filter((each) => each.endsWith(".restore.jsonl"))) {
      const last = readLastRecord(await readFile(join(directory, name), "utf8"));
      if (last === "end") continue;
      findings.push(
        warn(
          `restore ${name.replace(/\..*$/, "")}`,
          `has not ended (${join(directory, name)})`,
          "If none is going on: the next start of the daemon, or the next offline restore, ends it.",
        ),
      );
    }
  }
  return findings;
}

/** The type of a journal's last whole record. */
function readLastRecord(text: string): string | undefined {
  for (const line of text.split("\n").toReversed()) {
    try {
      const record: unknown = JSON.parse(line);
      if (typeof record === "object" && record !== null && "type" in record) return String(record.type);
    } catch {
      // blank, or torn by a crash
    }
  }
  return undefined;
}

const formatMode = (mode: number): string => (mode & 0o7777).toString(8).padStart(4, "0");
