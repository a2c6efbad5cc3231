import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { HoldfastError } from "../../base/errors.ts";

const listening = "0A";

/** The one TCP port at which a process listens: whoever asks there asks that process, and no other that has taken a port meanwhile. */
export function findListeningPort(pid: number): number {
  const own = new Set(readdirSync(`/proc/${pid}/fd`).map((fd) => readSocket(`/proc/${pid}/fd/${fd}`)));
  for (const table of ["tcp", "tcp6"]) {
    for (const line of readFileSync(`/proc/${pid}/net/${table}`, "latin1").split("\n").slice(1)) {
      const [, local = "", , state, , , , , , inode] = line.trim().split(/\s+/);
      if (state === listening && inode !== undefined && own.has(inode)) return Number.parseInt(local.split(":")[1] ?? "", 16);
    }
  }
  throw new HoldfastError("tool-failed", "a private Neo4j listens nowhere");
}

function readSocket(link: string): string | undefined {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(link))?.[1];
  } catch {
    return undefined; // closed meanwhile
  }
}
