import { HoldfastError } from "../../base/errors.ts";
import type { Terminal } from "../terminal.ts";

/** Asks on the terminal. @throws not-confirmed when the answer is no, or when there is nobody to ask */
export async function askConfirmation(question: string, terminal: Terminal, signal: AbortSignal): Promise<void> {
  if (terminal.canAsk === "no") {
    throw new HoldfastError("not-confirmed", "Nothing was done: this needs a confirmation", {
      hint: "Say --yes, or run it on a terminal.",
    });
  }
  const { confirm } = await import("@inquirer/prompts");
  if (await confirm({ message: question, default: false }, { signal, output: process.stderr })) return;
  throw new HoldfastError("not-confirmed", "Nothing was done");
}
