import { quotePattern } from "./entry-names.ts";
import { defaults, type PostgresqlOptions } from "./options.ts";
import { quoteName } from "./quote-sql.ts";

/** The arguments of pg_dump for one database, where `tables` are those that the options mean. The connection goes by its environment. */
export function createDumpArguments(
  options: PostgresqlOptions,
  tables: readonly string[],
  { directory, snapshot }: { readonly directory?: string; readonly snapshot?: string } = {},
): readonly string[] {
  const { format, dumpCompression, schemas } = options;
  const each = (option: string, patterns: readonly string[]): readonly string[] =>
    patterns.map((pattern) => `${option}=${quotePattern(pattern)}`);
  const level = dumpCompression === "none" ? 0 : dumpCompression.level;
  return [
    "--no-password",
    `--format=${format}`,
    ...(format === "plain" ? [] : [`--compress=${level}`]),
    ...(directory === undefined ? [] : [`--file=${directory}`, `--jobs=${options.jobs}`]),
    ...(snapshot === undefined ? [] : [`--snapshot=${snapshot}`]),
    createLockArgument(options),
    ...(options.schemaOnly ? ["--schema-only"] : []),
    ...(options.dataOnly ? ["--data-only"] : []),
    // A table that is asked for by name and is not there is a failure, not a smaller dump.
    ...(tables.length + schemas.length > 0 ? ["--strict-names"] : []),
    ...tables.map((table) => `--table=${table}`),
    ...each("--exclude-table", options.excludeTables),
    ...each("--exclude-table-data", options.excludeTableData),
    ...each("--schema", schemas),
    ...each("--exclude-schema", options.excludeSchemas),
    ...(options.largeObjects ? [] : ["--no-blobs"]),
  ];
}

/** The arguments of pg_dumpall: everything, or only roles and tablespaces. */
export function createClusterArguments(
  options: PostgresqlOptions,
  what: "all" | "globals",
  leftOut: readonly string[] = [],
): readonly string[] {
  return [
    "--no-password",
    createLockArgument(options),
    ...(what === "globals"
      ? ["--globals-only"]
      : [
          ...options.excludeDatabases.map((name) => `--exclude-database=${quotePattern(escapeDots(name))}`),
          ...leftOut.map((name) => `--exclude-database=${quoteName(name)}`),
        ]),
    ...(what === "globals" && options.globals === "without-passwords" ? ["--no-role-passwords"] : []),
  ];
}

function createLockArgument({ lockTimeout }: PostgresqlOptions): string {
  return `--lock-wait-timeout=${lockTimeout ?? defaults.lockTimeoutMs}`;
}

/** A database has no schema before its name. */
function escapeDots(name: string): string {
  return name.includes(".") && !name.includes('"') ? name.replaceAll(/[^*?]+/g, (text) => `"${text}"`) : name;
}
