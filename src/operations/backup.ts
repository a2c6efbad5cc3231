import { join } from "node:path";
import { manifestKey } from "../archive/backup-keys.ts";
import { BackupWriter } from "../archive/backup-writer.ts";
import { formatInfoFile, formatRestoreText } from "../archive/info-files.ts";
import { parseManifest, type Manifest, type ManifestDraft } from "../archive/manifest.ts";
import { createNameVariant, formatEnding, formatName } from "../archive/name-template.ts";
import { formatInstant } from "../base/clock.ts";
import { HoldfastError } from "../base/errors.ts";
import type { Destination, Publication } from "../destinations/contract.ts";
import { findDestinationDriver } from "../destinations/registry.ts";
import { planCompression } from "./choose-compression.ts";
import { closeAfterSuccess } from "./close-after-success.ts";
import { collectMembers } from "./collect-members.ts";
import { assertSpace } from "./forecast.ts";
import { detectShrink } from "./detect-shrink.ts";
import { openSource, type LeftOutSource, type OpenedSource } from "./open-source.ts";
import type { BackupSetup, TaskPorts } from "./setup.ts";
import { writeFixedCopies, type FixedCopyOutcome } from "./write-fixed-copies.ts";

/** A published backup. */
export interface BackupResult {
  readonly folder: string;
  readonly manifestKey: string;
  readonly manifestSha256: string;
  readonly manifest: Manifest;
  readonly fixedCopies: readonly FixedCopyOutcome[];
}

/**
 * Makes one whole backup: probe, dump, compress, store hidden, read back, compare with history, publish. When it returns, the backup
 * is on the medium and verified; when it throws, nothing that looks like a backup is left.
 */
export async function runBackup(setup: BackupSetup, ports: TaskPorts, signal: AbortSignal): Promise<BackupResult> {
  await using resources = new AsyncDisposableStack();
  const startedAtMs = ports.now();
  const destination = resources.use(
    await findDestinationDriver(setup.destination.kind).configure(setup.destination.options).open({ name: setup.destination.name }),
  );

  ports.progress({ phase: "probing" });
  const sources: (OpenedSource | LeftOutSource)[] = [];
  for (const datastore of setup.datastores) sources.push(await openSource(datastore, setup.stagingDir, resources, ports, signal));
  // Before a restore it is worth knowing that there was nothing: an undo brings that about again.
  const mayBeNothing = setup.class === "pre-restore" && sources.every(isAbsent);
  if (!mayBeNothing && sources.every((source) => "member" in source || source.facts.absent)) throw createNothingError(setup.job, sources);
  const probed = new Map(sources.flatMap((source) => ("member" in source ? [] : [[source.datastore, source.facts] as const])));
  await assertSpace({ setup, probed, destination }, signal);

  const stem = formatName(setup.nameTemplate, { startedAtMs, timezone: setup.timezone, job: setup.job, host: setup.host });
  let publication: Publication | undefined;
  let writer: BackupWriter | undefined;
  let name = stem;
  /** The visible name of a `file` backup has its entry's extension, so nothing is opened before the first entry is known. */
  const openWriter = async (firstEntry: string): Promise<BackupWriter> => {
    if (writer !== undefined) return writer;
    const { compression, compressions } = planCompression(setup);
    name = await chooseName(destination, setup, stem, formatEnding(setup.layout, compression.method, firstEntry), signal);
    const opened = await destination.openPublication(
      setup.folder,
      name,
      setup.layout === "directory" ? "directory" : "beside",
      setup.backupId,
      signal,
    );
    publication = resources.use(opened);
    writer = new BackupWriter({
      store: opened,
      spoolDir: join(setup.stagingDir, "spool"),
      layout: setup.layout,
      name,
      compression,
      compressions,
      startedAtMs,
    });
    return writer;
  };

  const found = sources.map((source) => ("member" in source ? source : { ...source, openWriter, stagingDir: setup.stagingDir }));
  const { members, group } = await collectMembers(found, setup, ports, signal);
  if (!mayBeNothing && members.every(({ member }) => member.status === "absent" || member.status === "failed"))
    throw createNothingError(setup.job, sources);
  const finished = await openWriter("");

  const draft: ManifestDraft = {
    id: setup.backupId,
    job: setup.job,
    class: setup.class,
    sequence: setup.history.sequence + 1,
    previous: setup.history.previous,
    status: members.every(({ member }) => member.status === "ok" || member.status === "absent") ? "ok" : "partial",
    suspect: [
      ...detectShrink(
        setup.datastores,
        members.map(({ member, plainBytes }) => ({ member, bytes: plainBytes })),
        setup.history,
      ),
    ],
    createdAt: formatInstant(startedAtMs),
    finishedAt: formatInstant(ports.now()),
    trigger: setup.trigger,
    note: setup.note,
    host: setup.host,
    tools: { holdfast: setup.version, node: process.version },
    members: members.map(({ member }) => member),
    ...(group === undefined ? {} : { group }),
    config: setup.config,
  };
  const info = { draft, name, layout: setup.layout, timezone: setup.timezone };
  for (const infoFile of setup.infoFiles) finished.addText(infoFile, formatInfoFile(infoFile, info));
  finished.addText("RESTORE.txt", formatRestoreText(info));

  ports.progress({ phase: "publishing" });
  const { manifest, name: manifestName, body } = await finished.finish(draft, signal);
  await publication?.publish({ name: manifestName, body }, signal);
  const key = manifestKey({ folder: setup.folder, name, layout: setup.layout });
  const published = { destination, folder: setup.folder, manifestKey: key };
  const fixedCopies = await writeFixedCopies(setup.fixedCopies ?? [], published, setup.occupied ?? [], ports, signal);
  await closeAfterSuccess(resources, ports);
  return {
    folder: setup.folder,
    manifestKey: key,
    fixedCopies,
    manifestSha256: parseManifest(body, name).sha256,
    manifest,
  };
}

/** W5: a backup that holds nothing is none. It may be tried again when one of the reasons says so. */
function isAbsent(source: OpenedSource | LeftOutSource): boolean {
  return "member" in source ? source.member.status === "absent" : source.facts.absent;
}

function createNothingError(job: string, sources: readonly (OpenedSource | LeftOutSource)[]): HoldfastError {
  const errors = sources.flatMap((source) => ("error" in source && source.member.status === "failed" ? [source] : []));
  const main = errors.find(({ error }) => error.retryable)?.error ?? errors[0]?.error;
  if (main === undefined)
    return new HoldfastError("source-missing", `Nothing to back up in job "${job}": none of its optional datastores is there`);
  const reasons = errors.map(({ member, error }) => `"${member.datastore}": ${error.message}`).join("; ");
  return new HoldfastError(main.code, `Nothing to back up in job "${job}", none of its datastores is there: ${reasons}`, {
    cause: main,
    retryable: main.retryable,
    ...(main.hint === undefined ? {} : { hint: main.hint }),
  });
}

/** A name that exists gets `-2`, `-3` …: a second run never overwrites the first. */
async function chooseName(
  destination: Destination,
  setup: BackupSetup,
  stem: string,
  ending: string,
  signal: AbortSignal,
): Promise<string> {
  for (let attempt = 1; attempt <= 1000; attempt += 1) {
    const name = createNameVariant(stem, attempt) + ending;
    const key = setup.folder === "" || setup.folder === "." ? name : `${setup.folder}/${name}`;
    if (!(await destination.exists(key, signal)) && !(await destination.exists(`${key}.manifest.json`, signal))) return name;
  }
  throw new HoldfastError("conflict", `There are 1,000 backups with the name ${stem} already`, {
    hint: "Give the job a name template with the time in it.",
  });
}
