import { userInfo } from "node:os";
import { HoldfastError } from "../../base/errors.ts";
import { resolveIdentity, type Identity } from "../../base/identity.ts";
import { pickDefined } from "../../base/pick-defined.ts";
import { Secret } from "../../base/secret.ts";
import { runProgram, type ProgramOptions } from "../../base/subprocess.ts";
import { wrapCommand, type Via } from "../via.ts";
import { connectionFields, type ConnectionOptions } from "./connection-fields.ts";
import { parseConnectionUrl } from "./connection-url.ts";
import type { PostgresqlOptions } from "./options.ts";

/** What is known of a connection. What is absent is libpq's default where the tools run. */
export interface Connection {
  /** Name, address or directory of the socket; several with commas, from a URL. */
  readonly host?: string;
  readonly port?: string;
  readonly user?: string;
  readonly password?: Secret;
  readonly database?: string;
  /** Other settings by libpq's names: `sslmode`, `service`, `passfile` … */
  readonly settings: Readonly<Record<string, string>>;
}

/** How tools and sessions reach a server: where it is, as whom, and through what. */
export interface Access {
  readonly connection: Connection;
  readonly via: Via | undefined;
  /** The account that runs the tools; null: as we are. */
  readonly identity: Identity | null;
  readonly home: string | undefined;
}

/** A tool as it is to be started with openProgram or streamProgram. */
export interface PreparedTool {
  readonly program: string;
  readonly args: readonly string[];
  readonly options: ProgramOptions;
}

/** Settings of a URL that libpq takes from the environment. */
const variables: Readonly<Record<string, string>> = {
  service: "PGSERVICE",
  passfile: "PGPASSFILE",
  sslmode: "PGSSLMODE",
  sslrootcert: "PGSSLROOTCERT",
  sslcert: "PGSSLCERT",
  sslkey: "PGSSLKEY",
  sslcrl: "PGSSLCRL",
  sslnegotiation: "PGSSLNEGOTIATION",
  ssl_min_protocol_version: "PGSSLMINPROTOCOLVERSION",
  ssl_max_protocol_version: "PGSSLMAXPROTOCOLVERSION",
  channel_binding: "PGCHANNELBINDING",
  require_auth: "PGREQUIREAUTH",
  gssencmode: "PGGSSENCMODE",
  krbsrvname: "PGKRBSRVNAME",
  target_session_attrs: "PGTARGETSESSIONATTRS",
  connect_timeout: "PGCONNECT_TIMEOUT",
  application_name: "PGAPPNAME",
  options: "PGOPTIONS",
  hostaddr: "PGHOSTADDR",
  load_balance_hosts: "PGLOADBALANCEHOSTS",
};

const connectTimeoutSeconds = "10";

/** The connection that the options name; for restoring, what `restoreConnection` says goes first. */
export function resolveConnection(options: ConnectionOptions & Pick<PostgresqlOptions, "restoreConnection">, purpose: Purpose): Connection {
  const base = readConnection(options);
  if (purpose === "backup" || options.restoreConnection === undefined) return base;
  const override = readConnection(options.restoreConnection);
  // A password belongs to its user.
  const { password, ...withoutPassword } = base;
  const kept = override.user === undefined || override.user === base.user || password === undefined ? base : withoutPassword;
  return { ...dropPlace(kept, override), ...override, settings: { ...dropAddress(base.settings, override), ...override.settings } };
}

/** Several ports belong to several hosts. */
function dropPlace(base: Connection, { host }: Connection): Connection {
  if (host === undefined || base.port?.includes(",") !== true) return base;
  const { port: _, ...rest } = base;
  return rest;
}

/** libpq goes to `hostaddr` whatever the host is called: it belongs to its host. */
function dropAddress(settings: Connection["settings"], { host }: Connection): Connection["settings"] {
  if (host === undefined) return settings;
  const { hostaddr: _, ...rest } = settings;
  return rest;
}

/** The same options with the connection of a restore as their only one. */
export function redirectOptions(options: PostgresqlOptions): PostgresqlOptions {
  const { host, port, user, password, database, settings } = resolveConnection(options, "restore");
  const query = Object.entries(pickDefined({ port, ...settings })).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
  const url = new Secret(`postgresql:///?${query.join("&")}`);
  const rest = Object.entries(options).filter(([name]) => name !== "restoreConnection" && !Object.hasOwn(connectionFields, name));
  return { ...Object.fromEntries(rest), url, ...pickDefined({ host, user, password, database }) } as PostgresqlOptions;
}

export type Purpose = "backup" | "restore";

function readConnection(options: ConnectionOptions): Connection {
  const url = options.url === undefined ? { settings: {} } : parseConnectionUrl(options.url.reveal());
  const { host, port, user, password, database, service, passfile, ssl } = options;
  const settings: Record<string, string | undefined> = {
    ...url.settings,
    service: service ?? url.settings["service"],
    passfile: passfile ?? url.settings["passfile"],
    ...(ssl === undefined ? {} : { sslmode: ssl.mode, sslrootcert: ssl.rootCert, sslcert: ssl.cert, sslkey: ssl.key }),
  };
  for (const name of Object.keys(url.settings)) {
    if (variables[name] !== undefined) continue;
    throw new HoldfastError("config-invalid", `The connection URL has a setting that cannot be passed on: ${JSON.stringify(name)}`, {
      hint: `Remove it; possible are ${Object.keys(variables).join(", ")}.`,
    });
  }
  const found = { host: host ?? url.host, port: port?.toString() ?? url.port, user: user ?? url.user, database: database ?? url.database };
  const secret = password ?? (url.password === undefined ? undefined : new Secret(url.password));
  return { ...pickDefined(found), ...(secret === undefined ? {} : { password: secret }), settings: pickDefined(settings) };
}

/** Throws `config-invalid` for a `runAs` that does not exist or that we may not become. */
export async function resolveAccess(options: PostgresqlOptions, purpose: Purpose, signal: AbortSignal): Promise<Access> {
  const connection = resolveConnection(options, purpose);
  if (options.runAs === undefined) return { connection, via: options.via, identity: null, home: undefined };
  const identity = await resolveIdentity(options.runAs, { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 }, signal);
  return { connection, via: options.via, identity, home: identity === null ? undefined : await findHome(identity, signal) };
}

/** libpq looks for certificates and password files below HOME, and an unreadable one is an error. */
async function findHome({ uid }: Identity, signal: AbortSignal): Promise<string> {
  const { stdout } = await runProgram("getent", ["passwd", "--", String(uid)], { accept: [0, 2], timeoutMs: 10_000 }, signal);
  return stdout.trim().split(":")[5] ?? "/nonexistent";
}

/** The same server, another database. */
export function selectDatabase(access: Access, database: string): Access {
  return { ...access, connection: { ...access.connection, database } };
}

/**
 * libpq's settings as environment variables: the whole connection goes this way and nothing of it by arguments, so that no name of a
 * database is ever taken for an option or a connection string.
 */
export function createEnvironment(connection: Connection): {
  readonly env: Readonly<Record<string, string>>;
  readonly secrets: Readonly<Record<string, Secret>>;
} {
  const { host, port, user, database, password, settings } = connection;
  const named = Object.entries(settings).map(([name, value]) => [variables[name] ?? name, value] as const);
  const env = pickDefined({ PGHOST: host, PGPORT: port, PGUSER: user, PGDATABASE: database });
  return {
    env: { PGCONNECT_TIMEOUT: connectTimeoutSeconds, PGAPPNAME: "holdfast", ...env, ...Object.fromEntries(named) },
    secrets: password === undefined ? {} : { PGPASSWORD: password },
  };
}

/** A tool of PostgreSQL with the connection in its environment, run as the right account in the right place. */
export function prepareTool(access: Access, program: string, args: readonly string[]): PreparedTool {
  const { env, secrets } = createEnvironment(access.connection);
  const allArgs = [...createServiceArguments(access.connection), ...args];
  // Messages are read by programs: English.
  const command = wrapCommand(access.via, {
    program,
    args: allArgs,
    env: access.via === undefined ? env : { ...env, LC_ALL: "C" },
    secrets,
  });
  const { identity, home } = access;
  return {
    program: command.program,
    args: command.args,
    options: {
      env: { ...command.env, ...(home === undefined ? {} : { HOME: home }) },
      ...(command.cwd === undefined ? {} : { cwd: command.cwd }),
      ...(identity === null ? {} : { uid: identity.uid, gid: identity.gid }),
    },
  };
}

/** What a service file says goes before the environment, and arguments go before a service file. */
function createServiceArguments({ settings, host, port, user, database }: Connection): readonly string[] {
  if (settings["service"] === undefined) return [];
  const parts = Object.entries(pickDefined({ host, port, user, dbname: database }));
  if (parts.length === 0) return [];
  return [`--dbname=${parts.map(([name, value]) => `${name}='${value.replaceAll(/[\\']/g, String.raw`\$&`)}'`).join(" ")}`];
}

/** The user whom libpq would take. */
export function describeUser({ connection, identity }: Access): string {
  return connection.user ?? identity?.user ?? userInfo().username;
}

/** Where a server is, without secrets, as a URL: for manifests, messages and a restore without a config. */
export function describeAddress(connection: Connection, database = connection.database): string {
  const { host, port, user, settings } = connection;
  const query: (readonly [string, string])[] = [];
  const isSocket = host === undefined || host.startsWith("/") || host.includes(",");
  if (isSocket && host !== undefined) query.push(["host", host]);
  if (isSocket && port !== undefined) query.push(["port", port]);
  for (const name of ["service", "sslmode"]) if (settings[name] !== undefined) query.push([name, settings[name]]);
  const place = isSocket ? "" : `${host.includes(":") ? `[${host}]` : encodeURIComponent(host)}${port === undefined ? "" : `:${port}`}`;
  const who = user === undefined ? "" : `${encodeURIComponent(user)}@`;
  const tail = query.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
  return `postgresql://${who}${place}/${encodeURIComponent(database ?? "")}${tail === "" ? "" : `?${tail}`}`;
}
