const units = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
] as const;

/** Rounded down to its largest unit: `3d`, `5h`, `0s`; `unknown` for an age that is no number. */
export function describeAge(ageMs: number): string {
  if (!Number.isFinite(ageMs)) return "unknown";
  const [unit, size] = units.find(([, unitMs]) => Math.abs(ageMs) >= unitMs) ?? ["s", 1000];
  return `${Math.trunc(ageMs / size) + 0}${unit}`;
}

/** `512 B`, `1.5 KiB`, `23.0 GiB`. */
export function describeBytes(bytes: number): string {
  const names = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;
  let amount = bytes;
  let power = 0;
  // What would round to 1024.0 is 1.0 of the next unit.
  for (; amount >= 1023.95 && power < names.length - 1; power += 1) amount /= 1024;
  return `${power === 0 ? amount : amount.toFixed(1)} ${names[power] ?? ""}`;
}
