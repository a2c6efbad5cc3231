import { InvalidArgumentError } from "commander";
import { describeCause, HoldfastError } from "../base/errors.ts";
import { parseDuration, type DurationLimits } from "../base/parse-duration.ts";

/** For options that take a duration; the text itself goes to the daemon. */
export function parseSpan(limits: DurationLimits = {}): (text: string) => string {
  return (text) => {
    try {
      parseDuration(text, limits);
      return text;
    } catch (error) {
      const hint = error instanceof HoldfastError ? error.hint : undefined;
      throw new InvalidArgumentError([describeCause(error), hint].filter(Boolean).join(". "));
    }
  };
}
