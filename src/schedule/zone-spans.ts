/** A stretch of time in which a zone's offset does not change. */
export interface ZoneSpan {
  /** -Infinity for the first one. */
  readonly fromMs: number;
  /** The first instant of the next span; Infinity for the last one. */
  readonly untilMs: number;
  /** Wall time is instant plus offset. */
  readonly offsetMs: number;
  /**
   * The wall time up to which clocks had shown everything before this span began. Behind the span's first wall time: a gap lies
   * between. Ahead of it: an overlap. -Infinity for the first one.
   */
  readonly seenWallMs: number;
}

/** Offsets lie less than two days apart, so older spans cannot have shown a later wall time. */
const memoryMs = 2 * 86_400_000;

/** The spans of a zone from the one that contains the instant on; the reader stops. */
export function* listZoneSpans(timezone: string, atMs: number): Generator<ZoneSpan, void, void> {
  let start: Temporal.ZonedDateTime | null = findTransition(timezone, atMs + 1, "previous");
  let fromMs = start?.epochMilliseconds ?? -Infinity;
  let seenWallMs = -Infinity;
  for (
    let end = start;
    end !== null && fromMs - end.epochMilliseconds < memoryMs;
    end = findTransition(timezone, end.epochMilliseconds, "previous")
  ) {
    seenWallMs = Math.max(seenWallMs, end.epochMilliseconds + readOffsetMs(timezone, end.epochMilliseconds - 1));
  }
  for (;;) {
    const insideMs: number = start === null ? atMs : fromMs;
    const offsetMs = readOffsetMs(timezone, insideMs);
    const end = findTransition(timezone, insideMs, "next");
    const untilMs = end?.epochMilliseconds ?? Infinity;
    yield { fromMs, untilMs, offsetMs, seenWallMs };
    if (end === null) return;
    seenWallMs = Math.max(seenWallMs, untilMs + offsetMs);
    start = end;
    fromMs = untilMs;
  }
}

/** The transition strictly before or after an instant, as the first instant after it. */
function findTransition(timezone: string, atMs: number, direction: "next" | "previous"): Temporal.ZonedDateTime | null {
  return Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(timezone).getTimeZoneTransition(direction);
}

function readOffsetMs(timezone: string, atMs: number): number {
  return Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(timezone).offsetNanoseconds / 1e6;
}
