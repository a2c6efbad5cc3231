import { HoldfastError } from "../base/errors.ts";
import type { Terminal } from "./terminal.ts";

export interface Question {
  readonly message: string;
  /** `--yes` was given. */
  readonly yes: boolean;
}

/**
 * Asks before something is removed or overwritten; no is the default.
 * @throws not-confirmed after a no, and where nobody can be asked and `--yes` was not given
 */
export async function confirmOrFail(terminal: Terminal, question: Question, signal: AbortSignal): Promise<void> {
  if (question.yes) return;
  if (terminal.canAsk === "no") {
    throw new HoldfastError("not-confirmed", "There is nobody to ask: standard input is no terminal", {
      hint: "Look at it with --plan, then say --yes.",
    });
  }
  if (!(await askYesNo(question.message, "no", signal))) throw new HoldfastError("not-confirmed", "Nothing was done");
}

export async function askYesNo(message: string, preset: "yes" | "no", signal: AbortSignal): Promise<boolean> {
  const { confirm } = await import("@inquirer/prompts");
  return await explainEnd(confirm({ message, default: preset === "yes" }, { output: process.stderr, signal }));
}

export async function askChoice<Value>(
  message: string,
  choices: readonly { readonly name: string; readonly value: Value; readonly description?: string }[],
  signal: AbortSignal,
): Promise<Value> {
  const { select } = await import("@inquirer/prompts");
  return await explainEnd(select<Value>({ message, choices: [...choices], pageSize: 15 }, { output: process.stderr, signal }));
}

/** Ctrl-C at a question is an answer. */
async function explainEnd<Answer>(answer: Promise<Answer>): Promise<Answer> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Error && (error.name === "ExitPromptError" || error.name === "AbortPromptError"))
      throw new HoldfastError("not-confirmed", "Nothing was done", { cause: error });
    throw error;
  }
}
