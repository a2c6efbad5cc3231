import { quoteLiteral, quoteName } from "./quote-sql.ts";
import { createDatabaseSql, finishPropertiesSql, grantSql, type DatabaseProperties } from "./restore-properties.ts";

/** What a database is to be besides its data, as statements for whatever name it has at the time. */
export interface DatabaseShape {
  readonly create: (name: string) => string;
  /** Who may use it; before the data comes, so that nobody else reads it meanwhile. */
  readonly grant: (name: string) => readonly string[];
  /** After the data: settings may be in the way of loading. */
  readonly finish: (name: string) => readonly string[];
}

/** Like the database that is to be replaced. */
export function shapeLike(properties: DatabaseProperties): DatabaseShape {
  return {
    create: (name) => createDatabaseSql(name, properties),
    grant: (name) => grantSql(name, properties),
    finish: (name) => finishPropertiesSql(name, properties),
  };
}

/** Where nothing is known of it: a plain dump has only rows and definitions. */
export function shapePlainly(encoding: string | undefined): DatabaseShape {
  return {
    create: (name) =>
      `CREATE DATABASE ${quoteName(name)} TEMPLATE template0${encoding === undefined ? "" : ` ENCODING ${quoteLiteral(encoding)}`}`,
    grant: () => [],
    finish: () => [],
  };
}

/** A statement of a dump that is about the database itself. */
export const databaseStatement =
  /^(CREATE DATABASE|ALTER DATABASE|COMMENT ON DATABASE|SECURITY LABEL FOR \S+ ON DATABASE|ALTER ROLE [\s\S]+ IN DATABASE|(GRANT|REVOKE) [A-Z, ]+ ON DATABASE) /;

/** The name of a database as pg_dump writes it, quoted only where it must be. */
const named = String.raw`("(?:[^"]|"")*"|[^\s"]+)`;
const creation = new RegExp(`^(CREATE DATABASE )${named}`);
const changes = new RegExp(`^((?:ALTER|COMMENT ON|SECURITY LABEL FOR \\S+ ON) DATABASE |ALTER ROLE [\\s\\S]+? IN DATABASE )${named}`);
const rights = new RegExp(`^((?:GRANT|REVOKE) [A-Z, ]+ ON DATABASE )${named}`);

/** As a dump tells it; undefined for dumps that tell nothing. */
export function shapeFromStatements(statements: readonly string[]): DatabaseShape | undefined {
  const create = statements.find((statement) => creation.test(statement));
  if (create === undefined) return undefined;
  const rename = (pattern: RegExp, statement: string, name: string): string =>
    statement.replace(pattern, (_, before: string) => `${before}${quoteName(name)}`);
  const isOwner = (statement: string): boolean => /^ALTER DATABASE [\s\S]* OWNER TO /.test(statement);
  return {
    create: (name) => rename(creation, create, name),
    grant: (name) => [
      ...statements.filter(isOwner).map((statement) => rename(changes, statement, name)),
      ...statements.filter((statement) => rights.test(statement)).map((statement) => rename(rights, statement, name)),
    ],
    finish: (name) =>
      statements.filter((statement) => changes.test(statement) && !isOwner(statement)).map((statement) => rename(changes, statement, name)),
  };
}
