import { findClosest } from "../base/closest-name.ts";
import type { ConfigProblem } from "./problem.ts";

/** Keys that people write for others, from cron files and other backup programs. */
const synonyms: ReadonlyMap<string, string> = new Map([
  ["cron", "schedule"],
  ["interval", "schedule"],
  ["every", "schedule"],
  ["keep", "retention"],
  ["rotate", "retention"],
  ["sources", "datastores"],
  ["databases", "datastores"],
  ["target", "destination"],
  ["storage", "destination"],
  ["format", "layout"],
  ["compress", "compression"],
  ["file", "path"],
  ["type", "kind"],
]);

/** What is wrong with a key that a mapping does not have, and which one was probably meant. */
export function explainUnknownKey(
  key: string,
  allowed: readonly string[],
): Pick<ConfigProblem, "message" | "found" | "allowed" | "didYouMean"> {
  const meant = findClosest(key, allowed) ?? findSynonym(key, allowed);
  const facts = { message: `unknown key ${JSON.stringify(key)}`, found: JSON.stringify(key), allowed };
  return meant === undefined ? facts : { ...facts, didYouMean: meant };
}

function findSynonym(key: string, allowed: readonly string[]): string | undefined {
  const usable = [...synonyms].filter(([, meant]) => allowed.includes(meant));
  const word = findClosest(
    key,
    usable.map(([each]) => each),
  );
  return word === undefined ? undefined : synonyms.get(word);
}
