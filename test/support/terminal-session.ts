import { spawn } from "node:child_process";
import { once } from "node:events";

export interface Answer {
  readonly when: RegExp;
  readonly type: string;
}

/** Runs a shell line on a terminal of its own and types each answer, in their order, once its question is shown. */
export async function runOnTerminal(
  line: string,
  answers: readonly Answer[],
  env: NodeJS.ProcessEnv,
): Promise<{ readonly status: number | null; readonly shown: string }> {
  const child = spawn("script", ["--quiet", "--return", "--flush", "--command", line, "/dev/null"], {
    env: { ...env, TERM: "xterm", COLUMNS: "160" },
    stdio: ["pipe", "pipe", "inherit"],
  });
  let shown = "";
  let seen = 0;
  let next = 0;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    shown += text;
    const answer = answers[next];
    const found = answer?.when.exec(shown.slice(seen));
    if (answer === undefined || found === null || found === undefined) return;
    seen = shown.length;
    next += 1;
    child.stdin.write(answer.type);
  });
  const [status] = (await once(child, "close")) as [number | null];
  return { status, shown };
}
