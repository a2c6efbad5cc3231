import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findFreePort } from "./free-port.ts";
import { findAccount, superuserPassword, type PostgresServer } from "./postgres.ts";
import { waitUntil } from "./wait-until.ts";

export interface Bouncer extends AsyncDisposable {
  readonly port: number;
  /** Options of a datastore that connects through it. */
  options(extra?: Readonly<Record<string, unknown>>): Record<string, unknown>;
}

/** PgBouncer in front of all databases of a private server. Must be closed. */
export async function openBouncer(server: PostgresServer, mode: "session" | "transaction" | "statement"): Promise<Bouncer> {
  const directory = mkdtempSync(join(tmpdir(), "bouncer-"));
  chmodSync(directory, 0o755);
  const { uid, gid } = findAccount();
  const port = await findFreePort();
  const users = join(directory, "users");
  writeFileSync(users, `"postgres" "${superuserPassword}"\n`);
  const settings = [
    "[databases]",
    `* = host=127.0.0.1 port=${server.port}`,
    "[pgbouncer]",
    "listen_addr = 127.0.0.1",
    `listen_port = ${port}`,
    "unix_socket_dir =",
    "auth_type = plain",
    `auth_file = ${users}`,
    `pool_mode = ${mode}`,
    "default_pool_size = 5",
  ];
  const config = join(directory, "bouncer.ini");
  writeFileSync(config, `${settings.join("\n")}\n`);
  for (const path of [directory, users, config]) chownSync(path, uid, gid);
  const become = ["--pdeathsig", "KILL", `--reuid=${uid}`, `--regid=${gid}`, "--clear-groups", "--"];
  const child = spawn("setpriv", [...become, "/usr/sbin/pgbouncer", "-q", config], { stdio: "ignore", cwd: "/" });
  const exited = once(child, "exit");
  await waitUntil("a pgbouncer that accepts connections", () => {
    if (child.exitCode !== null) throw new Error(`pgbouncer has ended with ${child.exitCode}`);
    return accepts(port);
  });
  return {
    port,
    options: (extra = {}) => server.options({ port, ...extra }),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exited;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
