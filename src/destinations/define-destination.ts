import { HoldfastError } from "../base/errors.ts";
import type { DestinationDriver, DestinationSpec } from "./contract.ts";

/** Closes a driver's options over its spec, so that nothing outside the driver's folder sees them. */
export function defineDestination<Options>(spec: DestinationSpec<Options>): DestinationDriver {
  return {
    kind: spec.kind,
    description: spec.description,
    optionsSchema: spec.options,
    configure(raw) {
      const parsed = spec.options.safeParse(raw);
      if (!parsed.success) {
        const issue = parsed.error.issues[0];
        const path = issue === undefined || issue.path.length === 0 ? "" : `${issue.path.join(".")}: `;
        throw new HoldfastError("config-invalid", `Options of a ${spec.kind} destination: ${path}${issue?.message ?? "invalid"}`);
      }
      return { open: (context) => spec.open(parsed.data, context) };
    },
  };
}
