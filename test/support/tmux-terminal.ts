import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { waitUntil } from "./wait-until.ts";

const program = fileURLToPath(new URL("../../scripts/holdfast", import.meta.url));

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** The command line in a real terminal: tmux draws it, so what is read is what a person sees. A server of its own for each. */
export class TmuxTerminal implements Disposable {
  readonly #dir: string;
  readonly #env: NodeJS.ProcessEnv;

  constructor(args: readonly string[], env: Readonly<Record<string, string>>, { columns, rows }: TerminalSize) {
    this.#dir = mkdtempSync(join(tmpdir(), "tmux-"));
    const { NO_COLOR: _plain, TMUX: _outer, ...rest } = env;
    this.#env = { ...rest, TERM: "xterm-256color", LANG: "C.UTF-8" };
    const quote = (word: string): string => `'${word.replaceAll("'", String.raw`'\''`)}'`;
    // The screen stays until it has been read.
    const line = `${[program, ...args].map(quote).join(" ")}; echo "[exit $?]"; exec sleep 600`;
    this.#run("-f", "/dev/null", "new-session", "-d", "-x", String(columns), "-y", String(rows), `sh -c ${quote(line)}`);
  }

  /** Keys by their names (`Enter`, `Down`, `C-c`, `Space`). */
  press(...keys: readonly string[]): void {
    this.#run("send-keys", ...keys);
  }

  type(text: string): void {
    this.#run("send-keys", "-l", text);
  }

  /** What stands on the screen and above it; lines that were too long are whole again. */
  read(): string {
    return this.#run("capture-pane", "-p", "-J", "-S", "-2000");
  }

  /** With its colours, as escape sequences. */
  readColors(): string {
    return this.#run("capture-pane", "-p", "-e", "-S", "-2000");
  }

  /** Waits until the text is shown. @throws with the screen */
  async see(text: RegExp): Promise<string> {
    try {
      return await waitUntil(
        `on the screen ${String(text)}`,
        () => {
          const screen = this.read();
          return text.test(screen) && screen;
        },
        { withinMs: 60_000, pollMs: 50 },
      );
    } catch (error) {
      throw new Error(`${String(error)}, there is:\n${this.read()}`, { cause: error });
    }
  }

  async exitStatus(): Promise<number> {
    return Number(/\[exit (\d+)\]/.exec(await this.see(/\[exit \d+\]/))?.[1]);
  }

  [Symbol.dispose](): void {
    spawnSync("tmux", ["-S", join(this.#dir, "s"), "kill-server"], { env: this.#env });
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #run(...args: readonly string[]): string {
    const { status, stdout, stderr } = spawnSync("tmux", ["-S", join(this.#dir, "s"), ...args], { env: this.#env, encoding: "utf8" });
    if (status !== 0) throw new Error(`tmux ${args.join(" ")}: ${stderr}`);
    return stdout;
  }
}
