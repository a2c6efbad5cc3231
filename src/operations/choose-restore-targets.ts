import { findClosest } from "../base/closest-name.ts";
import { HoldfastError } from "../base/errors.ts";
import type { Catalog, CatalogBackup } from "../catalog/contract.ts";
import type { Config, DatastoreConfig, JobConfig } from "../config/config.ts";
import { findDatastoreDriver } from "../datastores/registry.ts";
import { findDatastore, findJob } from "./find-config.ts";

/** `{member: target}`: a datastore of the config, or `database:NAME` for a new database on the member's own server. */
export type RestoreTo = Readonly<Record<string, string>>;

const databasePrefix = "database:";

interface Held {
  readonly datastore: string;
  readonly kind: string;
  readonly status?: "ok" | "partial" | "absent" | "failed";
}

/** Where a member goes. */
export interface ChosenTarget<Member extends Held = Held> {
  readonly member: Member;
  /** The datastore of the config that is restored into, or whose server gets the new database. */
  readonly datastore: string;
  readonly options: unknown;
  /** A new database, which must not be there yet. */
  readonly database: string | undefined;
}

/**
 * What `--to` says, as `MEMBER=TARGET`, or as the target alone where one member is restored.
 * @throws usage
 */
export function parseRestoreTo(texts: readonly string[], members: readonly Held[]): RestoreTo {
  const to = new Map<string, string>();
  for (const text of texts) {
    const at = text.startsWith(databasePrefix) ? -1 : text.indexOf("=");
    const member = at === -1 ? findOnly(text, members) : text.slice(0, at);
    if (to.has(member)) throw new HoldfastError("usage", `--to names two targets for "${member}"`);
    to.set(member, text.slice(at + 1));
  }
  return Object.fromEntries(to);
}

function findOnly(text: string, members: readonly Held[]): string {
  const [first, ...others] = members;
  if (first !== undefined && others.length === 0) return first.datastore;
  throw new HoldfastError(
    "usage",
    `--to ${text} does not say which of ${members.map(({ datastore }) => datastore).join(", ")} goes there`,
    {
      hint: `Say one with --only, or each: ${members.map(({ datastore }) => `--to ${datastore}=TARGET`).join(" ")}.`,
    },
  );
}

/**
 * The members that a restore elsewhere takes: those that have a target. One that was asked for and has none is not left out in silence.
 * @throws usage
 */
export function listMoved(to: RestoreTo, wanted: readonly string[] | undefined): readonly string[] {
  const moved = Object.keys(to);
  const [without] = (wanted ?? []).filter((name) => !moved.includes(name));
  if (without !== undefined) {
    throw new HoldfastError("usage", `"${without}" is to be restored, and --to names no target for it`, {
      hint: `Say --to ${without}=${without} when it goes back to where it came from, or leave it out of --only.`,
    });
  }
  const beyond = wanted === undefined ? undefined : moved.find((name) => !wanted.includes(name));
  if (beyond === undefined) return moved;
  throw new HoldfastError("usage", `--to names a target for "${beyond}", which --only leaves out`);
}

/**
 * The target of each member by the config of this moment.
 * @throws unknown-name, usage naming the datastores that could be meant
 */
export function chooseRestoreTargets<Member extends Held>(
  config: Config,
  members: readonly Member[],
  to: RestoreTo | undefined,
): readonly ChosenTarget<Member>[] {
  const chosen = members.map((member) => chooseTarget(config, member, to?.[member.datastore]));
  for (const { datastore, database, member } of chosen) {
    // Also a new database beside it: both would be recorded under one name.
    const other = chosen.find((each) => each.member !== member && each.datastore === datastore);
    if (other === undefined) continue;
    const what = database === undefined ? `"${datastore}"` : `The server of "${datastore}"`;
    throw new HoldfastError("usage", `${what} cannot take both "${member.datastore}" and "${other.member.datastore}" in one restore`);
  }
  return chosen;
}

function chooseTarget<Member extends Held>(config: Config, member: Member, to: string | undefined): ChosenTarget<Member> {
  if (to !== undefined && member.status === "absent") {
    throw new HoldfastError(
      "usage",
      `"${member.datastore}" was not there when the backup was made, so there is nothing to restore elsewhere`,
    );
  }
  if (to?.startsWith(databasePrefix) === true) return chooseDatabase(config, member, to.slice(databasePrefix.length));
  if (to === undefined) {
    const { options } = findDatastore(config, member.datastore);
    return { member, datastore: member.datastore, options, database: undefined };
  }
  const known = config.datastores.get(to);
  if (known?.kind === member.kind) return { member, datastore: to, options: known.options, database: undefined };
  throw createMismatch(config, member, to, known);
}

function createMismatch(config: Config, { datastore, kind }: Held, to: string, known: DatastoreConfig | undefined): HoldfastError {
  const candidates = [...config.datastores.values()].filter((each) => each.kind === kind).map(({ name }) => name);
  const closest = known === undefined ? findClosest(to, candidates) : undefined;
  const hint = `${closest === undefined ? "" : `Did you mean "${closest}"? `}${
    candidates.length === 0 ? `The config has no datastore of the kind ${kind}.` : `Of the kind ${kind}: ${candidates.join(", ")}.`
  } A directory has a slash in it: --to /PATH.`;
  if (known === undefined)
    return new HoldfastError("unknown-name", `There is no datastore "${to}" to restore "${datastore}" into`, { hint });
  return new HoldfastError("usage", `"${datastore}" is of the kind ${kind}, and "${to}" of the kind ${known.kind}`, { hint });
}

function chooseDatabase<Member extends Held>(config: Config, member: Member, name: string): ChosenTarget<Member> {
  const { retarget } = findDatastoreDriver(member.kind);
  if (retarget === undefined) {
    throw new HoldfastError("usage", `"${member.datastore}" is of the kind ${member.kind}, which has no databases of other names`, {
      hint: "Name another datastore of the config, or a directory: --to /PATH.",
    });
  }
  const { options } = findDatastore(config, member.datastore);
  const retargeted = retarget(options, { kind: "named", name });
  return { member, datastore: member.datastore, options: retargeted.options, database: retargeted.name };
}

export interface RestoreJob {
  /** Its settings are used: where what is there now is kept, and for how long. */
  readonly job: JobConfig;
  /** Whether its application is stopped and started, and its checks made. */
  readonly hooks: "job" | "none";
  /** Why none, for people; null when that needs no word. */
  readonly why: string | null;
}

/**
 * Whose application a restore concerns: the backup's own job where everything goes back to where it came from. Elsewhere it is the one job
 * that has all the targets, as where that job has left the config; where several have them, or none, nothing is stopped, since nobody can say what. The undo of such a restore
 * does the same.
 */
export function chooseRestoreJob(
  config: Config,
  catalog: Pick<Catalog, "restores">,
  backup: Pick<CatalogBackup, "id" | "job" | "class">,
  targets: readonly ChosenTarget[],
): RestoreJob {
  const own = config.jobs.get(backup.job);
  const isBack = targets.every(({ member, datastore, database }) => database === undefined && datastore === member.datastore);
  const undone =
    isBack && backup.class === "pre-restore" ? catalog.restores.list().find(({ preRestore }) => preRestore?.id === backup.id) : undefined;
  const stopped = undone?.hooks === "none" ? "the restore that is undone stopped nothing" : null;
  if (isBack && own !== undefined) return { job: own, hooks: undone?.hooks ?? "job", why: stopped };
  const replaced = targets.filter(({ database }) => database === undefined).map(({ datastore }) => datastore);
  const touched = replaced.length === 0 ? targets.map(({ datastore }) => datastore) : replaced;
  const owners = [...config.jobs.values()].filter(({ datastores }) => touched.every((name) => datastores.includes(name)));
  const [first] = owners;
  if (replaced.length === 0)
    return { job: own ?? first ?? findJob(config, backup.job), hooks: "none", why: "nothing that is there is touched" };
  // Also where the job that made the backup has left the config, or has another name: its data is not lost with it.
  if (first !== undefined && owners.length === 1) return { job: first, hooks: undone?.hooks ?? "job", why: stopped };
  const names = replaced.join(", ");
  const job = owners.find(({ name }) => name === backup.job) ?? first ?? findJob(config, backup.job);
  const whose = owners.length === 0 ? `no job has ${names}` : `${owners.length} jobs have ${names}`;
  return { job, hooks: "none", why: `${whose}, so no application is stopped: stop by hand what uses it` };
}
