type Fields = Readonly<Record<string, unknown>>;

/** Times in force have their unit in the name; in a file they are texts. */
const times: ReadonlyMap<string, string> = new Map(
  ["atStartMinAge", "maxDuration", "maxAge", "maxFreeze", "maxDowntime", "undoKeep", "timeout", "retryFor", "backoff", "keepWithin"].map(
    (name) => [`${name}Ms`, name],
  ),
);

/**
 * What an older backup tells of its config, which holds only what was in force: every default is written out, and the channels that its
 * job told are not in it.
 */
export function reconstructConfig(copy: Fields): { readonly datastores: Fields; readonly destinations: Fields; readonly jobs: Fields } {
  const job = asFields(copy["job"]);
  const name = job["name"];
  return {
    datastores: mapValues(asFields(copy["datastores"]), describeDriven),
    destinations: mapValues(asFields(copy["destinations"]), describeDriven),
    jobs: typeof name === "string" ? { [name]: describeJob(job) } : {},
  };
}

function describeDriven(value: unknown): Fields {
  const { name: _name, kind, options, optional, required, ...own } = asFields(value);
  return {
    kind,
    ...asFields(options),
    ...(optional === true ? { optional } : {}),
    ...(required === false ? { required } : {}),
    ...own,
  };
}

function describeJob({ name: _name, notify: _notify, nameTemplate, ...job }: Fields): Fields {
  const fields: Record<string, unknown> = { ...(writeTimes(job) as Fields), name: nameTemplate };
  for (const each of ["schedule", "verify", "drill"]) if (fields[each] !== undefined) fields[each] = describeSchedule(asFields(job[each]));
  fields["fixedCopies"] = asList(job["fixedCopies"]).map((each) => ({ ...asFields(each), mode: formatMode(asFields(each)["mode"]) }));
  const restore = asFields(fields["restore"]);
  const hooks = (key: string): Fields => ({ [key]: asList(restore[key]).map((each) => withoutKind(asFields(each))) });
  fields["restore"] = { ...restore, ...hooks("stop"), ...hooks("start"), ...hooks("check") };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => !Array.isArray(value) || value.length > 0));
}

function describeSchedule(schedule: Fields): unknown {
  const jitter = typeof schedule["jitterMs"] === "number" && schedule["jitterMs"] > 0 ? { jitter: `${schedule["jitterMs"]}ms` } : {};
  if (schedule["kind"] === "interval") return { every: `${String(schedule["everyMs"])}ms`, ...jitter };
  const zone = schedule["timezone"] === undefined ? {} : { timezone: schedule["timezone"] };
  return { cron: schedule["cron"], ...zone, ...jitter };
}

function writeTimes(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(writeTimes);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => {
      const name = times.get(key);
      return name === undefined ? [key, writeTimes(each)] : [name, `${String(each)}ms`];
    }),
  );
}

const withoutKind = ({ kind: _kind, ...rest }: Fields): Fields => rest;
const formatMode = (mode: unknown): string => (typeof mode === "number" ? mode.toString(8).padStart(4, "0") : "0640");
const asList = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const mapValues = (fields: Fields, map: (value: unknown) => unknown): Fields =>
  Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, map(value)]));

function asFields(value: unknown): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}
