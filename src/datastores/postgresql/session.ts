import { setTimeout as delay } from "node:timers/promises";
import { describeCause, HoldfastError } from "../../base/errors.ts";
import { createAbortError } from "../../base/subprocess.ts";
import { classifyError } from "./classify-error.ts";
import type { Access } from "./connection.ts";
import { canConnectDirectly, openDirectSession } from "./direct-session.ts";
import { requireOwnConnection } from "./pooler.ts";
import { openPsqlSession } from "./psql-session.ts";
import type { SqlSession } from "./sql-session.ts";

export interface SessionSettings {
  /** psql, for connections that only libpq can make and for those through a container; its name or path. */
  readonly psql: string;
  /** A server that is still starting, or whose socket is not there yet, is asked again for this long. */
  readonly waitForMs?: number;
  /** A time limit of our own for every statement; none by default. */
  readonly statementTimeoutMs?: number;
}

const retryDelayMs = 200;

/** As a statement that gives no error where commits wait for the disk already. */
export const durableCommits =
  "SELECT pg_catalog.set_config('synchronous_commit', 'local', false) WHERE pg_catalog.current_setting('synchronous_commit') = 'off'";

/** A session may have to wait for as long as another one works; the setting came with PostgreSQL 14. */
export const stayIdleSql =
  "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name = 'idle_session_timeout' AND setting <> '0'";

/**
 * Connects directly where Node can make the connection (a password, one host, no account to become), else through psql. Throws classified
 * errors: source-unreachable, source-unreadable, source-missing, tool-missing.
 */
export async function openSession(access: Access, settings: SessionSettings, signal: AbortSignal): Promise<SqlSession> {
  const deadlineMs = performance.now() + (settings.waitForMs ?? 0);
  for (;;) {
    try {
      const session = await connect(access, settings.psql, signal);
      return await prepareSession(session, access, settings, signal);
    } catch (thrown) {
      if (signal.aborted) throw createAbortError(signal, "The connection was given up");
      const error = classifyError(thrown);
      if (!(error instanceof HoldfastError) || error.code !== "source-unreachable" || performance.now() > deadlineMs) throw error;
      await delay(retryDelayMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

async function connect(access: Access, psql: string, signal: AbortSignal): Promise<SqlSession> {
  if (!canConnectDirectly(access)) return await openPsqlSession(access, psql, signal);
  try {
    return await openDirectSession(access, signal);
  } catch (error) {
    // The server wants TLS on this machine too, as libpq would have tried at first.
    if (!/no encryption/.test(describeCause(error)) || access.connection.settings["sslmode"] !== undefined) throw error;
    return await openPsqlSession(access, psql, signal);
  }
}

/** Our own catalog queries must find the catalog whatever a role's settings are, and end. */
async function prepareSession(
  session: SqlSession,
  access: Access,
  { psql, statementTimeoutMs = 0 }: SessionSettings,
  signal: AbortSignal,
): Promise<SqlSession> {
  try {
    // Before the first setting: in a shared connection it would stay, and the application would have it.
    await requireOwnConnection(session, access, (limit) => connect(access, psql, limit), signal);
    await session.query("SET search_path = pg_catalog");
    await session.query(`SET statement_timeout = ${statementTimeoutMs}`);
    await session.query("SET lock_timeout = 0");
    await session.query("SET idle_in_transaction_session_timeout = 0");
    await session.query(stayIdleSql);
    await session.query("SET client_encoding = 'UTF8'");
    // Rows are copied through these sessions: a value's text must say all of it, whatever a server or a role is set to.
    await session.query("SET extra_float_digits = 3");
    // What such a session commits is reported as done: it is on the disk then, whatever a server, a database or a role is set to. A standby
    // is not waited for.
    await session.query(durableCommits);
    await session.query("SET DateStyle = 'ISO, YMD'");
    await session.query("SET IntervalStyle = 'postgres'");
    return session;
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw error;
  }
}
