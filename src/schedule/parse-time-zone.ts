import { HoldfastError } from "../base/errors.ts";

/**
 * The IANA zone named, in its usual spelling.
 * @throws HoldfastError `config-invalid` for an unknown zone, with a near name where there is one
 */
export function parseTimeZone(input: unknown): string {
  if (typeof input === "string" && input.trim() !== "") {
    try {
      const named = Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(input.trim()).timeZoneId;
      return Intl.DateTimeFormat("en", { timeZone: named }) && named;
    } catch {
      // Named below: an unknown zone is all that either of them can mean.
    }
  }
  const near = typeof input === "string" ? findNearZone(input) : undefined;
  throw new HoldfastError("config-invalid", `Cannot read time zone ${JSON.stringify(input) ?? String(input)}: there is no such zone`, {
    hint: `${near === undefined ? "" : `Did you mean ${near}? `}Use an IANA name, for example Europe/Berlin, America/New_York or UTC.`,
  });
}

function findNearZone(text: string): string | undefined {
  const bare = (name: string): string => name.toLowerCase().replaceAll(/[^a-z]/g, "");
  const wanted = bare(text);
  if (wanted.length < 3) return undefined;
  const wantedCity = bare(text.split("/").at(-1) ?? "");
  const zones = Intl.supportedValuesOf("timeZone");
  return (
    zones.find((zone) => bare(zone) === wanted) ??
    zones.find((zone) => bare(zone.split("/").at(-1) ?? "") === wantedCity) ??
    zones.find((zone) => bare(zone).includes(wanted))
  );
}
