import { lstat, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { syncDirectory } from "../../base/atomic-file.ts";
import { describeCause, HoldfastError, readErrno } from "../../base/errors.ts";
import { formerName, type MoveStep, type PlaceStep, type RedisStep } from "./swap-steps.ts";

/** Whether something of the restored files is in place still, or something of the former ones is not. */
export async function hasReplacedFiles(steps: readonly RedisStep[]): Promise<boolean> {
  for (const step of steps) {
    if (step.op === "move" && (await isThere(step.to))) return true;
    if (step.op === "place" && (await isPlaced(step, steps)) && (await isThere(step.to))) return true;
  }
  return false;
}

/** What has the name is ours, or what a server has made of it since; the former file waits to get its name back, or there was none. */
export async function undoPlace(step: PlaceStep, steps: readonly RedisStep[]): Promise<void> {
  if (!(await isPlaced(step, steps))) return;
  await rm(step.to, { recursive: true, force: true });
  await syncDirectory(dirname(step.to));
}

async function isPlaced({ from, to }: PlaceStep, steps: readonly RedisStep[]): Promise<boolean> {
  if (!(await isThere(dirname(from))) || (await isThere(from))) return false;
  const moved = steps.find((step): step is MoveStep => step.op === "move" && step.from === to);
  return moved === undefined || (await isThere(moved.to));
}

export async function undoMove({ from, to }: MoveStep): Promise<void> {
  if (!(await isThere(to))) return;
  if (await isThere(from)) {
    throw new HoldfastError("restore-stuck", `another program has created ${from}; what was there before is ${to}`, {
      hint: `Stop the server, move ${from} away, then repeat the rollback.`,
    });
  }
  await rename(to, from);
  await syncDirectory(dirname(from));
  await syncDirectory(dirname(to));
}

/** Before a restore's directory is removed. @throws restore-stuck for former files that nothing has put back */
export async function assertNothingAside(directory: string): Promise<void> {
  const former = join(directory, formerName);
  const [name] = (await isThere(former)) ? await readdir(former) : [];
  if (name === undefined) return;
  throw new HoldfastError("restore-stuck", `${join(former, name)} was not put back`, {
    hint: "Stop the server, move that to where it belongs, then restart Holdfast.",
  });
}

export async function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    (error: unknown) => {
      if (readErrno(error) === "ENOENT" || readErrno(error) === "ENOTDIR") return false;
      throw new HoldfastError("restore-stuck", describeCause(error), { cause: error });
    },
  );
}
