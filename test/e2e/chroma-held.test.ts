import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { answers, askMemories, fillMemories, openChromaSite, type ChromaSite } from "../support/chroma-site.ts";
import { waitUntil } from "../support/wait-until.ts";

interface Shown {
  readonly status: string;
  readonly snapshot?: { readonly copying: string };
  readonly contents: { readonly counts: Readonly<Record<string, number>> };
}

async function showLast(site: ChromaSite, job: string): Promise<Shown> {
  const { manifest } = await site.json<{ readonly manifest: { readonly members: readonly Shown[] } }>(["show", "latest", "--job", job]);
  const [member] = manifest.members;
  assert.ok(member !== undefined);
  return member;
}

const countOf = ({ contents }: Shown): number => contents.counts["records.memories"] ?? Number.NaN;

/** Adds records until it is ended, ten at a time; `acknowledged` are there, whatever becomes of the server. */
class Writer implements AsyncDisposable {
  readonly #site: ChromaSite;
  readonly #ended: Promise<void>;
  #stopping = false;
  acknowledged: number;

  constructor(site: ChromaSite, from: number) {
    this.#site = site;
    this.acknowledged = from;
    this.#ended = this.#write();
  }

  async #write(): Promise<void> {
    while (!this.#stopping) {
      try {
        await fillMemories(this.#site, this.acknowledged, 10);
        this.acknowledged += 10;
      } catch {
        // It is stopped, and will be started. Those of which nobody knows are added again, which changes nothing where they are.
        await waitUntil("the server answers", async () => this.#stopping || (await answers(this.#site)));
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = true;
    await this.#ended;
  }
}

test(
  "W1 W6 a Chroma server under writes is backed up live, paused and stopped; restored and undone with its server stopped; verified, drilled",
  { timeout: 240_000 },
  async (t) => {
    const site = await openChromaSite(t);
    await fillMemories(site, 0, 1_200);
    {
      await using writer = new Writer(site, 1_200);
      for (const [job, order] of [
        ["live", ""],
        ["paused", "pause, resume"],
        ["stopped", "stop, start"],
      ] as const) {
        const before = writer.acknowledged;
        await site.run("backup", job);
        assert.equal(site.takeOrder(), order);
        const shown = await showLast(site, job);
        assert.deepEqual([shown.status, shown.snapshot?.copying], ["ok", job === "live" ? undefined : job]);
        assert.ok(countOf(shown) >= before, `${job}: what was acknowledged before is in it`);
      }
    }
    const full = await askMemories(site);
    assert.deepEqual(full.missed, []);
    for (const job of ["live", "paused"]) {
      await site.run("restore", "latest", "--job", job, "--yes");
      assert.equal(site.takeOrder(), "stop, start", job);
      assert.deepEqual(await askMemories(site), { records: countOf(await showLast(site, job)), missed: [] }, job);
      await site.run("undo", "--yes");
      assert.equal(site.takeOrder(), "stop, start", job);
      assert.deepEqual(await askMemories(site), full, job);
    }
    await site.run("verify", "latest", "--job", "paused");
    await site.run("drill", "--job", "live");
  },
);

test("L7 kill -9 of the daemon while Chroma is stopped for a restore, and after its data was replaced", { timeout: 200_000 }, async (t) => {
  const site = await openChromaSite(t);
  await fillMemories(site, 0, 600);
  await site.run("backup", "stopped");
  await fillMemories(site, 600, 100);
  const full = await askMemories(site);
  let { daemon } = site;
  for (const hold of ["hold-stop", "hold-check"] as const) {
    rmSync(site.path("checking"), { force: true });
    writeFileSync(site.path(hold), "");
    site.takeOrder();
    const asked = site.holdfast(["restore", "latest", "--job", "stopped", "--yes"]);
    await waitUntil("it is stopped", () => readFileSync(site.path("order"), "utf8").includes("stop"));
    if (hold === "hold-check") {
      await waitUntil("the check", () => existsSync(site.path("checking")), { withinMs: 60_000 });
      assert.equal((await askMemories(site)).records, 600, "it is in place by then");
    }
    await daemon.kill();
    rmSync(site.path(hold));
    await asked;
    daemon = await site.start();
    await waitUntil("it is as it was", async () => (await askMemories(site).catch(() => undefined))?.records === 700, { withinMs: 60_000 });
    assert.deepEqual(await askMemories(site), full, `after ${hold}`);
    assert.match(site.takeOrder(), /start$/);
  }
});
