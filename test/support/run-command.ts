import { spawn } from "node:child_process";
import { once } from "node:events";

export interface FinishedCommand {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program that is no part of Holdfast to its end. @throws unless it ends with an accepted status (0) */
export async function runCommand(
  [program = "", ...args]: readonly string[],
  options: { readonly cwd?: string; readonly accept?: readonly number[]; readonly input?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<FinishedCommand> {
  const { cwd, accept = [0], input, env = process.env } = options;
  const child = spawn(program, args, { cwd, env, stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"] });
  const collected = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    child[name]?.setEncoding("utf8").on("data", (text: string) => {
      collected[name] += text;
    });
  child.stdin?.end(input);
  const [status, by] = (await once(child, "close")) as [number | null, string | null];
  if (status !== null && accept.includes(status)) return { status, ...collected };
  throw new Error(`${program} ${args.join(" ")} ended with ${status ?? by}\n${collected.stdout}${collected.stderr}`);
}

/** Runs lines in a shell that stops at the first failure. */
export async function runShell(script: string, options: Parameters<typeof runCommand>[1] = {}): Promise<FinishedCommand> {
  return await runCommand(["bash", "-euo", "pipefail", "-c", script], options);
}

/** What the sqlite3 program answers. */
export async function querySqlite(path: string, sql: string): Promise<string> {
  return (await runCommand(["sqlite3", "-cmd", ".timeout 20000", path, sql])).stdout.trim();
}
