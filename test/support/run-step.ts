import { execa } from "execa";
import { delimiter, dirname } from "node:path";
import { stripVTControlCharacters } from "node:util";

/** A check of the whole tree, run as a program. */
export type Step = { readonly name: string } & ({ readonly npmScript: string } | { readonly command: readonly string[] });

const stepTimeoutMs = 10 * 60_000;

export async function runStep(root: string, step: Step, signal: AbortSignal): Promise<{ readonly ok: boolean; readonly output: string }> {
  const [file = "", ...args] = "command" in step ? step.command : ["npm", "run", "--silent", step.npmScript];
  const result = await execa(file, args, {
    cwd: root,
    env: {
      PATH: `${dirname(process.execPath)}${delimiter}${process.env["PATH"] ?? ""}`,
      NODE_REDIRECT_WARNINGS: undefined, // set when this runs inside a test
    },
    stdin: "ignore",
    all: true,
    reject: false,
    timeout: stepTimeoutMs,
    cancelSignal: signal,
  });
  const warned = /^\(node:\d+\) /m.test(result.stderr);
  const output = result.exitCode === undefined ? `${result.all}\n${result.message ?? ""}` : result.all;
  return { ok: !result.failed && !warned, output: stripVTControlCharacters(output) }; // some tools colour wherever CI is set
}
