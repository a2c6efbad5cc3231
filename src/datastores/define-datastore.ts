import { HoldfastError } from "../base/errors.ts";
import type { ConfiguredDatastore, DatastoreDriver, DatastoreSpec } from "./contract.ts";

/** Closes a driver's options over its spec, so that nothing outside the driver's folder sees them. */
export function defineDatastore<Options>(spec: DatastoreSpec<Options>): DatastoreDriver {
  const { retarget } = spec;
  const parse = (raw: unknown): Options => {
    const parsed = spec.options.safeParse(raw);
    if (parsed.success) return parsed.data;
    const issue = parsed.error.issues[0];
    const problem = `Options of a ${spec.kind} datastore: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "invalid"}`;
    throw new HoldfastError("config-invalid", problem);
  };
  return {
    kind: spec.kind,
    description: spec.description,
    optionsSchema: spec.options,
    parts: spec.parts,
    stageChecks: spec.stageChecks,
    queries: spec.queries,
    isOtherServer: (id, other) => spec.isOtherServer?.(id, other) ?? false,
    // A value that was read once, like a duration, is not read again.
    retarget:
      retarget === undefined
        ? undefined
        : (raw, to) => {
            const { changes, ...rest } = retarget(parse(raw), to);
            return { ...rest, options: { ...(raw as object), ...changes } };
          },
    deriveOptions: (entries, own) => spec.deriveOptions(entries, own),
    refuseHostileTree: spec.refuseHostileTree?.bind(spec),
    selectInTree: spec.selectInTree?.bind(spec),
    check: (entries, context, signal) => spec.check(entries, context, signal),
    // Options that do not fit any more are as good as none: what can be put back without them must not fail for it.
    rollBack: (steps, signal, options) => spec.rollBack(steps, signal, spec.options.safeParse(options).data),
    settle: (steps, signal, options) => spec.settle(steps, signal, spec.options.safeParse(options).data),
    configure(raw): ConfiguredDatastore {
      const options = parse(raw);
      return {
        kind: spec.kind,
        sourcePaths: spec.sourcePaths(options),
        waysToCopy: spec.waysToCopy?.(options) ?? ["live", "paused", "stopped"],
        restoresStopped: spec.restoresStopped?.(options) ?? false,
        identify: (signal) => spec.identify(options, signal),
        open: (context) => spec.open(options, context),
      };
    },
  };
}
