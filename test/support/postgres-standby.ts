import { chmodSync, chownSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execFileSync } from "node:child_process";
import { findFreePort } from "./free-port.ts";
import { findAccount, PostgresServer } from "./postgres.ts";

/** A streaming standby of a private server, copied by pg_basebackup. Must be closed, before the primary is. */
export async function openStandby(primary: PostgresServer, config: readonly string[] = []): Promise<PostgresServer> {
  const directory = mkdtempSync(join(tmpdir(), "pg-standby-"));
  chmodSync(directory, 0o755);
  const { uid, gid } = findAccount();
  chownSync(directory, uid, gid);
  const standby = new PostgresServer(primary.major, directory, await findFreePort());
  const connection = ["-h", primary.socketDirectory, "-p", String(primary.port), "-U", "postgres"];
  const copy = ["-D", standby.dataDirectory, "--wal-method=stream", "--checkpoint=fast", "--no-sync"];
  execFileSync(
    "setpriv",
    [`--reuid=${uid}`, `--regid=${gid}`, "--clear-groups", "--", join(primary.binDir, "pg_basebackup"), ...connection, ...copy],
    {
      cwd: "/",
      stdio: "pipe",
    },
  );
  // The last of a setting wins.
  const lines = [`port = ${standby.port}`, `unix_socket_directories = '${directory}'`, "hot_standby = on", ...config];
  // Not by pg_basebackup, which writes settings that only its own version of libpq knows.
  lines.push(`primary_conninfo = 'host=${primary.socketDirectory} port=${primary.port} user=postgres'`);
  writeFileSync(join(standby.dataDirectory, "standby.signal"), "");
  writeFileSync(join(standby.dataDirectory, "postgresql.conf"), `${lines.join("\n")}\n`, { flag: "a" });
  try {
    await standby.start();
    return standby;
  } catch (error) {
    await standby[Symbol.asyncDispose]();
    throw error;
  }
}
