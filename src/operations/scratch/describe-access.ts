import { basename, join } from "node:path";
import type { ManifestMember } from "../../archive/manifest.ts";
import { describeServerEntry, quote } from "../../archive/restore-commands.ts";

/** Longer paths have no socket. */
const socketPathBytes = 107;

/** The commands to look into the files of a member that was restored into a directory. */
export function describeAccess({ kind, entries }: ManifestMember, path: string): readonly string[] {
  const files = entries.map((entry) => ({ entry, file: join(path, basename(entry.name)) }));
  switch (kind) {
    case "sqlite":
      return files.map(({ file }) => `sqlite3 -readonly ${quote(file)}`);
    case "redis":
      return files.flatMap(({ file }) => describeRedis(path, basename(file)));
    case "postgresql":
      return files.flatMap(({ entry, file }) => describePostgresql(entry, file));
    case "neo4j":
      return files.flatMap(({ entry, file }) =>
        entry.form === "tree" ? [`ls -la ${quote(path)}`] : (describeServerEntry("neo4j", entry, `cat ${quote(file)}`) ?? []),
      );
    default:
      return [`ls -la ${quote(path)}`];
  }
}

/** A server of its own, on a socket beside the RDB, which saves nothing. */
function describeRedis(path: string, file: string): readonly string[] {
  const socket = join(path, "s");
  const place =
    Buffer.byteLength(socket) > socketPathBytes
      ? ["--bind 127.0.0.1 --port 6390"]
      : ["--port 0", `--unixsocket ${quote(socket)}`, "--unixsocketperm 700"];
  const how = `${place.join(" ")} --dir ${quote(path)} --dbfilename ${quote(file)} --databases 1024 --appendonly no --save ''`;
  return [`redis-server ${how}`, place.length === 1 ? "redis-cli -p 6390" : `redis-cli -s ${quote(socket)}`];
}

function describePostgresql(entry: ManifestMember["entries"][number], file: string): readonly string[] {
  if (entry.form !== "tree") return describeServerEntry("postgresql", entry, `cat ${quote(file)}`) ?? [];
  const directory = file.replace(/\.tar$/, "");
  return [
    `pg_restore --list ${quote(directory)}`,
    `createdb NAME && pg_restore --exit-on-error --dbname=NAME --jobs=2 ${quote(directory)}`,
  ];
}
