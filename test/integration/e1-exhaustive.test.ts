import assert from "node:assert/strict";
import { closeSync, ftruncateSync, lstatSync, openSync, readdirSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";
import { HoldfastError } from "../../src/base/errors.ts";
import type { BackupResult } from "../../src/operations/backup.ts";
import { runRestore } from "../../src/operations/restore.ts";
import { runVerify } from "../../src/operations/verify.ts";
import { pickPoints, readSeed } from "../support/fault-points.ts";
import { isLong } from "../support/kill-campaign.ts";
import {
  addressBackup,
  backUp,
  changeWorld,
  describeRestore,
  makeWorld,
  never,
  quietPorts,
  readTree,
  worldPaths,
  type DatastoreName,
  type Layout,
  type SmallWorld,
} from "../support/small-world.ts";

/** A change of one stored file: a bit flipped, a tail cut off, a byte added. */
type Damage =
  | { readonly kind: "flip"; readonly bit: number }
  | { readonly kind: "cut"; readonly bytes: number }
  | { readonly kind: "append" };

const refusals = ["backup-damaged", "backup-incomplete", "manifest-invalid", "format-unsupported", "backup-not-found"];
/** Of the objects of a backup, without its manifest. */
const limitBytes = 2048;

for (const [layout, datastores, compression] of [
  ["directory", ["loose"], { method: "zstd", level: 3 }],
  ["archive", ["loose"], { method: "gzip", level: 6 }],
  ["file", ["tree"], { method: "gzip", level: 6 }],
] as const satisfies readonly (readonly [Layout, readonly DatastoreName[], unknown])[]) {
  describe(`E1 a small backup as ${layout}`, () => {
    const worlds = new AsyncDisposableStack();
    let world: SmallWorld;
    let backup: BackupResult;
    let files: readonly string[];
    let hooks: string | undefined;

    before(async () => {
      hooks = process.env["HOLDFAST_HOOKS"];
      process.env["HOLDFAST_HOOKS"] = "direct";
      world = worlds.use(await makeWorld());
      backup = await backUp(world, layout, datastores, compression);
      changeWorld(world);
      files = listStored(world);
    });
    after(async () => {
      if (hooks === undefined) delete process.env["HOLDFAST_HOOKS"];
      else process.env["HOLDFAST_HOOKS"] = hooks;
      await worlds.disposeAsync();
    });

    test("E1 untouched it verifies", async () => {
      await verify(world, backup);
      assert.ok(files.length >= 2, files.join(" "));
    });

    test("E1 every flipped bit, every truncation and a byte more is refused by verify", async (t) => {
      let count = 0;
      for (const file of files) {
        const damages = selectForVerify(file, listDamages(file));
        using stored = new StoredFile(file);
        for (const damage of damages) {
          count += 1;
          await stored.damaged(damage, async (where) => {
            await assertRefused(() => verify(world, backup), where);
          });
        }
      }
      await verify(world, backup);
      t.diagnostic(`${count} damages`);
    });

    test("E1 and by restore, which leaves the target as it is, times included", async (t) => {
      const before = readTree(worldPaths(world.root).app, "times");
      const seed = readSeed();
      let count = 0;
      for (const file of files) {
        const all = listDamages(file);
        const edges = all.filter((damage) => damage.kind === "append" || isEdge(file, damage));
        const chosen = isLong ? all : [...pickPoints(all, 40, seed, file), ...pickPoints(edges, 20, seed, `edges of ${file}`)];
        using stored = new StoredFile(file);
        for (const damage of chosen) {
          count += 1;
          await stored.damaged(damage, async (where) => {
            await assertRefused(() => runRestore(describeRestore(world, backup, datastores), quietPorts, never), where);
            assert.ok(lstatSync(worldPaths(world.root).running, { throwIfNoEntry: false }), where);
          });
          assert.equal(readTree(worldPaths(world.root).app, "times"), before, `${file} ${JSON.stringify(damage)} HOLDFAST_SEED=${seed}`);
        }
      }
      t.diagnostic(`${count} damages, HOLDFAST_SEED=${seed}`);
    });

    test("E1 G6 and repaired it can be restored", async (t: TestContext) => {
      t.diagnostic(`${files.length} files`);
      await runRestore(describeRestore(world, backup, datastores), quietPorts, never);
    });
  });
}

async function verify(world: SmallWorld, backup: BackupResult): Promise<void> {
  const setup = {
    host: "host",
    version: "0",
    stagingDir: join(worldPaths(world.root).staging, "v"),
    address: addressBackup(world, backup),
  };
  await runVerify(setup, quietPorts, never);
}

async function assertRefused(act: () => Promise<unknown>, where: string): Promise<void> {
  try {
    await act();
  } catch (error) {
    assert.ok(error instanceof HoldfastError && refusals.includes(error.code), `${where}: ${String(error)}`);
    return;
  }
  assert.fail(`${where}: was taken for good`);
}

/** Everything that is stored, beside the destination's own marker. */
function listStored({ root }: SmallWorld): readonly string[] {
  const entries = readdirSync(worldPaths(root).vault, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile() && !entry.name.startsWith(".")).map((entry) => join(entry.parentPath, entry.name));
}

function listDamages(file: string): readonly Damage[] {
  const { size } = lstatSync(file);
  return [
    ...Array.from({ length: size * 8 }, (_, bit): Damage => ({ kind: "flip", bit })),
    ...Array.from({ length: size }, (_, bytes): Damage => ({ kind: "cut", bytes })),
    { kind: "append" },
  ];
}

/** All of them for what is small enough and for the manifest; of larger generated texts in a bounded run every 61st. */
function selectForVerify(file: string, damages: readonly Damage[]): readonly Damage[] {
  if (isLong || file.endsWith("manifest.json") || lstatSync(file).size <= limitBytes) return damages;
  return damages.filter((_, index) => index % 61 === 0);
}

function isEdge(file: string, damage: Damage): boolean {
  const { size } = lstatSync(file);
  const at = damage.kind === "flip" ? damage.bit >> 3 : damage.kind === "cut" ? damage.bytes : size;
  return at === 0 || at >= size - 1;
}

/** A stored file that is damaged in place and mended again. */
class StoredFile {
  readonly #path: string;
  readonly #good: Buffer;
  readonly #file: number;

  constructor(path: string) {
    this.#path = path;
    this.#good = readFileSync(path);
    this.#file = openSync(path, "r+");
  }

  async damaged(damage: Damage, act: (where: string) => Promise<void>): Promise<void> {
    const good = this.#good;
    if (damage.kind === "flip") {
      const at = damage.bit >> 3;
      writeSync(this.#file, Buffer.of((good[at] ?? 0) ^ (1 << (damage.bit & 7))), 0, 1, at);
    } else if (damage.kind === "append") writeSync(this.#file, Buffer.alloc(1), 0, 1, good.length);
    else ftruncateSync(this.#file, damage.bytes);
    try {
      await act(`${this.#path} ${JSON.stringify(damage)}`);
    } finally {
      this.#mend(damage);
    }
  }

  #mend(damage: Damage): void {
    const from = damage.kind === "flip" ? damage.bit >> 3 : damage.kind === "cut" ? damage.bytes : this.#good.length;
    const bytes = damage.kind === "flip" ? 1 : this.#good.length - from;
    writeSync(this.#file, this.#good, from, bytes, from);
    if (damage.kind === "append") ftruncateSync(this.#file, from);
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }
}
