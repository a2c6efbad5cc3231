import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { Hook, StateQuestion } from "../../src/config/config.ts";
import { listHolds } from "../../src/operations/hold/hold-record.ts";
import type { HoldOrder } from "../../src/operations/hold/open-hold.ts";
import type { TaskPorts } from "../../src/operations/setup.ts";

/** Waits while there is a gate in front of it, notes that it begins, does it, notes that it has ended. */
const scripts = {
  stop: 'echo stopping >> "$1/log"; while test -e "$1/hold-stop"; do sleep 0.02; done; rm -f "$1/up"; echo stopped >> "$1/log"',
  start:
    'echo starting >> "$1/log"; while test -e "$1/hold-start"; do sleep 0.02; done; test ! -e "$1/fail-start" || exit 7; touch "$1/up"; echo started >> "$1/log"',
  running: 'test ! -e "$1/fail-ask" || exit 9; test -e "$1/up"',
} as const;

/** Something that runs or does not, and can be told to; its hooks are real processes. */
export interface HeldService {
  readonly directory: string;
  /** Of the records. */
  readonly holds: string;
  readonly order: HoldOrder;
  readonly ask: StateQuestion;
  readonly ports: TaskPorts & { readonly lines: string[] };
  runs(): boolean;
  /** What its hooks have noted. */
  log(): readonly string[];
  records(): readonly string[];
  /** Makes, or removes, a file that its hooks look at. */
  set(name: "up" | "hold-stop" | "hold-start" | "fail-start" | "fail-ask", state: "there" | "gone"): void;
}

export function makeHeldService(t: TestContext, change: Partial<HoldOrder> = {}): HeldService {
  const directory = mkdtempSync(join(tmpdir(), "held-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const holds = change.directory ?? join(directory, "holds");
  mkdirSync(holds, { recursive: true, mode: 0o700 });
  writeFileSync(join(directory, "log"), "");
  writeFileSync(join(directory, "up"), "");
  const hook = (name: keyof typeof scripts): Hook => ({ command: ["/bin/sh", "-c", scripts[name], "sh", directory], timeoutMs: 20_000 });
  const ask: StateQuestion = { ...hook("running"), answer: "status" };
  const lines: string[] = [];
  return {
    directory,
    holds,
    ask,
    order: {
      what: '"graph" is stopped',
      engage: [hook("stop")],
      release: [hook("start")],
      limitMs: 60_000,
      directory: holds,
      ask,
      ...change,
    },
    ports: { now: () => Date.now(), progress: () => undefined, log: (level, message) => lines.push(`${level} ${message}`), lines },
    runs: () => existsSync(join(directory, "up")),
    log: () =>
      readFileSync(join(directory, "log"), "utf8")
        .split("\n")
        .filter((line) => line !== ""),
    records: () => listHolds(holds),
    set: (name, state) => (state === "there" ? writeFileSync(join(directory, name), "") : rmSync(join(directory, name), { force: true })),
  };
}
