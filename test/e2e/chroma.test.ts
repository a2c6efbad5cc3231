import assert from "node:assert/strict";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { collectionsPath } from "../support/chroma.ts";
import { askMemories, fillMemories, openChromaSite } from "../support/chroma-site.ts";
import { runCommand } from "../support/run-command.ts";
import { waitUntil } from "../support/wait-until.ts";

test(
  "W1 W6 through the API alone: backed up, restored, undone; the daemon is killed in the middle of a restore",
  { timeout: 200_000 },
  async (t) => {
    const site = await openChromaSite(t);
    await fillMemories(site, 0, 600);
    await site.run("backup", "api");
    await fillMemories(site, 600, 100);
    const full = await askMemories(site);
    await site.run("restore", "latest", "--job", "api", "--yes");
    assert.deepEqual(await askMemories(site), { records: 600, missed: [] });
    await site.run("undo", "--yes");
    assert.deepEqual(await askMemories(site), full);
    rmSync(site.path("checking"));
    writeFileSync(site.path("hold-check"), "");
    const asked = site.holdfast(["restore", "latest", "--job", "api", "--yes"]);
    await waitUntil("the check", () => existsSync(site.path("checking")));
    assert.equal((await askMemories(site)).records, 600, "it is in place by then");
    await site.daemon.kill();
    rmSync(site.path("hold-check"));
    await asked;
    await site.start();
    await waitUntil("it is rolled back", async () => (await askMemories(site).catch(() => undefined))?.records === 700);
    assert.deepEqual(await askMemories(site), full);
    const names = ((await site.call("GET", collectionsPath)) as readonly { readonly name: string }[]).map(({ name }) => name);
    assert.deepEqual(names, ["memories"]);
  },
);

test("W5 a Chroma directory with a damaged index is no backup, and the ones before stay", { timeout: 100_000 }, async (t) => {
  const site = await openChromaSite(t);
  await fillMemories(site, 0, 1_200);
  await site.run("backup", "stopped");
  const { stdout } = await site.holdfast(["list", "stopped"]);
  await runCommand(["sh", "-c", `for d in ${site.path("data")}/*-*-*-*-*; do truncate -s 1000 $d/data_level0.bin; done`]);
  const { status, stderr } = await site.holdfast(["backup", "stopped"]);
  assert.equal(status, 1);
  assert.match(stderr, /the index of collection "memories" .* has a data_level0\.bin of 1000 bytes/);
  assert.equal((await site.holdfast(["list", "stopped"])).stdout, stdout);
  assert.equal(site.takeOrder(), "stop, start, stop, start");
});
