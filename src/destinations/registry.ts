import { HoldfastError } from "../base/errors.ts";
import type { DestinationDriver } from "./contract.ts";
import { localDestination } from "./local/local-destination.ts";

/** Every destination kind. A driver is added here, and nowhere else. */
const drivers: readonly DestinationDriver[] = [localDestination];

export function listDestinationDrivers(): readonly DestinationDriver[] {
  return drivers;
}

/** Throws `config-invalid` for a kind that this version does not have. */
export function findDestinationDriver(kind: string): DestinationDriver {
  const driver = drivers.find((candidate) => candidate.kind === kind);
  if (driver === undefined) {
    throw new HoldfastError("config-invalid", `Unknown destination kind "${kind}"`, {
      hint: `Known kinds: ${drivers.map(({ kind: known }) => known).join(", ")}.`,
    });
  }
  return driver;
}
