import { describeBytes } from "../base/describe-amount.ts";
import type { Terminal } from "./terminal.ts";

export interface ProgressLine {
  readonly phase: string;
  readonly datastore: string | null;
  readonly bytes: number | null;
  readonly totalBytes: number | null;
}

/**
 * Shows how a task goes on (W6): on a terminal in one line that is overwritten, the datastores that are being worked on side by side; on a
 * pipe each new phase of each datastore in a line of its own.
 */
export class ProgressTeller {
  readonly #terminal: Terminal;
  /** What was told last, by datastore; of the task as a whole under "". */
  readonly #told = new Map<string, string>();

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /**
   * @param now what was reported last
   * @param datastores where each datastore stands
   */
  show(now: ProgressLine, datastores: readonly ProgressLine[]): void {
    if (this.#terminal.json === "json") return;
    for (const line of [...datastores, now]) this.#tellNew(line);
    const moving = now.datastore === null ? [now] : datastores.filter(isMoving);
    this.#terminal.status((moving.length === 0 ? [now] : moving).map(describeAmount).join(", "));
  }

  #tellNew(line: ProgressLine): void {
    const key = line.datastore ?? "";
    const text = describePhase(line);
    if (this.#told.get(key) === text) return;
    this.#told.set(key, text);
    if (!process.stderr.isTTY) this.#terminal.tell(text);
  }
}

/** These say that something is done, and nothing goes on. */
const ended = new Set(["staged", "swapped"]);
const isMoving = ({ phase }: ProgressLine): boolean => !ended.has(phase);

/** What is being done, of which datastore. */
function describePhase({ phase, datastore }: ProgressLine): string {
  return `${phase}${datastore === null ? "" : ` ${datastore}`}`;
}

function describeAmount(line: ProgressLine): string {
  const { bytes, totalBytes } = line;
  const share =
    bytes === null || totalBytes === null || totalBytes === 0 ? "" : `  ${Math.min(100, Math.floor((100 * bytes) / totalBytes))}%`;
  const amount = bytes === null ? "" : `  ${describeBytes(bytes)}${totalBytes === null ? "" : ` of ${describeBytes(totalBytes)}`}`;
  return `${describePhase(line)}${amount}${share}`;
}
