import { constants } from "node:fs";
import { copyFile, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { syncDirectory } from "../../base/atomic-file.ts";
import { saveInBackground } from "./background-save.ts";
import type { RedisConnection } from "./redis-connection.ts";
import { chooseMethod } from "./dump.ts";
import type { Endpoint } from "./endpoint.ts";
import type { RedisOptions } from "./options.ts";
import { streamReplication } from "./replication-stream.ts";
import { scanRdbFile } from "./check-rdb.ts";
import { readServerSeconds } from "./server-facts.ts";

/** Writes what a running server holds to a file of ours and reads it once; a file of that name is whole and on the disk. */
export async function saveAside(
  options: RedisOptions,
  endpoint: Endpoint,
  connection: RedisConnection,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  const draft = `${path}.part`;
  try {
    const { method } = await chooseMethod(options, endpoint, connection, signal);
    if (method.kind === "bgsave") {
      await using saved = await saveInBackground(connection, method.file, options.saveTimeout, signal);
      await copyFile(`/proc/${process.pid}/fd/${saved.file.fd}`, draft, constants.COPYFILE_EXCL);
    } else {
      await using file = await open(draft, "wx", 0o600);
      const askedAtSeconds = await readServerSeconds(connection);
      for await (const chunk of streamReplication(endpoint, askedAtSeconds, signal)) await file.writeFile(chunk);
    }
    await using file = await open(draft, "r+");
    await file.chmod(0o600);
    const results = await Promise.allSettled([file.sync(), scanRdbFile(draft, Date.now(), signal)]);
    for (const result of results) if (result.status === "rejected") throw result.reason;
    await rename(draft, path);
    await syncDirectory(dirname(path));
  } finally {
    await rm(draft, { force: true });
  }
}
