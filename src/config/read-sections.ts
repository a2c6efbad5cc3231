import { z } from "zod";
import { findClosest } from "../base/closest-name.ts";
import { pickDefined } from "../base/pick-defined.ts";
import { listDatastoreDrivers } from "../datastores/registry.ts";
import { listDestinationDrivers } from "../destinations/registry.ts";
import { checkValue, type CheckContext } from "./check-value.ts";
import type { ChannelConfig, DatastoreConfig, DestinationConfig, JobConfig, Settings } from "./config.ts";
import { hideSecrets } from "./hide-secrets.ts";
import { describeFound } from "../base/describe-found.ts";
import { resolveJob } from "./resolve-job.ts";
import { channelKinds, channelSchemas, createChannel } from "./schema/channel.ts";
import { namePattern } from "./schema/fields.ts";
import { jobSchema, onMissingField, shrinkRatioField } from "./schema/job.ts";
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
});
export const destinationFields = z.strictObject({
  required: z.boolean().optional().describe("false: its absence (an unplugged disk) is only a warning."),
});

export function readDatastores(section: Fields, context: CheckContext): ReadonlyMap<string, DatastoreConfig> {
  return readEntries("datastores", section, context, (name, entry, path) => {
    const split = checkDriven(listDatastoreDrivers(), datastoreFields, entry, path, context);
    return (
      split && {
        name,
        kind: split.kind,
        options: split.options,
        optional: split.own.optional ?? false,
        ...pickDefined({ onMissing: split.own.onMissing, shrink: split.own.shrink }),
      }
    );
  });
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
