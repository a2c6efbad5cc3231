import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../../scripts/holdfast", import.meta.url));

const limitMs = 150_000;

export interface Typed {
  /** Waited for in what came after the last thing typed. */
  readonly at: RegExp;
  readonly keys: string;
}

/** Runs the command line on a terminal of its own (util-linux `script`), typing as soon as something is asked. Gives all it showed. */
export async function runOnTerminal(
  args: readonly string[],
  typed: readonly Typed[],
  env: Readonly<Record<string, string>>,
): Promise<{ readonly status: number; readonly shown: string }> {
  const command = [program, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
  const child = spawn("script", ["--quiet", "--return", "--command", `stty cols 160 rows 50; exec ${command}`, "/dev/null"], {
    env: { ...env, TERM: "xterm" },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const rest = [...typed];
  let shown = "";
  let seen = 0;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    shown += text;
    const next = rest[0];
    if (next === undefined || !next.at.test(shown.slice(seen))) return;
    rest.shift();
    seen = shown.length;
    child.stdin.write(next.keys);
  });
  // A question that nobody answers must fail its test, not hang it; the terminal's end ends the program.
  const timer = setTimeout(() => child.kill("SIGKILL"), limitMs);
  const [status] = (await once(child, "close")) as [number | null];
  clearTimeout(timer);
  if (rest.length > 0) throw new Error(`It never asked ${String(rest[0]?.at)}:\n${shown}`);
  if (status === null) throw new Error(`It did not end:\n${shown}`);
  // What moves the cursor and colours is not what it says.
  // oxlint-disable-next-line no-control-regex -- escape sequences begin with a control character
  return { status, shown: shown.replaceAll(/\u001b\[[0-9;?]*[A-Za-z]/g, "").replaceAll("\r", "") };
}
