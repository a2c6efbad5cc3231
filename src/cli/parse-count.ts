import { InvalidArgumentError } from "commander";

/** For options that count: a whole number from 1 to 1000. */
export function parseCount(text: string): string {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > 1000) throw new InvalidArgumentError("Expected a whole number from 1 to 1000.");
  return text;
}
