import assert from "node:assert/strict";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { backdateBackup } from "../support/clone-backup.ts";
import type { Installation, RunningDaemon } from "../support/daemon.ts";
import { substitute } from "../support/example-config.ts";
import { openWhisperEngine, type WhisperEngine } from "../support/whisperengine-site.ts";

interface Listed {
  readonly name: string;
}

/** What goes on from day to day, with the two services that are quick to copy. The steps follow one another. */
describe("WhisperEngine: schedules, deletion and cleanup", { timeout: 900_000 }, () => {
  const resources = new AsyncDisposableStack();
  let site: WhisperEngine;
  let server: Installation;
  let daemon: RunningDaemon;

  const list = (): Promise<readonly Listed[]> => server.json<readonly Listed[]>(["list", "whisperengine"]);
  const listDirectories = (): readonly string[] =>
    readdirSync(site.backups)
      .filter((name) => /^whisperengine_backup_\d{8}_\d{6}(-\d+)?$/.test(name))
      .toSorted();
  const backUp = async (...args: readonly string[]): Promise<string> =>
    (await server.json<{ details: { name: string } }>(["backup", "whisperengine", ...args])).details.name;
  async function holdfast(...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await server.holdfast(args);
    assert.equal(status, 0, stdout + stderr);
    return stdout + stderr;
  }

  before(async () => {
    site = resources.use(await openWhisperEngine("dumped"));
    ({ server } = site);
    daemon = await server.start();
  });

  after(() => resources.disposeAsync());

  test("W4 W10 schedules by name and by cron, several a day with 14 days; status shows the next, removal ends them, by hand it always goes", async () => {
    const next = async (): Promise<readonly { readonly purpose: string; readonly schedule: string; readonly at: string }[]> => {
      const status = await server.json<{ jobs: readonly { job: string; next: Awaited<ReturnType<typeof next>> }[] }>(["status"]);
      return status.jobs.find(({ job }) => job === "whisperengine")?.next.filter(({ purpose }) => purpose === "backup") ?? [];
    };
    const shown: string[] = [];
    for (const schedule of ["daily", "weekly", "monthly", '"0 2,8,14,20 * * *"']) {
      await server.writeConfig(
        substitute(substitute(site.config, "schedule: daily", `schedule: ${schedule}`), "{ keepWithin: 30d }", "{ keepWithin: 14d }"),
      );
      await server.json(["reload"]);
      const [only, ...others] = await next();
      assert.deepEqual(others, []);
      assert.ok(Date.parse(only?.at ?? "") > Date.now() - 60_000);
      shown.push(only?.schedule ?? "");
    }
    assert.match(
      shown.join("; "),
      /every day at 02:00.*every Sunday at 02:00.*on the 1st of every month at 02:00.*02:00, 08:00, 14:00 and 20:00/,
    );
    await server.writeConfig(site.config.replace(/^ +schedule: daily.*\n/m, ""));
    await server.json(["reload"]);
    assert.deepEqual(await next(), []);
    const byHand = await backUp();
    assert.ok(listDirectories().includes(byHand));
    await server.writeConfig(site.config);
    await server.json(["reload"]);
  });

  test("W12 one backup is deleted on purpose, and one that was removed by hand with rm is forgotten", async () => {
    const [first, second] = [await backUp(), await backUp()];
    await backUp();
    await holdfast("delete", first, "--yes");
    rmSync(join(site.backups, second), { recursive: true });
    await backUp();
    const names = (await list()).map(({ name }) => name);
    assert.deepEqual(
      names.filter((name) => name === first || name === second),
      [],
    );
    await holdfast("verify", "--all", "--job", "whisperengine");
  });

  test("W3 the cleanup by days, for one call, shows what is freed and never takes the recent ones", async () => {
    const [oldest = "", ...others] = listDirectories();
    await daemon.stop();
    await backdateBackup(join(site.backups, oldest), { createdAtMs: Date.now() - 8 * 86_400_000, sequence: 1 });
    daemon = await server.start();
    assert.match(await holdfast("prune", "whisperengine", "--plan"), /0 of \d+ backups would be removed|nothing/);
    const plan = await server.json<{ removeCount: number; freedBytes: number }>(["prune", "whisperengine", "--older-than", "7d", "--plan"]);
    assert.equal(plan.removeCount, 1);
    assert.ok(plan.freedBytes > 0);
    await holdfast("prune", "whisperengine", "--older-than", "7d", "--yes");
    assert.deepEqual(listDirectories(), others);
    await holdfast("prune", "whisperengine", "--older-than", "1s", "--yes");
    assert.ok(listDirectories().length > 0, "the last verified one stays, however old");
  });
});
