import { z } from "zod";
import { HoldfastError } from "../../base/errors.ts";
import type { Note } from "../../base/note.ts";
import { quoteLiteral, quoteName } from "./quote-sql.ts";
import { openDatabase, selectRows, type Server } from "./restore-sql.ts";
import type { FoundDatabase } from "./server-facts.ts";
import type { SqlSession } from "./sql-session.ts";

const subscriptionRow = z.object({ name: z.string(), enabled: z.boolean(), own: z.boolean() });

function readSubscriptions(session: SqlSession, database: string): Promise<readonly z.output<typeof subscriptionRow>[]> {
  return selectRows(
    session,
    `SELECT s.subname::text AS name, s.subenabled AS enabled, pg_catalog.pg_has_role(s.subowner, 'MEMBER') AS own
     FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid WHERE d.datname = ${quoteLiteral(database)}`,
    subscriptionRow,
  );
}

/**
 * A subscription that is at work belongs to its database, whatever that is called: its changes would go into the one that was put aside, and
 * be missed in the restored one.
 * @throws target-unsafe for one that is enabled, or that we may not remove with its database
 */
export async function requireUnsubscribed(session: SqlSession, database: string): Promise<void> {
  const found = (await readSubscriptions(session, database)).filter(({ enabled, own }) => enabled || !own);
  if (found.length === 0) return;
  const names = found.map(({ name }) => name).join(", ");
  const foreign = found.some(({ own }) => !own) ? "; and restore as their owner or as a superuser (restoreConnection)" : "";
  throw new HoldfastError("target-unsafe", `${database} has subscriptions that are at work, or another's: ${names}`, {
    hint: `Run in it ${found.map(({ name }) => `\`ALTER SUBSCRIPTION ${quoteName(name)} DISABLE;\``).join(" ")}${foreign}; afterwards enable the restored ones.`,
  });
}

/**
 * Takes subscriptions out of a database that is to be removed, which the server would refuse with them. Their slots are left alone: they may
 * be those of the database that has taken its place.
 * @throws target-in-use for one that is enabled
 */
export async function dropSubscriptions(server: Server, session: SqlSession, database: string, signal: AbortSignal): Promise<void> {
  const found = await readSubscriptions(session, database);
  if (found.length === 0) return;
  const enabled = found.filter((each) => each.enabled).map(({ name }) => name);
  if (enabled.length > 0) {
    throw new HoldfastError(
      "target-in-use",
      `${database}, which is to be removed, has subscriptions that are at work: ${enabled.join(", ")}`,
      {
        hint: `Run in it ${enabled.map((name) => `\`ALTER SUBSCRIPTION ${quoteName(name)} DISABLE;\``).join(" ")}, then repeat it.`,
      },
    );
  }
  await session.query(`ALTER DATABASE ${quoteName(database)} WITH ALLOW_CONNECTIONS true`);
  await using inside = await openDatabase(server, database, signal);
  for (const { name } of found) {
    await inside.query(`ALTER SUBSCRIPTION ${quoteName(name)} SET (slot_name = NONE)`);
    await inside.query(`DROP SUBSCRIPTION ${quoteName(name)}`);
  }
}

const stateRow = z.object({
  connections: z.number(),
  slots: z.array(z.string()),
  prepared: z.array(z.string()),
  standbys: z.array(z.string()),
  subscriptions: z.array(z.string()),
  publications: z.array(z.string()),
});

/** What a swap would disturb, each with the remedy. */
export async function describeReplication(
  session: SqlSession,
  server: Server,
  { name: database, connectable }: Pick<FoundDatabase, "name" | "connectable">,
  signal: AbortSignal,
): Promise<readonly Note[]> {
  const name = quoteLiteral(database);
  const [state] = await selectRows(
    session,
    `SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = ${name} AND pid <> pg_backend_pid()) AS connections,
      ARRAY(SELECT slot_name::text FROM pg_replication_slots WHERE database = ${name}) AS slots,
      ARRAY(SELECT gid FROM pg_prepared_xacts WHERE database = ${name}) AS prepared,
      ARRAY(SELECT DISTINCT application_name FROM pg_stat_replication WHERE application_name IS NOT NULL) AS standbys,
      ARRAY(SELECT s.subname::text FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = ${name}) AS subscriptions,
      ARRAY[]::text[] AS publications`,
    stateRow,
  );
  if (state === undefined) return [];
  const publications = connectable ? await listPublications(server, database, signal) : [];
  return createNotes(database, { ...state, publications });
}

async function listPublications(server: Server, database: string, signal: AbortSignal): Promise<string[]> {
  try {
    await using session = await openDatabase(server, database, signal);
    const rows = await selectRows(session, "SELECT pubname::text AS name FROM pg_publication", z.object({ name: z.string() }));
    return rows.map(({ name }) => name);
  } catch (error) {
    // It may be too damaged to be asked: that is why it is restored.
    if (signal.aborted) throw error;
    return [];
  }
}

function createNotes(database: string, state: z.output<typeof stateRow>): readonly Note[] {
  const notes: Note[] = [];
  const add = (level: Note["level"], code: string, message: string): void => {
    notes.push({ level, code, message });
  };
  const list = (names: readonly string[]): string => names.join(", ");
  if (state.connections > 0)
    add(
      "info",
      "connections",
      `${state.connections} connections to ${database} are there now; the swap ends them, and what they write until then, after the present data was saved, is lost: name stop commands for their programs`,
    );
  if (state.prepared.length > 0)
    add(
      "warning",
      "prepared-transactions",
      `${database} has prepared transactions (${list(state.prepared)}): end them with COMMIT PREPARED or ROLLBACK PREPARED, or the swap is refused`,
    );
  if (state.slots.length > 0)
    add(
      "warning",
      "replication-slots",
      `logical replication slots of ${database} (${list(state.slots)}) go with the old database: their readers must be set up again`,
    );
  if (state.publications.length > 0)
    add(
      "warning",
      "publications",
      `${database} publishes tables (${list(state.publications)}): subscribers must be refreshed with a new copy of the data`,
    );
  if (state.subscriptions.length > 0)
    add(
      "warning",
      "subscriptions",
      `${database} has subscriptions (${list(state.subscriptions)}): the restored ones are disabled until ALTER SUBSCRIPTION … ENABLE; where the backup has none, their slots stay at the publisher and keep its WAL: drop them there (pg_drop_replication_slot)`,
    );
  if (state.standbys.length > 0) add("info", "standbys", `standbys (${list(state.standbys)}) get the restored data too, as a whole`);
  return notes;
}
