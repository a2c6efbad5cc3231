import { closeSync } from "node:fs";
import { join } from "node:path";
import { HoldfastError } from "../base/errors.ts";
import { flockDescriptors } from "./flock-descriptors.ts";
import { describeHolder, openLockFile, writeHolder } from "./locks.ts";

const lockName = "daemon.lock";

/**
 * Makes this process the only daemon of a state directory until disposed or dead. It is the kernel's lock on a file in the directory,
 * no pid file: nothing is left over by a crash, and the way by which the directory is reached (bind mount, link) makes no difference.
 * @throws daemon-running
 */
export async function lockInstance(stateDirectory: string, signal: AbortSignal): Promise<Disposable> {
  using opened = new DisposableStack();
  const fd = opened.adopt(openLockFile(stateDirectory, lockName), closeSync);
  const taken = await flockDescriptors([{ descriptor: fd, mode: "exclusive" }], signal);
  if (taken !== undefined) {
    const holder = describeHolder(join(stateDirectory, lockName));
    throw new HoldfastError("daemon-running", `Cannot use ${stateDirectory}: ${holder} works with it`, {
      hint: "`holdfast status` asks it; `systemctl stop holdfast` stops it.",
    });
  }
  writeHolder(fd, "another daemon");
  return opened.move();
}
