import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { StoredEntry, SwapStep } from "../../src/datastores/contract.ts";
import type { StageRequest } from "../fixtures/programs/stage-restore.ts";
import { readEntry } from "./datastore.ts";
import { waitUntil } from "./wait-until.ts";

const program = new URL("../fixtures/programs/stage-restore.ts", import.meta.url).pathname;

/** Kills a process, and it alone, that restores a dump while Java works for it; waits for the end of that. @returns the recorded steps */
export async function killWhileLoading(
  options: unknown,
  entry: StoredEntry,
  { directory, stagingDir }: { readonly directory: string; readonly stagingDir: string },
): Promise<readonly SwapStep[]> {
  const { open: _, ...rest } = entry;
  const [bodyPath, stepsPath, requestPath] = [join(directory, "body"), join(directory, "steps"), join(directory, "request")];
  writeFileSync(bodyPath, await readEntry(entry));
  const request: StageRequest = {
    kind: "neo4j",
    options,
    stagingDir,
    entries: [{ ...rest, bodyPath }],
    stepsPath,
    stopAtBytes: entry.bytes * 2,
  };
  writeFileSync(requestPath, JSON.stringify(request));
  const child = spawn(process.execPath, [program, requestPath], { stdio: ["ignore", "ignore", "inherit"] });
  const ended = once(child, "exit");
  await waitUntil(
    "Java at work on the copy",
    () => existsSync(join(stagingDir, "work", "data", "databases")) && findJava(stagingDir).length > 0,
  );
  child.kill("SIGKILL");
  await ended;
  await waitUntil("the end of Java", () => findJava(stagingDir).length === 0);
  return readFileSync(stepsPath, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as SwapStep);
}

function findJava(place: string): readonly number[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const isJava = readFileSync(`/proc/${name}/comm`, "latin1").startsWith("java");
      return isJava && readFileSync(`/proc/${name}/cmdline`, "latin1").includes(place) ? [Number(name)] : [];
    } catch {
      return []; // gone meanwhile
    }
  });
}
