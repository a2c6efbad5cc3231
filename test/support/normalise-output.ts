/** Takes out of a text what differs from run to run, so that it can be compared with a golden file. */
export function normaliseOutput(text: string, dir: string): string {
  return text
    .replaceAll(dir, "DIR")
    .replaceAll(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)/g, "INSTANT")
    .replaceAll(/(?<!\d)\d{8}_\d{6}(-\d+)?(?!\d)/g, "STAMP")
    .replaceAll(/\b[0-9a-f]{64}\b/g, "SHA256")
    .replaceAll(/\b[0-9][0-9a-z]{19}\b/g, "ID")
    .replaceAll(/\b\d+[smhd]( ago| old)\b/g, "AGE$1")
    .replaceAll(/\t\d+[smhd]\t/g, "\tAGE\t")
    .replaceAll(/\t\d{3,}\t/g, "\tBYTES\t")
    .replaceAll(/\b(\d+(d|h|m|s) )*\d+(ms|s)\b/g, "TIME")
    .replaceAll(/\b\d+(\.\d)? (B|kB|KiB|MiB|GiB|TiB)(?![\w])/g, "SIZE")
    .replaceAll(/ on [\w.-]+: (ok|warning|failed)/g, " on HOST: $1")
    .replaceAll(/(process|processes) [\d, ]+\d/g, "$1 PIDS")
    .replaceAll(/("(?:createdAtMs|finishedAtMs|startedAtMs|verifiedAtMs|drilledAtMs|drillMs|tookMs|pausedAtMs|ageMs)": )\d+/g, "$1MS")
    .replaceAll(/("(?:storedBytes|plainBytes|bytes|freeBytes|totalBytes|freedBytes)": )\d+/g, "$1BYTES")
    .replaceAll(/("host": )"[^"]*"/g, '$1"HOST"');
}
