import { isatty } from "node:tty";
import picocolors from "picocolors";
import { describeCause, errorPolicies, HoldfastError } from "../base/errors.ts";

/** Where a verb's words go: results to standard output, everything about them to standard error. */
export class Terminal {
  readonly json: "json" | "text";
  readonly #colors: ReturnType<typeof picocolors.createColors>;
  #statusLine = "";

  constructor(json: "json" | "text", color: "auto" | "never" = "auto") {
    this.json = json;
    // A pipe's isTTY is undefined, and undefined would let the library decide: it colours whatever runs in CI.
    this.#colors = picocolors.createColors(color === "auto" && isatty(process.stdout.fd) && !process.env["NO_COLOR"]);
  }

  get colors(): ReturnType<typeof picocolors.createColors> {
    return this.#colors;
  }

  /** Whether somebody is there to answer a question. */
  get canAsk(): "yes" | "no" {
    return process.stdin.isTTY && process.stderr.isTTY && this.json === "text" ? "yes" : "no";
  }

  /** Whether results are read by a person: tables and relative times; else plain lines. */
  get reader(): "person" | "program" {
    return process.stdout.isTTY ? "person" : "program";
  }

  /** A line of the result. */
  print(line: string): void {
    this.clearStatus();
    process.stdout.write(`${line}\n`);
  }

  /** The result for machines: one JSON document. */
  printJson(value: unknown): void {
    this.clearStatus();
    process.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`);
  }

  /** One of several results for machines: a document on one line. */
  printJsonLine(value: unknown): void {
    process.stdout.write(`${JSON.stringify(value)}\n`);
  }

  /** A line about what goes on; not part of the result. */
  tell(line: string): void {
    this.clearStatus();
    process.stderr.write(`${line}\n`);
  }

  /** A line that is overwritten by the next one; on a pipe nothing. */
  status(line: string): void {
    if (!process.stderr.isTTY || this.json === "json") return;
    const width = process.stderr.columns || 80;
    this.#statusLine = line.length >= width ? `${line.slice(0, width - 2)}…` : line;
    process.stderr.write(`\r\u001b[2K${this.#statusLine}`);
  }

  clearStatus(): void {
    if (this.#statusLine === "") return;
    this.#statusLine = "";
    process.stderr.write("\r\u001b[2K");
  }

  /** Shows a screen in the place of the one before; for a person only. */
  printScreen(lines: readonly string[]): void {
    process.stdout.write(`\u001b[H\u001b[2J${lines.join("\n")}\n`);
  }

  /** Tells an error and gives the exit status that its code has. */
  fail(thrown: unknown): number {
    const error =
      thrown instanceof HoldfastError ? thrown : new HoldfastError("internal", `Bug: ${describeCause(thrown)}`, { cause: thrown });
    if (this.json === "json")
      this.printJson({ error: { code: error.code, message: error.message, hint: error.hint ?? null, details: error.details ?? null } });
    else {
      this.tell(`${this.#colors.red("error:")} ${error.message}`);
      if (error.hint !== undefined) this.tell(`${this.#colors.dim("hint:")} ${error.hint}`);
      if (error.code === "internal" && thrown instanceof Error) this.tell(thrown.stack ?? "");
    }
    return errorPolicies[error.code].exit;
  }
}

/** Cut to what a line of the terminal holds beside the marks of a list: a line that wraps hides which one is marked. */
export function fitLine(text: string): string {
  const width = (process.stderr.columns || 80) - 6;
  return text.length <= width ? text : `${text.slice(0, Math.max(width - 1, 8))}…`;
}
