import { mkdir, statfs } from "node:fs/promises";
import { join } from "node:path";
import type { BackupReader } from "../../archive/backup-reader.ts";
import type { ManifestMember } from "../../archive/manifest.ts";
import { makeDirectory, syncDirectory } from "../../base/atomic-file.ts";
import { compareContents } from "../../base/contents.ts";
import { describeBytes } from "../../base/describe-amount.ts";
import { describeCause, HoldfastError } from "../../base/errors.ts";
import type { SwapStep } from "../../datastores/contract.ts";
import { findDatastoreDriver } from "../../datastores/registry.ts";
import { describeDropped, restoreMemberInto } from "../restore-into.ts";
import type { Surroundings, TaskPorts } from "../setup.ts";
import { openStagingDirectory } from "../staging.ts";
import { openAddressed, openDestination, verifyBackup, type BackupAddress } from "../verify.ts";
import { describeAccess } from "./describe-access.ts";
import { removePlace } from "./remove-place.ts";
import { readScratch, removeScratchRecord, scratchDir, writeScratch, type ScratchMember } from "./scratch-record.ts";

export interface ScratchSetup extends Surroundings {
  readonly stateDir: string;
  readonly scratchId: string;
  readonly address: BackupAddress;
  readonly members: readonly ScratchTarget[];
  /** As of a restore into a directory. */
  readonly configured: Readonly<Record<string, unknown>>;
}

export interface ScratchTarget {
  readonly datastore: string;
  /** A database of its own on the datastore's server; where that cannot be, or without it, files. */
  readonly database?: { readonly options: unknown; readonly name: string; readonly access: string };
}

export interface ScratchResult {
  readonly name: string;
  readonly members: readonly ScratchMember[];
  readonly tookMs: number;
}

/** The disk that the state directory is on must not be filled by what is only looked into. */
const reservedBytes = 64 << 20;

/**
 * Restores a backup to be looked into, compared with the manifest like a drill. Each change is in the record before it is made; when this
 * throws, whoever asked for it has what is in the record removed.
 */
export async function runScratch(setup: ScratchSetup, ports: TaskPorts, signal: AbortSignal): Promise<ScratchResult> {
  const startedAtMs = ports.now();
  await using destination = await openDestination(setup.address.destination);
  const backup = await openAddressed(destination, setup.address, signal);
  const targets = setup.members.map((target) => ({ target, member: backup.findMember(target.datastore) }));
  await verifyBackup(
    backup,
    targets.map(({ member }) => member),
    setup.stagingDir,
    ports,
    signal,
  );
  const directory = scratchDir(setup.stateDir, setup.scratchId);
  await makeDirectory(directory, 0o700);
  const made: ScratchMember[] = [];
  const record = async (): Promise<void> => {
    const known = readScratch(setup.stateDir, setup.scratchId);
    if (known === undefined) throw new HoldfastError("conflict", `The scratch place ${setup.scratchId} was removed meanwhile`);
    await writeScratch(setup.stateDir, { ...known, members: made });
  };
  for (const { target, member } of targets) {
    if (member.entries.length === 0) continue;
    ports.progress({ phase: "restoring", datastore: member.datastore });
    const at = made.length;
    const keep = async (one: ScratchMember): Promise<void> => {
      made[at] = one;
      await record();
    };
    const inDatabase =
      target.database === undefined ? "files" : await tryDatabase(setup, backup, member, target.database, keep, ports, signal);
    if (typeof inDatabase === "object") continue;
    const notes = inDatabase === "files" ? [] : [inDatabase];
    await restoreFiles(setup, { backup, member, path: join(directory, member.datastore), notes }, keep, ports, signal);
  }
  await syncDirectory(directory);
  return { name: backup.manifest.name, members: made, tookMs: ports.now() - startedAtMs };
}

interface FilesTarget {
  readonly backup: BackupReader;
  readonly member: ManifestMember;
  readonly path: string;
  readonly notes: readonly string[];
}

async function restoreFiles(
  { stagingDir, configured }: ScratchSetup,
  { backup, member, path, notes }: FilesTarget,
  keep: (made: ScratchMember) => Promise<void>,
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<void> {
  const bytes = sumBytes(member);
  const one = (more: readonly string[], access: readonly string[]): ScratchMember => ({
    datastore: member.datastore,
    kind: member.kind,
    place: path,
    bytes,
    access: [...access],
    notes: [...notes, ...more],
    steps: [],
  });
  await keep(one([], []));
  await mkdir(path, { mode: 0o700 });
  const { bavail, bsize } = await statfs(path);
  if (bavail * bsize < bytes + reservedBytes) {
    throw new HoldfastError(
      "no-space",
      `The scratch place needs ${describeBytes(bytes)} in ${path}, and ${describeBytes(bavail * bsize)} are free`,
      {
        hint: "Restore to a directory on another disk: --to /DIRECTORY.",
      },
    );
  }
  await restoreMemberInto({ backup, member, path, stagingDir, configured }, ports, signal);
  await keep(one(describeDropped(member), describeAccess(member, path)));
}

/** @returns why it goes into files instead: nothing has been made then */
async function tryDatabase(
  setup: ScratchSetup,
  backup: BackupReader,
  member: ManifestMember,
  { options, name, access }: NonNullable<ScratchTarget["database"]>,
  keep: (made: ScratchMember) => Promise<void>,
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<ScratchMember | string> {
  const { datastore, kind } = member;
  await using staging = await openStagingDirectory(setup.stagingDir, `${datastore}-scratch`);
  const context = {
    name: datastore,
    stagingDir: staging.path,
    progress: (progress: { phase: string; bytes?: number }) => ports.progress({ ...progress, datastore }),
  };
  const steps: SwapStep[] = [];
  const one = (): ScratchMember => ({
    datastore,
    kind,
    place: `database ${name}`,
    bytes: sumBytes(member),
    access: [access],
    notes: [],
    steps: steps.map((each) => ({ ...each })),
  });
  const record = async (step: SwapStep): Promise<void> => {
    steps.push(step);
    await keep(one());
  };
  await using opened = await findDatastoreDriver(kind).configure(options).open(context);
  const looked = await look(() => opened.openRestore({ kind: "original" }, { absent: false, record }, signal), signal);
  if (looked.refused !== undefined) return looked.refused;
  await using session = looked.value;
  const facts = await look(() => session.inspect(signal), signal);
  if (facts.refused !== undefined) return facts.refused;
  if (facts.value.present) throw new HoldfastError("target-unsafe", `The database ${name} is there already`);
  requireSame(member, await session.stage(backup.readMember(member), signal));
  await session.swap(record, signal);
  requireSame(member, await session.summarize(signal));
  await keep(one());
  return one();
}

type Looked<Value> = { readonly refused: string } | { readonly refused: undefined; readonly value: Value };

/** A server that is away, or a role that may make no database: then the files do. Nothing has been changed by looking. */
async function look<Value>(act: () => Promise<Value>, signal: AbortSignal): Promise<Looked<Value>> {
  try {
    return { refused: undefined, value: await act() };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof HoldfastError) || error.code === "internal") throw error;
    return { refused: `as files: ${error.message}` };
  }
}

function requireSame(member: ManifestMember, found: ManifestMember["contents"]): void {
  const differences = compareContents(member.contents, found);
  if (differences.length === 0) return;
  const what = differences.slice(0, 5).join("; ");
  throw new HoldfastError("backup-damaged", `"${member.datastore}" was restored into the scratch place with other contents: ${what}`);
}

const sumBytes = ({ entries }: ManifestMember): number => entries.reduce((sum, { plain }) => sum + plain.bytes, 0);

export interface ScratchRemovalSetup extends Surroundings {
  readonly stateDir: string;
  readonly scratchId: string;
  /** Of the datastores as the config has them now; one that has left it has none. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** Removes what a record names, then the record. Idempotent. @throws restore-stuck where the config no longer knows the server */
export async function runScratchRemoval(
  setup: ScratchRemovalSetup,
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<{ readonly name: string }> {
  const { stateDir, scratchId } = setup;
  const record = readScratch(stateDir, scratchId);
  if (record === undefined) return { name: "" };
  await writeScratch(stateDir, { ...record, state: "removing" });
  for (const { datastore, kind, steps } of record.members.toReversed()) {
    if (steps.length === 0) continue;
    ports.progress({ phase: "removing", datastore });
    try {
      await findDatastoreDriver(kind).rollBack(steps, signal, setup.options[datastore]);
    } catch (error) {
      throw new HoldfastError("restore-stuck", `The scratch place ${scratchId} cannot be removed: ${describeCause(error)}`, {
        cause: error,
        hint: "It is tried again; or drop the database by hand, `holdfast scratch` names it.",
      });
    }
  }
  await removePlace(scratchDir(stateDir, scratchId));
  await removeScratchRecord(stateDir, scratchId);
  return { name: record.backup.name };
}
