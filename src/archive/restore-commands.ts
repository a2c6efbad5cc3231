/** One stored entry of a member that was dumped from a server. */
export interface ServerEntry {
  readonly name: string;
  readonly form: "file" | "tree";
  /** A URL without secrets. */
  readonly sourcePath: string;
}

/** As one word for `sh`; never taken for an option. */
export function quote(text: string): string {
  const word = text.startsWith("-") ? `./${text}` : text;
  return /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * The commands that load a dump into its server with the server's own tools; undefined for kinds whose data lies in files.
 * @param read the command that prints the entry's plain bytes
 */
export function describeServerEntry(kind: string, entry: ServerEntry, read: string): readonly string[] | undefined {
  if (kind === "postgresql") return describePostgresql(entry, read);
  // The tar of a data directory is unpacked like any other.
  if (kind === "neo4j") return entry.form === "tree" ? undefined : describeNeo4j(entry, read);
  if (kind === "chroma" && entry.form === "file") return describeChroma(entry, read);
  return kind === "redis" ? describeRedis(entry, read) : undefined;
}

function describePostgresql({ name, form, sourcePath }: ServerEntry, read: string): readonly string[] {
  const { database, server, own } = splitAddress(sourcePath);
  const restore = `pg_restore --exit-on-error --create --dbname=${quote(server)}`;
  const first = "# a database of this name must be gone, or be renamed before: ALTER DATABASE ... RENAME TO ...";
  if (name.endsWith(".db")) return ["# the rows of every table as a SQLite file", `${read} > /var/tmp/${quote(name)}`];
  if (form === "tree") {
    const directory = `/var/tmp/${quote(name)}.restore`;
    return [first, `mkdir -m 700 ${directory}`, `${read} | tar -xf - -C ${directory}`, `${restore} --jobs=2 ${directory}`];
  }
  if (!name.endsWith(".sql")) return [first, `${read} | ${restore}`];
  const load = `${read} | psql -X -q --dbname=`;
  if (database === undefined) return ["# what it says of roles that are there already is no harm", `${load}${quote(server)}`];
  const make = `CREATE DATABASE "${database.replaceAll('"', '""')}" TEMPLATE template0`;
  return [first, `psql -X -q --dbname=${quote(server)} -c ${quote(make)}`, `${load}${quote(own)} -v ON_ERROR_STOP=1`];
}

/** The database that a URL names, and the same server's `postgres`, from where others are made. */
function splitAddress(url: string): { readonly database: string | undefined; readonly server: string; readonly own: string } {
  const [, head = "postgresql://", database = "", tail = ""] = /^([a-z]+:\/\/[^/?]*)\/?([^?]*)(\?.*)?$/.exec(url) ?? [];
  return { database: database === "" ? undefined : decodeURIComponent(database), server: `${head}/postgres${tail}`, own: url };
}

function describeRedis({ sourcePath }: ServerEntry, read: string): readonly string[] {
  const told = URL.parse(sourcePath)?.searchParams.get("rdbPath") ?? undefined;
  const target = quote(told ?? "/var/lib/redis/dump.rdb");
  return [
    `# stop the server first${told === undefined ? "; its file is where CONFIG GET dir and CONFIG GET dbfilename say" : ""}`,
    `${read} > ${target}`,
    `redis-check-rdb ${target}`,
    `chown --reference="$(dirname ${target})" ${target}`,
    "# with `appendonly yes` move its appendonlydir away, start it once with --appendonly no, then CONFIG SET appendonly yes",
  ];
}

/** `sourcePath` is the directory of the database, in `databases` of a data directory. */
function describeNeo4j({ name, sourcePath }: ServerEntry, read: string): readonly string[] {
  const [, data = "/var/lib/neo4j/data", database = "neo4j"] = /^(.+)\/databases\/([^/]+)$/.exec(sourcePath) ?? [];
  const directory = `/var/tmp/${quote(database)}.restore`;
  const archive = name.endsWith(".backup") ? `${database}-2000-01-01T00-00-00.backup` : `${database}.dump`;
  return [
    "# stop the server first",
    `mkdir -m 700 ${directory}`,
    `${read} > ${directory}/${quote(archive)}`,
    `neo4j-admin database load ${quote(database)} --from-path=${directory} --overwrite-destination=true`,
    `chown -R --reference=${quote(data)} ${quote(`${data}/databases/${database}`)} ${quote(`${data}/transactions/${database}`)}`,
  ];
}

function describeChroma({ name, sourcePath }: ServerEntry, read: string): readonly string[] {
  const url = URL.parse(sourcePath);
  const part = (key: string): string => encodeURIComponent(url?.searchParams.get(key) ?? key.toUpperCase());
  const place = `${url?.origin ?? "http://SERVER"}/api/v2/tenants/${part("tenant")}/databases/${part("database")}/collections`;
  return [
    "# lines of JSON; a `records` line is the body by which the server takes records, for the collection named above it:",
    `${read} > /var/tmp/${quote(name)}`,
    "# make each collection from its name, metadata and schema (or configuration_json as `configuration`); the server tells its id:",
    `#   curl -X POST -H 'content-type: application/json' ${quote(place)} -d '{"name": ..., "metadata": ..., "schema": ...}'`,
    "# then, for each line of its records:",
    `#   curl -X POST -H 'content-type: application/json' ${quote(`${place}/ID/add`)} -d '{"ids": ..., "embeddings": ..., ...}'`,
  ];
}
