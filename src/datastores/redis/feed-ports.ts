import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { syncDirectory } from "../../base/atomic-file.ts";
import { readErrno } from "../../base/errors.ts";

const fileName = "feed-ports";

/** Notes, durably, on which port a private server of a roll-back listens, before a server is made to follow it. */
export async function noteFeedPort(directory: string, port: number): Promise<void> {
  await using file = await open(join(directory, fileName), "a", 0o600);
  await file.appendFile(`${port}\n`);
  await file.sync();
  await syncDirectory(directory);
}

export async function readFeedPorts(directory: string): Promise<readonly number[]> {
  const text = await readFile(join(directory, fileName), "utf8").catch((error: unknown) => {
    if (readErrno(error) === "ENOENT") return "";
    throw error;
  });
  return text.split("\n").filter(Boolean).map(Number);
}
