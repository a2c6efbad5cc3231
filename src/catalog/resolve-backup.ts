import { formatInstant } from "../base/clock.ts";
import { findClosest } from "../base/closest-name.ts";
import { HoldfastError } from "../base/errors.ts";
import type { CatalogFile } from "./catalog-file.ts";
import type { BackupScope, CatalogBackup } from "./contract.ts";
import { createWhere } from "./create-where.ts";
import { isVerifiedGood, newestFirst } from "./good-backup.ts";

const shortestPrefix = 6;
/** A day at least, in any form that a template gives it. */
const timePattern = /^\d{4}-?\d\d-?\d\d([-_.:T\d]*\d)?Z?$/;

/** See Backups.resolve. @throws backup-not-found, ambiguous-name */
export function resolveBackup(file: CatalogFile, text: string, scope: BackupScope): CatalogBackup {
  if (text === "latest") return findLatest(file, scope);
  const path = text.replace(/\/+$/, "");
  const name = path.slice(path.lastIndexOf("/") + 1);
  const near = findNear(file, scope, name);
  const ways: readonly ((backup: CatalogBackup) => boolean)[] = [
    ({ id }) => id === text,
    (backup) => `/${path}`.endsWith(`/${joinPath(backup)}`) && path !== name,
    (backup) => backup.name === name,
    (backup) => backup.name.startsWith(`${name}.`),
    ({ id }) => text.length >= shortestPrefix && id.startsWith(text),
    (backup) => backup.class === "backup" && endsWithTime(backup.name, text),
    (backup) => endsWithTime(backup.name, text),
  ];
  for (const way of ways) {
    const found = near.filter(way);
    if (found.length > 0) return chooseOne(text, found);
  }
  throw new HoldfastError("backup-not-found", `There is no backup "${text}"${describeScope(scope)}`, {
    hint: describeHint(file, name, scope),
  });
}

function findLatest(file: CatalogFile, scope: BackupScope): CatalogBackup {
  const newest = findNewest(file, scope);
  const own = newest.filter(({ host }) => scope.host === undefined || host === undefined || host === scope.host);
  // On a new machine nothing is its own: what the one before has left is what it was set up for.
  const candidates = own.length > 0 ? own : newest;
  const jobs = [...new Set(candidates.map(({ job }) => job))].toSorted();
  if (jobs.length > 1) {
    throw new HoldfastError("ambiguous-name", `"latest" fits ${jobs.length} jobs: ${jobs.join(", ")}`, {
      hint: "Name the job.",
      details: { jobs },
    });
  }
  const hosts = candidates.flatMap(({ host }) => host ?? []).toSorted();
  if (hosts.length > 1) {
    throw new HoldfastError("ambiguous-name", `"latest" fits the backups of ${hosts.length} machines: ${hosts.join(", ")}`, {
      hint: "Use a name or an id; `show` says which machine made a backup.",
      details: { hosts },
    });
  }
  const [latest] = candidates;
  if (latest !== undefined) return latest;
  throw new HoldfastError("backup-not-found", `There is no good, verified backup${describeScope(scope)}`, {
    hint: "`holdfast list` shows all backups and what is wrong with them.",
  });
}

/** The newest that `latest` may mean of each job and machine, newest first. */
function findNewest(file: CatalogFile, scope: BackupScope): readonly CatalogBackup[] {
  const { where, values } = createScope(scope, isVerifiedGood);
  const place = `row_number() OVER (PARTITION BY job, record ->> 'host' ORDER BY ${newestFirst})`;
  const sql = `SELECT record FROM (SELECT *, ${place} AS place FROM backups ${where}) WHERE place = 1 ORDER BY ${newestFirst}`;
  return file.records(sql, ...values) as readonly CatalogBackup[];
}

/** `20260101_030000` means `duck_backup_20260101_030000.tar.gz`. */
function endsWithTime(name: string, text: string): boolean {
  const at = timePattern.test(text) ? name.indexOf(text) : -1;
  return at > 0 && "-_.".includes(name.charAt(at - 1)) && /^(\.|$)/.test(name.slice(at + text.length));
}

/** Every backup that the name could mean in any way. */
function findNear(file: CatalogFile, scope: BackupScope, name: string): readonly CatalogBackup[] {
  const exact =
    "id = wanted OR name = wanted OR substr(name, 1, length(wanted) + 1) = wanted || '.' OR substr(id, 1, length(wanted)) = wanted";
  const isNear = timePattern.test(name) ? `${exact} OR instr(name, wanted) > 0` : exact;
  const { where, values } = createScope(scope, isNear);
  const sql = `WITH given (wanted) AS (SELECT ?) SELECT record FROM given, backups ${where} ORDER BY ${newestFirst}`;
  return file.records(sql, name, ...values) as readonly CatalogBackup[];
}

function createScope({ job, destination }: BackupScope, condition: string): ReturnType<typeof createWhere> {
  const { where, values } = createWhere([
    ["job = ?", job],
    ["destination = ?", destination],
  ]);
  return { where: `${where === "" ? "WHERE" : `${where} AND`} (${condition})`, values };
}

/** Copies of one backup are no ambiguity: the first that is there and intact is taken. */
function chooseOne(text: string, found: readonly CatalogBackup[]): CatalogBackup {
  const [first] = found;
  const ids = new Set(found.map(({ id }) => id));
  if (first === undefined || ids.size > 1) {
    const candidates = found.map(({ id, name, job, destination, createdAtMs }) => ({
      id,
      name,
      job,
      destination,
      createdAt: formatInstant(createdAtMs),
    }));
    const lines = candidates.slice(0, 5).map(({ id, name, job, destination }) => `${id} (${name} of "${job}" in "${destination}")`);
    const more = candidates.length > lines.length ? ` and ${candidates.length - lines.length} more` : "";
    throw new HoldfastError("ambiguous-name", `"${text}" fits ${ids.size} backups: ${lines.join(", ")}${more}`, {
      hint: "Use the id.",
      details: { candidates },
    });
  }
  return (
    found.find(({ missingSinceMs, damaged }) => missingSinceMs === null && damaged === null) ??
    found.find(({ missingSinceMs }) => missingSinceMs === null) ??
    first
  );
}

function joinPath({ folder, name }: CatalogBackup): string {
  return folder === "" || folder === "." ? name : `${folder}/${name}`;
}

function describeScope({ job, destination }: BackupScope): string {
  return `${job === undefined ? "" : ` of job "${job}"`}${destination === undefined ? "" : ` in destination "${destination}"`}`;
}

function describeHint(file: CatalogFile, name: string, scope: BackupScope): string {
  const { where, values } = createScope(scope, "TRUE");
  const names = file.all(`SELECT DISTINCT name FROM backups ${where}`, ...values) as readonly { readonly name: string }[];
  // Without its suffix a name is nearer to what was typed without one.
  const candidates = names.flatMap((row) => [row.name, row.name.replace(/\..*$/, "")]);
  const closest = findClosest(name, candidates);
  return `${closest === undefined ? "" : `Did you mean "${closest}"? `}\`holdfast list\` shows all backups.`;
}
