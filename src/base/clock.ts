/** Time as an argument: everything that decides by time takes a Clock. */
export interface Clock {
  /** Milliseconds since the epoch, wall clock; may jump either way. */
  now(): number;
  /** Milliseconds from an arbitrary start, never going back; for durations and time limits. */
  monotonic(): number;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
};

/** ISO 8601 in UTC with milliseconds, the one form in which instants are stored. */
export function formatInstant(epochMs: number): string {
  return new Date(epochMs).toISOString();
}
