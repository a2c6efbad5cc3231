import { after, describe, test } from "node:test";
import { isLong, makeCompileCache } from "../support/kill-campaign.ts";
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
  "PostgreSQL, custom": { open: () => openPostgresData({ options: { database: "shop" } }), bounded: 4 },
  "PostgreSQL, plain": { open: () => openPostgresData({ options: { database: "shop", format: "plain" } }), bounded: 2 },
  "PostgreSQL, cluster": { open: () => openPostgresData({ options: { format: "cluster" } }), bounded: 1 },
  "PostgreSQL, one table": { open: () => openPostgresData({ options: { database: "shop" }, parts: ["note"] }), bounded: 3 },
  "PostgreSQL, SQLite export": { open: () => openPostgresData({ options: { database: "shop", format: "sqlite" } }), bounded: 2 },
  "Redis, running": { open: () => openRedisData({ during: "running", config: ["appendonly yes"] }), bounded: 4 },
  "Redis, stopped, RDB": { open: () => openRedisData({ during: "stopped", config: ["save 3600 1"] }), bounded: 2 },
  "Redis, stopped, append-only files": { open: () => openRedisData({ during: "stopped", config: ["appendonly yes"] }), bounded: 2 },
};

const both: Kind = {
  open: () =>
    openGroupData([
      () => openPostgresData({ options: { database: "shop" } }),
      () => openRedisData({ during: "running", config: ["save 3600 1"] }),
    ]),
  bounded: 3,
};

describe("restore of a server, stopped at each record, program, statement and command", () => {
  for (const [title, { open, bounded }] of Object.entries({ ...kinds, "PostgreSQL and Redis together": both })) {
    test(
      `F1 F59 prop-P4 G6 ${title}: all old or all new, the application runs, the journal says which`,
      { timeout: isLong ? 7_200_000 : 120_000 },
      async (t) => {
        await using world = await openServerWorld(open);
        await runServerCampaign(t, world, { cache: cache.path, bounded });
      },
    );
  }
});
