import type { Clock } from "../base/clock.ts";
import { describeDuration } from "../base/parse-duration.ts";

const toleranceMs = 5 * 60_000;
/** How long retention stays frozen after a jump. */
const freezeMs = 24 * 3_600_000;

/** Compares the wall clock with the monotonic one at each look and remembers a jump (F64). */
export class ClockWatch {
  readonly #clock: Clock;
  #offsetMs: number;
  #jump: { readonly reason: string; readonly untilMonotonicMs: number } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#offsetMs = clock.now() - clock.monotonic();
  }

  /** Why retention must not act, while a jump is recent. */
  look(): string | undefined {
    const offsetMs = this.#clock.now() - this.#clock.monotonic();
    const jumpMs = offsetMs - this.#offsetMs;
    this.#offsetMs = offsetMs;
    const nowMs = this.#clock.monotonic();
    if (Math.abs(jumpMs) > toleranceMs) {
      const by = describeDuration(Math.round(Math.abs(jumpMs) / 1000) * 1000);
      this.#jump = {
        reason: `the clock jumped ${jumpMs > 0 ? "forward" : "back"} by ${by}; retention is frozen for a day`,
        untilMonotonicMs: nowMs + freezeMs,
      };
    }
    if (this.#jump !== undefined && nowMs > this.#jump.untilMonotonicMs) this.#jump = undefined;
    return this.#jump?.reason;
  }
}
