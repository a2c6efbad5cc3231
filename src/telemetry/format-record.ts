import type picocolors from "picocolors";

/** A log record as pino writes it. */
export interface LogRecord {
  readonly level: string;
  readonly time: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** journald splits longer lines, and the pieces lose their priority. */
const maxLineChars = 40_000;
/** Priorities of syslog, as sd-daemon(3) has them. */
const priorities: Readonly<Record<string, number>> = { fatal: 2, error: 3, warn: 4, info: 6, debug: 7, trace: 7 };

export function parseRecord(json: string): LogRecord {
  const { level, time, msg, ...details } = JSON.parse(json) as Record<string, unknown>;
  return { level: String(level), time: String(time), message: typeof msg === "string" ? msg : "", details };
}

/** One line for journald: priority, message, details. The time is journald's own. */
export function formatForJournal(record: LogRecord): string {
  return `<${priorities[record.level] ?? 6}>${cut(`${escapeControls(record.message)}${formatDetails(record.details)}`)}\n`;
}

/** One line for a person at a terminal. */
export function formatForTerminal(record: LogRecord, colors: ReturnType<typeof picocolors.createColors>): string {
  const paints: Readonly<Record<string, (text: string) => string>> = {
    fatal: colors.red,
    error: colors.red,
    warn: colors.yellow,
    info: colors.green,
  };
  const level = (paints[record.level] ?? colors.dim)(record.level.toUpperCase().padEnd(5));
  const time = colors.dim(record.time.slice(11, 19));
  return `${time} ${level} ${cut(escapeControls(record.message))}${colors.dim(cut(formatDetails(record.details)))}\n`;
}

/** The same record, still JSON, that a terminal may show: nothing in it moves the cursor or ends the line. */
export function formatAsJson(json: string): string {
  return `${escapeControls(json.trimEnd())}\n`;
}

/** Control characters as `\n`, `\t` or `\uXXXX`; one line stays one line, and no escape sequence reaches a terminal. */
export function escapeControls(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what it is about
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (character) => {
    if (character === "\n") return "\\n";
    if (character === "\r") return "\\r";
    if (character === "\t") return "\\t";
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

function formatDetails(details: Readonly<Record<string, unknown>>): string {
  return Object.entries(details)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${escapeControls(name)}=${formatDetail(value)}`)
    .join("");
}

function formatDetail(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  const plain = typeof value !== "string" || /^[^\s="\\]+$/.test(value);
  return escapeControls(plain ? text : JSON.stringify(text));
}

function cut(text: string): string {
  return text.length > maxLineChars ? `${text.slice(0, maxLineChars)}… (${text.length - maxLineChars} characters left out)` : text;
}
