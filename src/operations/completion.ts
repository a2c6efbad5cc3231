import type { FinalRunState, JsonValue } from "../catalog/contract.ts";

/** How a task ended, for its run, its queue entry and whoever waits for it. */
export interface Completion {
  readonly state: FinalRunState;
  readonly summary: string;
  readonly backupId?: string;
  readonly bytes?: number;
  readonly details: JsonValue;
}
