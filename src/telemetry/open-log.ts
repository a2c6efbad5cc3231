import { fstatSync } from "node:fs";
import { isatty } from "node:tty";
import picocolors from "picocolors";
import { pino, type Logger } from "pino";
import { formatAsJson, formatForJournal, formatForTerminal, parseRecord } from "./format-record.ts";
import { LogWriter } from "./log-writer.ts";
import { redactText, redactValue } from "./redact.ts";

const severities = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, fatal: 60 } as const;
/** The least severe record that is written. */
export type LogThreshold = keyof typeof severities;
export type LogDetails = Readonly<Record<string, unknown>>;

/** Writes records. Never throws and never waits for its reader; secrets are masked by type (Secret), by name and in addresses. */
export interface Log {
  debug(message: string, details?: LogDetails): void;
  info(message: string, details?: LogDetails): void;
  warn(message: string, details?: LogDetails): void;
  error(message: string, details?: LogDetails): void;
  /** The same log with fields that stand in every record. */
  child(fields: LogDetails): Log;
}

export interface OpenedLog extends Log, Disposable {
  /** Takes effect at once, in children too. */
  setLevel(level: LogThreshold): void;
}

export interface LogOptions {
  /** `auto`: journal under systemd, text on a terminal, else json. */
  readonly format: "json" | "text" | "journal" | "auto";
  readonly level: LogThreshold;
  /** Where it writes: standard output by default. */
  readonly descriptor?: number;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Every record is written when the call returns; closing only writes what a slow reader left waiting. */
export function openLog(options: LogOptions): OpenedLog {
  const env = options.env ?? process.env;
  const descriptor = options.descriptor ?? 1;
  const format = options.format === "auto" ? chooseFormat(descriptor, env) : options.format;
  const writer = new LogWriter(descriptor);
  const colors = picocolors.createColors(format === "text" && isatty(descriptor) && env["NO_COLOR"] === undefined);
  const formatLine = (json: string): string => {
    if (format === "json") return formatAsJson(json);
    const record = parseRecord(json);
    return format === "journal" ? formatForJournal(record) : formatForTerminal(record, colors);
  };
  const threshold = { level: options.level };
  const logger = pino(
    {
      level: "trace",
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (level) => ({ level }) },
    },
    { write: (json: string) => writer.write(formatLine(json)) },
  );
  return {
    ...wrapLogger(logger, threshold, writer),
    setLevel: (level) => {
      threshold.level = level;
    },
    [Symbol.dispose]: () => writer[Symbol.dispose](),
  };
}

function wrapLogger(logger: Logger, threshold: { readonly level: LogThreshold }, writer: LogWriter): Log {
  const write = (level: "debug" | "info" | "warn" | "error", message: string, details: LogDetails | undefined): void => {
    if (severities[level] < severities[threshold.level]) return;
    try {
      const dropped = writer.takeDropped();
      if (dropped > 0) logger.warn({ dropped }, "Log lines were dropped because their reader did not keep up");
      logger[level](protectFields(details), redactText(message));
    } catch {
      // A record that cannot be written must not fail what it tells of.
    }
  };
  return {
    debug: (message, details) => write("debug", message, details),
    info: (message, details) => write("info", message, details),
    warn: (message, details) => write("warn", message, details),
    error: (message, details) => write("error", message, details),
    child: (fields) => wrapLogger(logger.child(protectFields(fields)), threshold, writer),
  };
}

/** Details may not pass for the record's own fields. */
function protectFields(details: LogDetails | undefined): Record<string, unknown> {
  const entries = Object.entries(redactValue(details ?? {}) as Record<string, unknown>);
  return Object.fromEntries(entries.map(([name, value]) => [["level", "time", "msg"].includes(name) ? `_${name}` : name, value]));
}

function chooseFormat(descriptor: number, env: Readonly<Record<string, string | undefined>>): "json" | "text" | "journal" {
  if (leadsToJournal(descriptor, env["JOURNAL_STREAM"])) return "journal";
  return isatty(descriptor) ? "text" : "json";
}

/** JOURNAL_STREAM is inherited by children whose output goes elsewhere: device and inode tell. */
function leadsToJournal(descriptor: number, stream: string | undefined): boolean {
  if (stream === undefined) return false;
  try {
    const { dev, ino } = fstatSync(descriptor, { bigint: true });
    return stream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}
