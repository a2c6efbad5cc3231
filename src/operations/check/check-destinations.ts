import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { describeBytes } from "../../base/describe-amount.ts";
import type { Config, DestinationConfig } from "../../config/config.ts";
import type { DestinationFacts } from "../../destinations/contract.ts";
import { openDestination } from "../verify.ts";
import { type Finding, fail, ok, warn } from "./finding.ts";
import { findingOfError } from "./finding-of-error.ts";
import { findLocalPath, resolveReal } from "./local-places.ts";

export interface CheckedDestinations {
  readonly findings: readonly Finding[];
  readonly facts: ReadonlyMap<string, DestinationFacts>;
}

/** Looks whether every destination is there, ours, and can be written to (A18, P10), and who else may read it (A19). */
export async function checkDestinations(config: Config, signal: AbortSignal): Promise<CheckedDestinations> {
  const findings: Finding[] = [];
  const facts = new Map<string, DestinationFacts>();
  for (const destination of config.destinations.values()) {
    const what = `destination ${destination.name}`;
    const worst = destination.required ? "fail" : "warn";
    try {
      await using opened = await openDestination(destination);
      const found = await opened.probe(signal);
      facts.set(destination.name, found);
      findings.push(...describeDestination(destination, found, worst));
    } catch (error) {
      signal.throwIfAborted();
      const made = findingOfError(worst, what, error);
      findings.push(isMissing(error) ? { ...made, hint: `Mount it, or make it: holdfast destination init ${destination.name}` } : made);
    }
    findings.push(...(await findReaders(destination)));
  }
  return { findings, facts };
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "destination-missing";
}

function describeDestination({ name }: DestinationConfig, found: DestinationFacts, worst: "fail" | "warn"): readonly Finding[] {
  const what = `destination ${name}`;
  const free = found.freeBytes === undefined ? "" : `, ${describeBytes(found.freeBytes)} free`;
  const notes = found.notes.map(({ code, message }): Finding => {
    const isBarred = ["destination-unmarked", "destination-foreign", "not-writable", "no-space"].includes(code);
    return { level: isBarred ? worst : "warn", what, detail: message };
  });
  if (found.marked && found.writable) return [ok(what, `${found.summary} is marked and can be written to${free}`), ...notes];
  if (notes.some(({ level }) => level === worst)) return notes;
  return [fail(what, found.marked ? `${found.summary} cannot be written to` : `${found.summary} has no marker`), ...notes];
}

/** A19: a backup holds everything that its sources hold, so not everybody may read it. */
async function findReaders(destination: DestinationConfig): Promise<readonly Finding[]> {
  const path = findLocalPath(destination);
  if (path === undefined) return [];
  const real = resolveReal(path);
  try {
    const { mode } = await stat(real);
    if ((mode & 0o004) === 0) return [];
    for (let level = dirname(real); level !== "/"; level = dirname(level)) if (((await stat(level)).mode & 0o001) === 0) return [];
    const octal = (mode & 0o7777).toString(8).padStart(4, "0");
    return [warn(`destination ${destination.name}`, `everybody on this machine may read ${real} (mode ${octal})`, `chmod o-rwx ${real}`)];
  } catch {
    return []; // not there: told already
  }
}
