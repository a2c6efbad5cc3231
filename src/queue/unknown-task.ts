import { HoldfastError } from "../base/errors.ts";

/** For a task's id that is nobody's. */
export function createUnknownTask(id: string): HoldfastError {
  return new HoldfastError("unknown-name", `There is no task "${id}"`, {
    hint: "`holdfast status` shows those that wait or run, `holdfast runs --json` has the ids of the others (`taskId`).",
  });
}
