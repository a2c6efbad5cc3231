import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Restore, Run } from "../../src/catalog/contract.ts";
import { ControlClient } from "../../src/control/client.ts";
import { createInstallation, type Installation } from "../support/daemon.ts";
import { findTaskProcesses } from "../support/daemon-runs.ts";
import { waitUntil } from "../support/wait-until.ts";

/** Notes in a directory; a restore stops for as long as there is no file `go`. */
async function createNotes(): Promise<Installation & { read(): string; write(text: string): void; path(name: string): string }> {
  const installation = await createInstallation({
    config: (dir) => {
      mkdirSync(join(dir, "notes"));
      writeFileSync(join(dir, "notes/a.txt"), "old");
      const stop = `{ command: [sh, -c, "touch ${dir}/stopping; while ! [ -e ${dir}/go ]; do sleep 0.05; done"] }`;
      return `destinations:\n  local: { kind: local, path: ${dir}/backups }\ndatastores:\n  notes: { kind: files, root: ${dir}/notes }\njobs:\n  nightly: { datastores: [notes], destination: local, restore: { stop: [${stop}], start: [{ command: ["true"] }] } }\n`;
    },
    init: ["local"],
  });
  const path = (name: string): string => join(installation.dir, name);
  return {
    ...installation,
    path,
    read: () => readFileSync(path("notes/a.txt"), "utf8"),
    write: (text) => writeFileSync(path("notes/a.txt"), text),
  };
}

const readJournals = (state: string): readonly string[] =>
  readdirSync(state)
    .filter((name) => name.endsWith(".jsonl"))
    .map((name) => readFileSync(join(state, name), "utf8"));

for (const [kind, title] of [
  ["restore", "F1 F59 G6 the daemon is killed when a restore has ended and it does not know: it is done, and its undo is its own"],
  ["undo", "F1 F59 G6 the same of an undo: it has undone its restore, and no other undo repeats it"],
] as const)
  test(title, { timeout: 110_000 }, async () => {
    await using bed = await createNotes();
    const daemon = await bed.start();
    assert.equal((await bed.holdfast(["backup", "nightly"])).status, 0);
    bed.write("ancient");
    writeFileSync(bed.path("go"), "");
    assert.equal((await bed.holdfast(["restore", "latest", "--job", "nightly", "--yes"])).status, 0);
    for (const name of ["go", "stopping"]) rmSync(bed.path(name));
    bed.write("new");
    const args = kind === "undo" ? ["undo", "--yes"] : ["restore", "latest", "--job", "nightly", "--yes"];
    const restoring = bed.holdfast(args).catch(() => undefined);
    await waitUntil("the stop", () => existsSync(bed.path("stopping")));
    process.kill(daemon.pid, "SIGSTOP");
    writeFileSync(bed.path("go"), "");
    await waitUntil("the end in the journals", () =>
      readJournals(bed.path("state/restores")).every((text) => text.includes('"type":"end"')),
    );
    await daemon.kill();
    await restoring;
    assert.equal(bed.read(), kind === "undo" ? "ancient" : "old");

    await bed.start();
    const runs = (await bed.json<readonly Run[]>(["runs"])).filter((run) => run.kind === "restore");
    assert.deepEqual(
      runs.map(({ state }) => state),
      ["ok", "ok"],
    );
    assert.match(runs[0]?.summary ?? "", /had come to its end before it could be noted: the restored data is in place/);
    for (const run of runs) assert.deepEqual(findTaskProcesses(run.taskId), []);
    const client = new ControlClient(bed.socketPath);
    const restores = await client.send<readonly Restore[]>({ method: "GET", path: "/restores" }, new AbortController().signal);
    assert.deepEqual(
      restores.map(({ state }) => state),
      ["done", "done"],
    );
    assert.equal(restores[1]?.undoneByRestoreId, kind === "undo" ? restores[0]?.id : undefined);
    const undone = await bed.holdfast(["undo", "--yes"]);
    assert.equal(undone.status, 0, undone.stderr);
    assert.equal(bed.read(), "new");
  });
