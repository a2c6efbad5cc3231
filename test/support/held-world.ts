import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { createInstallation, type Installation, type RunningDaemon } from "./daemon.ts";

/** An installation whose commands around its data note in the file `order` that they were run; a service is up while the file `up` is there. */
export interface HeldWorld extends Installation {
  readonly daemon: RunningDaemon;
  path(name: string): string;
  /** What was stopped and started since it was asked last. */
  takeOrder(): string;
}

export interface HeldData {
  readonly config: (dir: string) => string;
  readonly job: string;
  /** Each a directory of the name with one file. */
  readonly datastores: readonly string[];
  /** Of these, the ones that have other data when a restore begins. */
  readonly changed: readonly string[];
}

/** Its daemon runs, and there is one backup of the job. */
export async function openHeldWorld(t: TestContext, { config, job, datastores, changed }: HeldData): Promise<HeldWorld> {
  const installation = await createInstallation({
    config: (dir) => {
      for (const name of datastores) {
        mkdirSync(join(dir, name));
        writeFileSync(join(dir, name, "data"), "old");
      }
      writeFileSync(join(dir, "up"), "");
      writeFileSync(join(dir, "order"), "");
      return config(dir);
    },
    init: ["local"],
  });
  t.after(() => installation[Symbol.asyncDispose]());
  const daemon = await installation.start();
  const { status, stderr } = await installation.holdfast(["backup", job]);
  assert.equal(status, 0, stderr);
  const path = (name: string): string => join(installation.dir, name);
  const takeOrder = (): string => {
    const order = readFileSync(path("order"), "utf8").trim().split("\n").join(", ");
    writeFileSync(path("order"), "");
    return order;
  };
  takeOrder();
  for (const name of changed) writeFileSync(path(`${name}/data`), "new");
  return { ...installation, daemon, path, takeOrder };
}
