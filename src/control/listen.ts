import type { Server } from "node:http";
import { lchown, lstat, rm } from "node:fs/promises";
import { createConnection } from "node:net";
import { once } from "node:events";
import { describeCause, HoldfastError, readErrno } from "../base/errors.ts";

/** The kernel's limit for the path of a Unix socket, its ending zero left out. */
const maxPathBytes = 107;
const probeMs = 2_000;

/**
 * Binds a server to a socket that never is more open than it shall be: 0660 for the group, 0600 without one.
 * @throws daemon-running, conflict, config-invalid
 */
export async function listenOnPath(server: Server, path: string, gid: number | undefined): Promise<void> {
  if (Buffer.byteLength(path) > maxPathBytes)
    throw new HoldfastError("config-invalid", `The socket path ${path} is longer than ${maxPathBytes} bytes`, {
      hint: "Set `settings.socketPath` and `settings.statusSocketPath` to shorter ones.",
    });
  await removeStaleSocket(path);
  const listening = once(server, "listening");
  // The path is bound before `listen` returns: nothing else of this process runs under this umask.
  const before = process.umask(gid === undefined ? 0o177 : 0o117);
  try {
    server.listen({ path });
  } finally {
    process.umask(before);
  }
  try {
    await listening;
    if (gid !== undefined) await lchown(path, process.getuid?.() ?? 0, gid);
  } catch (error) {
    throw new HoldfastError("config-invalid", `Cannot listen on ${path}: ${describeCause(error)}`, {
      hint: "Its directory must be there and be writable for Holdfast; see `settings.socketPath`.",
      cause: error,
    });
  }
}

/** Only a socket that refuses connections is stale; a busy daemon's socket and anything that is no socket are left alone (F9). */
async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch((error: unknown) => {
    if (readErrno(error) === "ENOENT" || readErrno(error) === "ENOTDIR") return undefined;
    throw error;
  });
  if (found === undefined) return;
  if (!found.isSocket())
    throw new HoldfastError("conflict", `${path} is there and is no socket`, { hint: "Move it away, or set `settings.socketPath`." });
  const answer = await probe(path);
  if (answer !== "ECONNREFUSED") throw new HoldfastError("daemon-running", `Somebody already listens on ${path} (${answer})`);
  await rm(path, { force: true });
}

async function probe(path: string): Promise<string> {
  const socket = createConnection(path);
  try {
    return await new Promise<string>((resolve) => {
      socket.setTimeout(probeMs, () => resolve("timeout"));
      socket.once("connect", () => resolve("connected"));
      socket.once("error", (error) => resolve(readErrno(error) ?? "unknown"));
    });
  } finally {
    socket.destroy();
  }
}
