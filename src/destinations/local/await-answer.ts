import { join } from "node:path";
import { describeDuration } from "../../base/parse-duration.ts";
import { HoldfastError } from "../../base/errors.ts";
import { runProgram } from "../../base/subprocess.ts";
import { markerName } from "./names.ts";
import type { Place } from "./place.ts";

const answerMs = 10_000;

/**
 * Resolves when the file system of a place answers, whatever it says. A share whose server has gone keeps whoever asks it, perhaps for ever: a
 * program can be given up, one of the few threads of this process cannot.
 * @throws destination-missing
 */
export async function awaitAnswer(place: Place, signal: AbortSignal): Promise<void> {
  try {
    await runProgram("stat", ["--", join(place.root, markerName)], { timeoutMs: answerMs, accept: [0, 1] }, signal);
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.code !== "timeout") throw error;
    throw new HoldfastError("destination-missing", `The ${place.describe()} does not answer within ${describeDuration(answerMs)}`, {
      hint: "Is the server of the share up, and its network? `findmnt --target PATH` names it.",
      cause: error,
    });
  }
}
