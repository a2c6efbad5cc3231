import { describeBytes } from "../../base/describe-amount.ts";
import type { Note } from "../../base/note.ts";
import type { DriverContext, ProbeFacts } from "../contract.ts";
import { describeVia } from "../via.ts";
import { explainFailure } from "./classify-error.ts";
import { resolveAccess } from "./connection.ts";
import type { PostgresqlOptions } from "./options.ts";
import { planDump, type DumpPlan } from "./plan-dump.ts";
import { listToolsets } from "./tools.ts";

/** Connects as a dump would, finds the tools that it would take, and reads no table. */
export async function probePostgresql(options: PostgresqlOptions, context: DriverContext, signal: AbortSignal): Promise<ProbeFacts> {
  try {
    const plan = await planDump(options, signal);
    if (plan === undefined) {
      const { connection } = await resolveAccess(options, "backup", signal);
      const name = connection.database === undefined ? "" : `: ${connection.database}`;
      return { summary: `PostgreSQL database, not there (optional)${name}`, estimatedBytes: 0, stagingBytes: 0, absent: true, notes: [] };
    }
    return {
      summary: describePlan(options, plan),
      estimatedBytes: plan.bytes,
      stagingBytes: options.format === "directory" || options.format === "sqlite" ? plan.bytes : 0,
      absent: false,
      notes: [...plan.notes, ...describeConnection(plan), ...(await describeUpgrade(options, plan, signal))],
    };
  } catch (error) {
    throw explainFailure(`Cannot read "${context.name}"`, error);
  }
}

function describePlan(options: PostgresqlOptions, { facts, toolset, databases, bytes }: DumpPlan): string {
  const what =
    options.format === "cluster"
      ? "the whole server"
      : databases === 1 && options.databases === undefined
        ? `database ${facts.database}`
        : `${databases} database${databases === 1 ? "" : "s"}`;
  const where = options.via === undefined ? "" : ` ${describeVia(options.via)}`;
  const standby = facts.standby ? ", a standby" : "";
  return `PostgreSQL ${facts.version}${where}${standby}, ${what}, ${describeBytes(bytes)}${toolset === undefined ? "" : `, by pg_dump ${toolset.version}`}`;
}

const poolerPorts: ReadonlySet<string> = new Set(["6432", "6543"]);

/** One in session mode keeps sessions apart; the server may still be out of its reach for a restore, and it ends who waits too long. */
function* describeConnection({ access: { connection }, facts: { pooled } }: DumpPlan): Generator<Note> {
  const { port } = connection;
  if (!pooled && (port === undefined || !poolerPorts.has(port))) return;
  const what = pooled ? "A connection pooler answers there" : `Port ${port ?? ""} is usually a connection pooler's`;
  yield {
    level: "warning",
    code: "pooler",
    message: `${what}: connect to the server itself (its own port, usually 5432); restores through a pooler are refused`,
  };
}

async function* collectUpgrade(options: PostgresqlOptions, { facts }: DumpPlan, signal: AbortSignal): AsyncGenerator<Note> {
  if (options.via !== undefined || options.format === "sqlite") return; // the image brings both
  const newest = (await listToolsets(options, "pg_dump", signal)).at(-1);
  if (newest === undefined || newest.major > facts.major) return;
  yield {
    level: "warning",
    code: "tools-newest",
    message: `pg_dump ${newest.version} is the newest here: before the server is upgraded beyond PostgreSQL ${newest.major}, install postgresql-client of its new version, or backups fail`,
  };
}

async function describeUpgrade(options: PostgresqlOptions, plan: DumpPlan, signal: AbortSignal): Promise<readonly Note[]> {
  return await Array.fromAsync(collectUpgrade(options, plan, signal));
}
