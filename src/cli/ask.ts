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
  assertCanAsk(terminal);
  if (!(await askYesNo(question.message, "no", signal))) throw new HoldfastError("not-confirmed", "Nothing was done");
}

export async function askYesNo(message: string, preset: "yes" | "no", signal: AbortSignal): Promise<boolean> {
  const { confirm } = await import("@inquirer/prompts");
  return await explainEnd(confirm({ message, default: preset === "yes" }, { output: process.stderr, signal }));
}

export interface Choice<Value> {
  readonly name: string;
  readonly value: Value;
  readonly description?: string;
  /** What stands there once it is chosen. */
  readonly short?: string;
  /** Why it cannot be chosen. */
  readonly disabled?: string;
  readonly checked?: boolean;
}

/** @param preset the one that is marked at first; the first one where it is undefined */
export async function askChoice<Value>(
  message: string,
  choices: readonly Choice<Value>[],
  preset: Value | undefined,
  signal: AbortSignal,
): Promise<Value> {
  const { select } = await import("@inquirer/prompts");
  const question = { message, choices: [...choices], pageSize: 15, ...(preset === undefined ? {} : { default: preset }) };
  return await explainEnd(select<Value>(question, { output: process.stderr, signal }));
}

/** One at least. */
export async function askSome<Value>(message: string, choices: readonly Choice<Value>[], signal: AbortSignal): Promise<readonly Value[]> {
  const { checkbox } = await import("@inquirer/prompts");
  return await explainEnd(
    checkbox<Value>({ message, choices: [...choices], pageSize: 15, required: true }, { output: process.stderr, signal }),
  );
}

/**
 * Asks for the name of what is overwritten: a yes is typed too easily. A wrong name is asked for again.
 * @throws not-confirmed after an empty answer, and where nobody can be asked and `--yes` was not given
 */
export async function confirmNameOrFail(
  terminal: Terminal,
  { name, message, yes }: Question & { readonly name: string },
  signal: AbortSignal,
): Promise<void> {
  if (yes) return;
  assertCanAsk(terminal);
  const { input } = await import("@inquirer/prompts");
  const validate = (text: string): true | string =>
    ["", name].includes(text.trim()) || `That is not "${name}". Type it to go on, or nothing to leave everything as it is.`;
  const asked = input(
    { message: `${message} Type ${name} to confirm:`, validate, theme: { validationFailureMode: "clear" } },
    { output: process.stderr, signal },
  );
  if ((await explainEnd(asked)).trim() !== name) throw new HoldfastError("not-confirmed", "Nothing was done");
}

function assertCanAsk(terminal: Terminal): void {
  if (terminal.canAsk === "yes") return;
  throw new HoldfastError("not-confirmed", "There is nobody to ask: standard input is no terminal", {
    hint: "Look at it with --plan, then say --yes.",
  });
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
