import type { ManifestMember } from "../archive/manifest.ts";
import { emptyContents } from "../base/contents.ts";
import { HoldfastError } from "../base/errors.ts";
import type { Datastore, ProbeFacts } from "../datastores/contract.ts";
import { findDatastoreDriver } from "../datastores/registry.ts";
import type { DatastoreSetup, TaskPorts } from "./setup.ts";
import { openStagingDirectory } from "./staging.ts";

const tellWaitMs = 1_500;

/** A datastore that is there, ready to be dumped. */
export interface OpenedSource {
  readonly datastore: string;
  readonly kind: string;
  readonly id: string;
  readonly opened: Datastore;
  /** As it was found when the run began. */
  readonly facts: ProbeFacts;
  readonly setup: DatastoreSetup;
}

/** One that is not there and that the job can do without. */
export interface LeftOutSource {
  readonly member: ManifestMember;
  readonly error: HoldfastError;
}

/**
 * Opens a datastore and looks at it. Where the job says so (W5), a server that is not running or a source that is not there gives a
 * member without data; wrong passwords, missing rights and full disks never do.
 * @param resources gets what must be closed
 */
export async function openSource(
  setup: DatastoreSetup,
  stagingDir: string,
  resources: AsyncDisposableStack,
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<OpenedSource | LeftOutSource> {
  const { name, kind, options, onMissing = "fail", known, copying = "live" } = setup;
  ports.progress({ phase: "probing", datastore: name });
  const startedAtMs = ports.now();
  const configured = findDatastoreDriver(kind).configure(options);
  let id = `${kind}:unknown`;
  // A driver may give a server that is still starting some time: whoever watches is told what is waited for.
  const patience = setTimeout(() => ports.progress({ phase: "waiting for an answer of", datastore: name }), tellWaitMs);
  try {
    const staging = resources.use(await openStagingDirectory(stagingDir, name));
    const context = {
      name,
      stagingDir: staging.path,
      copying,
      progress: (progress: { phase: string; bytes?: number }) => ports.progress({ ...progress, datastore: name }),
    };
    ({ id } = await configured.identify(signal));
    const opened = resources.use(await configured.open(context));
    const facts = await opened.probe(signal);
    if (facts.absent && known === "present") throw createUnreadError(name, facts.summary);
    return { datastore: name, kind, id, opened, facts, setup };
  } catch (error) {
    if (signal.aborted || !(error instanceof HoldfastError) || !isAllowedToMiss(error, onMissing)) throw error;
    const facts = { datastore: name, kind, id, tookMs: ports.now() - startedAtMs };
    if (onMissing !== "absent") return leaveOut(facts, error, ports);
    return { error, member: { ...createEmptyMember(facts), status: "absent", readBack: { hashes: true, format: true } } };
  } finally {
    clearTimeout(patience);
  }
}

/** What is there and was found absent has data that nobody has read: a server that is stopped. */
export function createUnreadError(name: string, summary: string): HoldfastError {
  return new HoldfastError("source-unreachable", `"${name}" is there and cannot be read, so nothing has its data: ${summary}`);
}

/** A server that does not answer may have data; a source that is not there has none. */
export function isAllowedToMiss({ code }: HoldfastError, onMissing: NonNullable<DatastoreSetup["onMissing"]>): boolean {
  return onMissing !== "fail" && (code === "source-missing" || (onMissing === "skip" && code === "source-unreachable"));
}

type MemberFacts = Pick<ManifestMember, "datastore" | "kind" | "id" | "tookMs">;

/** The member without data of a datastore that the backup can do without. */
export function leaveOut(facts: MemberFacts, error: HoldfastError, ports: TaskPorts): LeftOutSource {
  ports.log("warn", `"${facts.datastore}" is left out: ${error.message}`);
  const note = { level: "partial" as const, code: "left-out", message: `it is not there and was left out: ${error.message}` };
  return { error, member: { ...createEmptyMember(facts), notes: [note] } };
}

function createEmptyMember(facts: MemberFacts): LeftOutSource["member"] {
  return {
    ...facts,
    status: "failed",
    entries: [],
    contents: emptyContents,
    readBack: { hashes: false, format: false },
    index: null,
    notes: [],
  };
}
