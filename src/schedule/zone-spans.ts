/** A stretch of time in which a zone's offset does not change. */
export interface ZoneSpan {
  /** -Infinity for the first one. */
  readonly fromMs: number;
  /** The first instant of the next span; Infinity for the last one. */
  readonly untilMs: number;
  /** Wall time is instant plus offset. */
  readonly offsetMs: number;
  /**
   * The wall time that the span before reached, -Infinity for the first one. Less than this span's first wall time: a gap lies
   * between; more: an overlap. No zone has changed twice within two days, so the spans before that one reached no further.
   */
  readonly seenWallMs: number;
}

/** The spans of a zone from the one that contains the instant on; the reader stops. */
export function* listZoneSpans(timezone: string, atMs: number): Generator<ZoneSpan, void, void> {
  const before = findTransition(timezone, atMs + 1, "previous");
  let fromMs = before ?? -Infinity;
  let seenWallMs = before === undefined ? -Infinity : before + readOffsetMs(timezone, before - 1);
  for (let insideMs = atMs; ; insideMs = fromMs) {
    const offsetMs = readOffsetMs(timezone, insideMs);
    const untilMs = findTransition(timezone, insideMs, "next") ?? Infinity;
    yield { fromMs, untilMs, offsetMs, seenWallMs };
    if (untilMs === Infinity) return;
    seenWallMs = untilMs + offsetMs;
    fromMs = untilMs;
  }
}

/** The change of offset strictly before or after an instant: the first instant after the change. */
function findTransition(timezone: string, atMs: number, direction: "next" | "previous"): number | undefined {
  return readZoned(timezone, atMs).getTimeZoneTransition(direction)?.epochMilliseconds;
}

function readOffsetMs(timezone: string, atMs: number): number {
  return readZoned(timezone, atMs).offsetNanoseconds / 1e6;
}

function readZoned(timezone: string, atMs: number): Temporal.ZonedDateTime {
  return Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(timezone);
}
