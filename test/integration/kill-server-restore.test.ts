import { after, describe, test } from "node:test";
import { isLong, makeCompileCache } from "../support/kill-campaign.ts";
import { pickPoints, readSeed } from "../support/fault-points.ts";
import { runServerCampaign } from "../support/server-campaign.ts";
import { openGroupData, openPostgresData, openRedisData, openServerWorld, type ServedData } from "../support/server-world.ts";

const cache = makeCompileCache();
after(() => cache[Symbol.dispose]());

interface Kind {
  readonly open: () => Promise<ServedData>;
  /** Points of a bounded run. */
  readonly bounded: number;
}

const kinds: Readonly<Record<string, Kind>> = {
  "PostgreSQL, custom": { open: () => openPostgresData({ options: { database: "shop" } }), bounded: 2 },
  "PostgreSQL, plain": { open: () => openPostgresData({ options: { database: "shop", format: "plain" } }), bounded: 2 },
  // Large enough to be loaded while it is read, its rows by sessions of their own.
  "PostgreSQL, plain, streamed": {
    open: () => openPostgresData({ options: { database: "shop", format: "plain" }, rowBytes: 150_000 }),
    bounded: 2,
  },
  "PostgreSQL, directory": { open: () => openPostgresData({ options: { database: "shop", format: "directory" } }), bounded: 2 },
  "PostgreSQL, cluster": { open: () => openPostgresData({ options: { format: "cluster" } }), bounded: 1 },
  "PostgreSQL, one table": { open: () => openPostgresData({ options: { database: "shop" }, parts: ["note"] }), bounded: 2 },
  "PostgreSQL, SQLite export": { open: () => openPostgresData({ options: { database: "shop", format: "sqlite" } }), bounded: 2 },
  "Redis, running": { open: () => openRedisData({ during: "running", config: ["appendonly yes"] }), bounded: 2 },
  "Redis, stopped, RDB": { open: () => openRedisData({ during: "stopped", config: ["save 3600 1"] }), bounded: 2 },
  "Redis, stopped, append-only files": { open: () => openRedisData({ during: "stopped", config: ["appendonly yes"] }), bounded: 2 },
};

const both: Kind = {
  open: () =>
    openGroupData([
      () => openPostgresData({ options: { database: "shop" } }),
      () => openRedisData({ during: "running", config: ["save 3600 1"] }),
    ]),
  bounded: 2,
};

const all = Object.entries({ ...kinds, "PostgreSQL and Redis together": both });
// Every kind takes a while even for one point: a bounded run has some of them.
const chosen = isLong || process.env["HOLDFAST_POINT"] !== undefined ? all : pickPoints(all, 2, readSeed(), "server kinds");

describe("restore of a server, stopped at each record, program, statement and command", () => {
  for (const [title, { open, bounded }] of chosen) {
    const timeout = isLong ? 7_200_000 : 240_000;
    test(`F1 F39 F47 F59 prop-P4 G6 ${title}: all old or all new, the application runs, the journal says which`, { timeout }, async (t) => {
      await using world = await openServerWorld(open);
      await runServerCampaign(t, world, { cache: cache.path, bounded });
    });
  }
});
