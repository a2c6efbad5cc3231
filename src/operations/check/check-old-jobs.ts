import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Config } from "../../config/config.ts";
import { type Finding, warn } from "./finding.ts";
import { listSourcePaths } from "./local-places.ts";

const files = ["etc/crontab"] as const;
const folders = [
  "etc/cron.d",
  "etc/cron.hourly",
  "etc/cron.daily",
  "etc/cron.weekly",
  "etc/cron.monthly",
  "var/spool/cron/crontabs",
  "etc/systemd/system",
] as const;
/** Distribution's own, that happen to have the word in them. */
const known = /^(dpkg|apt-compat|dpkg-db-backup|e2scrub_all|holdfast.*)$/;
const words = /\bsqlite3\b.*\.(backup|dump)\b|\bpg_dump|\bmysqldump\b|\bredis-cli\b.*--rdb|\b(restic|borg|rsnapshot|duplicity)\b|backup/i;

/**
 * Finds cron jobs and timers that seem to do what Holdfast now does: two programs on one datastore, and a retention that deletes in
 * directories that it does not own.
 * @param root `/`, or where a machine's files are looked at from
 */
export async function checkOldJobs(config: Config, root: string): Promise<readonly Finding[]> {
  const paths = [...config.datastores.values()].flatMap((datastore) => listSourcePaths(datastore));
  const names = paths.map((path) => basename(path)).filter((name) => name.includes(".") && name.length > 3);
  const findings: Finding[] = [];
  for (const path of await listFiles(root)) {
    const text = await readFile(join(root, path), "utf8").catch(() => ""); // binary, a link to nowhere, not ours to read
    for (const [index, line] of text.split("\n").entries()) {
      if (/^\s*(#|$)/.test(line) || /^\s*(Description|Documentation)=/.test(line)) continue;
      const source = paths.find((each) => each.length > 1 && line.includes(each)) ?? names.find((name) => line.includes(name));
      if (source === undefined && !words.test(line)) continue;
      const why = source === undefined ? "looks like a backup" : `names ${source}`;
      findings.push(
        warn(
          "old job",
          `/${path}:${index + 1} ${why}: ${shorten(line)}`,
          "Remove it once Holdfast does its work, or let it take the same lock.",
        ),
      );
    }
  }
  return findings;
}

async function listFiles(root: string): Promise<readonly string[]> {
  const found: string[] = [...files];
  for (const folder of folders) {
    const entries = await readdir(join(root, folder), { withFileTypes: true }).catch(() => []); // not there, or not ours to read
    for (const entry of entries) {
      if (!entry.isFile() && !entry.isSymbolicLink()) continue;
      if (known.test(entry.name) || (folder.endsWith("system") && !/\.(service|timer)$/.test(entry.name))) continue;
      found.push(join(folder, entry.name));
    }
  }
  return found;
}

function shorten(line: string): string {
  // Passwords in crontabs are common.
  const masked = line.trim().replaceAll(/(pass(?:word|wd)?|token|secret|key)(=|\s+)\S+/gi, "$1$2***");
  return masked.length > 100 ? `${masked.slice(0, 99)}…` : masked;
}
