/** Runs one operation as a worker does and prints how long its phases took: `node bench/one-operation.ts KIND SETUP.json`. */
import { readFileSync } from "node:fs";
import { runOperation } from "../src/operations/run-task.ts";
import { relaxCollector } from "../src/worker/relax-collector.ts";

const [kind = "", setupPath = ""] = process.argv.slice(2);
relaxCollector();
const startedAtMs = performance.now();
const phases: { phase: string; atMs: number }[] = [];
const ports = {
  now: () => Date.now(),
  log: () => undefined,
  progress({ phase }: { readonly phase: string }) {
    if (phases.at(-1)?.phase !== phase) phases.push({ phase, atMs: performance.now() - startedAtMs });
  },
};
const result = await runOperation(kind, JSON.parse(readFileSync(setupPath, "utf8")), ports, new AbortController().signal);
const endMs = performance.now() - startedAtMs;
const took: Record<string, number> = {};
for (const [place, { phase, atMs }] of phases.entries()) took[phase] = (took[phase] ?? 0) + (phases[place + 1]?.atMs ?? endMs) - atMs;
console.log(JSON.stringify({ endMs, took, parts: measureParts(), result }));

/** Of a restore: how long each of its parts took, as they follow one another. A phase belongs to the last part that had begun. */
function measureParts(): Record<string, number> {
  const begins = ["verifying", "staging", "saving the present data", "swapping", "removing what was put aside"];
  const parts: Record<string, number> = {};
  let part = 0;
  for (const [place, { phase, atMs }] of phases.entries()) {
    // The pre-restore backup has phases of the same names: it only goes on.
    part = Math.max(part, begins.indexOf(phase));
    const name = begins[part] ?? "";
    parts[name] = (parts[name] ?? 0) + (phases[place + 1]?.atMs ?? endMs) - atMs;
  }
  return parts;
}
