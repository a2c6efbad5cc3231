import { z } from "zod";
import { findClosest } from "../base/closest-name.ts";
import { pickDefined } from "../base/pick-defined.ts";
import type { Copying } from "../datastores/contract.ts";
import { findDatastoreDriver, listDatastoreDrivers } from "../datastores/registry.ts";
import { listDestinationDrivers } from "../destinations/registry.ts";
import { checkValue, type CheckContext } from "./check-value.ts";
import type { ChannelConfig, DatastoreConfig, DestinationConfig, JobConfig, ServiceConfig, Settings } from "./config.ts";
import { hideSecrets } from "./hide-secrets.ts";
import { describeFound } from "../base/describe-found.ts";
import { resolveJob } from "./resolve-job.ts";
import { channelKinds, channelSchemas, createChannel } from "./schema/channel.ts";
import { namePattern } from "./schema/fields.ts";
import { serviceConfigField } from "./schema/service.ts";
import { compressionField, jobSchema, onMissingField, shrinkRatioField } from "./schema/job.ts";
import type { Path } from "./source-index.ts";

type Fields = Readonly<Record<string, unknown>>;

interface KindedDriver {
  readonly kind: string;
  readonly optionsSchema: z.ZodType;
}

/** Keys of a datastore or destination that are not its driver's. */
export const datastoreFields = z.strictObject({
  optional: z.boolean().optional().describe("Its absence is no failure."),
  onMissing: onMissingField.optional(),
  shrink: shrinkRatioField.optional(),
  service: serviceConfigField.optional(),
  copy: z
    .enum(["live", "paused", "stopped"])
    .optional()
    .describe("How its service stands while it is copied: at work, frozen in mid-air, or shut down; by default what its kind takes best."),
  compression: compressionField.describe("Of its files in the backup: overrides the job's.").optional(),
});
export const destinationFields = z.strictObject({
  required: z.boolean().optional().describe("false: its absence (an unplugged disk) is only a warning."),
});

export function readDatastores(section: Fields, context: CheckContext): ReadonlyMap<string, DatastoreConfig> {
  return readEntries("datastores", section, context, (name, entry, path) => {
    const split = checkDriven(listDatastoreDrivers(), datastoreFields, entry, path, context);
    if (split === undefined) return undefined;
    const { onMissing, shrink, service, compression, optional = false } = split.own;
    const copying = chooseCopying(name, split, path, context);
    if (copying === undefined) return undefined;
    const copy = copying === "live" ? undefined : copying;
    return { name, kind: split.kind, options: split.options, optional, ...pickDefined({ onMissing, shrink, service, copy, compression }) };
  });
}

interface CopiedEntry {
  readonly kind: string;
  readonly options: unknown;
  readonly own: { readonly copy?: Copying | undefined; readonly service?: ServiceConfig | undefined };
}

/** Undefined where its options cannot be used, which has been told. */
function listWays(kind: string, options: unknown, context: CheckContext): readonly [Copying, ...Copying[]] | undefined {
  try {
    return findDatastoreDriver(kind).configure(options).waysToCopy;
  } catch (error) {
    if (context.problems.length > 0) return undefined;
    throw error;
  }
}

/** How the datastore is copied; undefined where that cannot be, which has been told. */
function chooseCopying(name: string, { kind, options, own }: CopiedEntry, path: Path, context: CheckContext): Copying | undefined {
  const ways = listWays(kind, options, context);
  if (ways === undefined) return own.copy ?? "live";
  const copying = own.copy ?? ways[0];
  const refuse = (message: string, facts: { readonly allowed?: readonly string[] } = {}): undefined => {
    const isWritten = own.copy !== undefined;
    const problem = context.index.createProblem(
      isWritten ? [...path, "copy"] : path,
      isWritten ? "value" : "key",
      { message, ...facts },
      context.mainFile,
    );
    context.problems.push(problem);
    return undefined;
  };
  if (!ways.includes(copying))
    return refuse(`a datastore of kind ${kind} with these options cannot be copied ${copying}`, { allowed: ways });
  const able = { live: true, paused: (own.service?.pause.length ?? 0) > 0, stopped: (own.service?.stop.length ?? 0) > 0 };
  if (able[copying]) return copying;
  const verb = copying === "paused" ? "pause and resume" : "stop and start";
  if (own.service !== undefined) return refuse(`"${name}" is to be ${copying} while it is copied, but its service has no ${verb}`);
  return refuse(
    `"${name}" is to be ${copying} while it is copied, which needs its service; write service: {unit: NAME.service}, {dockerCompose: NAME}, {docker: NAME}, or the commands to ${verb} it`,
  );
}

export function readDestinations(section: Fields, context: CheckContext): ReadonlyMap<string, DestinationConfig> {
  return readEntries("destinations", section, context, (name, entry, path) => {
    const split = checkDriven(listDestinationDrivers(), destinationFields, entry, path, context);
    return split && { name, kind: split.kind, options: split.options, required: split.own.required ?? true };
  });
}

export function readJobs(section: Fields, settings: Settings, context: CheckContext): ReadonlyMap<string, JobConfig> {
  return readEntries("jobs", section, context, (name, entry, path) => {
    const parsed = checkValue(jobSchema, entry, path, context);
    return parsed && resolveJob(name, parsed, settings);
  });
}

export function readChannels(section: Fields, context: CheckContext): ReadonlyMap<string, ChannelConfig> {
  return readEntries("notify", section, context, (name, entry, path) => {
    const kind = checkKind(channelKinds, entry, path, context);
    const parsed = kind && checkValue<z.output<(typeof channelSchemas)[typeof kind]>>(channelSchemas[kind], entry, path, context);
    return parsed && createChannel(name, parsed);
  });
}

/** Entries that are right; the others left their problems in the context. */
function readEntries<T>(
  section: string,
  entries: Fields,
  context: CheckContext,
  read: (name: string, entry: Fields, path: Path) => T | undefined,
): ReadonlyMap<string, T> {
  const values = new Map<string, T>();
  for (const [name, entry] of Object.entries(entries)) {
    const path = [section, name];
    const refuse = (message: string): unknown =>
      context.problems.push(context.index.createProblem(path, "key", { message }, context.mainFile));
    if (!namePattern.test(name))
      refuse(
        `the name ${describeFound(name)} must have letters, digits, ".", "_" and "-" only, start with a letter or digit, and have at most 64 characters`,
      );
    if (typeof entry !== "object" || entry === null || Array.isArray(entry)) refuse(`expected a mapping, found ${describeFound(entry)}`);
    else {
      const value = read(name, entry as Fields, path);
      if (value !== undefined) values.set(name, value);
    }
  }
  return values;
}

function checkKind<Kind extends string>(kinds: readonly Kind[], entry: Fields, path: Path, context: CheckContext): Kind | undefined {
  const found = entry["kind"];
  const kind = kinds.find((each) => each === found);
  if (kind !== undefined) return kind;
  const meant = typeof found === "string" ? findClosest(found, kinds) : undefined;
  const message = found === undefined ? '"kind" is missing' : `unknown kind ${describeFound(found)}`;
  const facts = { message, found: describeFound(found), allowed: kinds, ...(meant === undefined ? {} : { didYouMean: meant }) };
  context.problems.push(context.index.createProblem([...path, "kind"], found === undefined ? "key" : "value", facts, context.mainFile));
  return undefined;
}

/** Splits an entry into what is ours and what is its driver's, each checked by its own schema. */
function checkDriven<Own extends z.ZodObject>(
  drivers: readonly KindedDriver[],
  ownSchema: Own,
  entry: Fields,
  path: Path,
  context: CheckContext,
) {
  const kind = checkKind(
    drivers.map((driver) => driver.kind),
    entry,
    path,
    context,
  );
  const driver = drivers.find((candidate) => candidate.kind === kind);
  if (kind === undefined || driver === undefined) return undefined;
  const isOwn = ([key]: readonly [string, unknown]): boolean => Object.hasOwn(ownSchema.shape, key);
  const rest = Object.entries(entry).filter(([key]) => key !== "kind");
  const own = checkValue<z.output<Own>>(
    ownSchema as unknown as z.ZodType<z.output<Own>>,
    Object.fromEntries(rest.filter(isOwn)),
    path,
    context,
  );
  const isDrivers = ([key]: readonly [string, unknown]): boolean => hasKey(driver.optionsSchema, key);
  const options = Object.fromEntries(rest.filter((each) => !isOwn(each) || isDrivers(each)));
  const before = context.problems.length;
  const parsed = checkValue(makeStrict(driver.optionsSchema), options, path, context, ["kind", ...Object.keys(ownSchema.shape)]);
  return own === undefined || context.problems.length > before ? undefined : { kind, own, options: hideSecrets(options, parsed) };
}

function hasKey(schema: unknown, key: string): boolean {
  if (schema instanceof z.ZodUnion) return schema.options.some((option) => hasKey(option, key));
  return schema instanceof z.ZodObject && Object.hasOwn(schema.shape, key);
}

/** A driver's mapping never swallows an unknown key, whatever its author wrote. */
export function makeStrict(schema: z.ZodType): z.ZodType {
  return schema instanceof z.ZodObject ? schema.strict() : schema;
}
