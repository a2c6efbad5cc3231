import { z } from "zod";
import { selectRows } from "./restore-sql.ts";
import { quoteLiteral, quoteName } from "./quote-sql.ts";
import type { SqlSession } from "./sql-session.ts";

const schema = z.object({
  oid: z.string(),
  name: z.string(),
  owner: z.string(),
  encoding: z.string(),
  collate: z.string(),
  ctype: z.string(),
  /** `c`: libc, `i`: ICU, `b`: built in. */
  provider: z.string(),
  locale: z.string().nullable(),
  icuRules: z.string().nullable(),
  connectionLimit: z.number(),
  allowsConnections: z.boolean(),
  isTemplate: z.boolean(),
  tablespace: z.string(),
  bytes: z.number(),
  comment: z.string().nullable(),
  labels: z.array(z.object({ provider: z.string(), label: z.string() })),
  /** Null: the default rights. A grantee of null is everybody. */
  grants: z.array(z.object({ grantee: z.string().nullable(), privilege: z.string(), grantable: z.boolean() })).nullable(),
  /** `name=value`, of everybody or of one role in this database. */
  settings: z.array(z.object({ role: z.string().nullable(), setting: z.string() })),
});

/** What a database has besides its data, and what a new one in its place must have too. */
export type DatabaseProperties = z.output<typeof schema>;

/** Undefined when there is no such database. Works from any database of the server. */
export async function readProperties(session: SqlSession, database: string): Promise<DatabaseProperties | undefined> {
  // Versions differ in what they call the locale: 15 and 16 `daticulocale`, later ones `datlocale`.
  const rows = await selectRows(
    session,
    `SELECT d.oid::text AS oid, d.datname AS name, pg_catalog.pg_get_userbyid(d.datdba) AS owner,
      pg_catalog.pg_encoding_to_char(d.encoding) AS encoding, d.datcollate AS collate, d.datctype AS ctype,
      coalesce(pg_catalog.to_jsonb(d)->>'datlocprovider', 'c') AS provider,
      coalesce(pg_catalog.to_jsonb(d)->>'datlocale', pg_catalog.to_jsonb(d)->>'daticulocale') AS locale,
      pg_catalog.to_jsonb(d)->>'daticurules' AS "icuRules",
      d.datconnlimit AS "connectionLimit", d.datallowconn AS "allowsConnections", d.datistemplate AS "isTemplate", t.spcname AS tablespace,
      CASE WHEN pg_catalog.has_database_privilege(d.oid, 'CONNECT') OR pg_catalog.pg_has_role('pg_read_all_stats', 'MEMBER')
        THEN pg_catalog.pg_database_size(d.oid) ELSE 0 END AS bytes,
      pg_catalog.shobj_description(d.oid, 'pg_database') AS comment,
      coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object('provider', l.provider, 'label', l.label))
        FROM pg_catalog.pg_shseclabel l WHERE l.objoid = d.oid AND l.classoid = 'pg_catalog.pg_database'::regclass), '[]') AS labels,
      CASE WHEN d.datacl IS NULL THEN NULL ELSE coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
        'grantee', CASE WHEN a.grantee = 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(a.grantee) END,
        'privilege', a.privilege_type, 'grantable', a.is_grantable)) FROM pg_catalog.aclexplode(d.datacl) a), '[]') END AS grants,
      coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
        'role', CASE WHEN s.setrole = 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(s.setrole) END, 'setting', c.setting) ORDER BY s.setrole)
        FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) AS c(setting) WHERE s.setdatabase = d.oid), '[]') AS settings
     FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace WHERE d.datname = ${quoteLiteral(database)}`,
    schema,
  );
  return rows[0];
}

/** The statement that makes an empty database like it, under another name. */
export function createDatabaseSql(name: string, like: DatabaseProperties): string {
  const locale = like.locale === null ? "" : quoteLiteral(like.locale);
  const providers: Readonly<Record<string, string>> = {
    i: ` LOCALE_PROVIDER icu ICU_LOCALE ${locale}${like.icuRules === null ? "" : ` ICU_RULES ${quoteLiteral(like.icuRules)}`}`,
    b: ` LOCALE_PROVIDER builtin BUILTIN_LOCALE ${locale}`,
  };
  return [
    `CREATE DATABASE ${quoteName(name)} TEMPLATE template0 OWNER ${quoteName(like.owner)} ENCODING ${quoteLiteral(like.encoding)}`,
    ` LC_COLLATE ${quoteLiteral(like.collate)} LC_CTYPE ${quoteLiteral(like.ctype)}${providers[like.provider] ?? ""}`,
    // It is where new databases go anyway, and naming it needs a right to it.
    like.tablespace === "pg_default" ? "" : ` TABLESPACE ${quoteName(like.tablespace)}`,
  ].join("");
}

/** Who may do what with it: to be given before the data comes, so that nobody else reads it meanwhile. */
export function grantSql(name: string, like: Pick<DatabaseProperties, "owner" | "grants">): readonly string[] {
  const database = quoteName(name);
  if (like.grants === null) return [];
  return [
    `REVOKE ALL ON DATABASE ${database} FROM PUBLIC, ${quoteName(like.owner)}`,
    ...like.grants.map(({ grantee, privilege, grantable }) => {
      const to = grantee === null ? "PUBLIC" : quoteName(grantee);
      return `GRANT ${privilege} ON DATABASE ${database} TO ${to}${grantable ? " WITH GRANT OPTION" : ""}`;
    }),
  ];
}

/** The rest of what makes it like the other: to be given after the data, for some settings would be in the way of loading. */
export function finishPropertiesSql(name: string, like: DatabaseProperties): readonly string[] {
  const database = quoteName(name);
  return [
    ...(like.comment === null ? [] : [`COMMENT ON DATABASE ${database} IS ${quoteLiteral(like.comment)}`]),
    ...like.labels.map((each) => `SECURITY LABEL FOR ${quoteName(each.provider)} ON DATABASE ${database} IS ${quoteLiteral(each.label)}`),
    ...like.settings.map(({ role, setting }) => {
      const at = setting.indexOf("=");
      const what = role === null ? `DATABASE ${database}` : `ROLE ${quoteName(role)} IN DATABASE ${database}`;
      return `ALTER ${what} SET ${quoteSettingName(setting.slice(0, at))} TO ${quoteSetting(setting.slice(0, at), setting.slice(at + 1))}`;
    }),
    `ALTER DATABASE ${database} WITH CONNECTION LIMIT ${like.connectionLimit}${like.isTemplate ? " IS_TEMPLATE true" : ""}`,
  ];
}

/** Settings whose value is a list of quoted names: as one literal it would become one name. */
const lists: readonly string[] = [
  "local_preload_libraries",
  "search_path",
  "session_preload_libraries",
  "shared_preload_libraries",
  "temp_tablespaces",
  "unix_socket_directories",
];

function quoteSettingName(name: string): string {
  return name.split(".").map(quoteName).join(".");
}

function quoteSetting(name: string, value: string): string {
  if (!lists.includes(name.toLowerCase())) return quoteLiteral(value);
  const parts = [...value.matchAll(/\s*(?:"((?:[^"]|"")*)"|([^,"]+))\s*(?:,|$)/g)].map(([, quoted, plain]) =>
    quoted === undefined ? (plain ?? "").trim() : quoted.replaceAll('""', '"'),
  );
  return parts.length === 0 ? "''" : parts.map(quoteLiteral).join(", ");
}
