import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { reportError } from "../base/errors.ts";
import type { ControlLimits } from "./limits.ts";

/**
 * Streams JSON lines as fast as the client reads them and no faster; an error after the first byte becomes the last line. An empty line
 * is a sign of life. A client that does not read for `stallMs` is dropped. The signal ends the lines at their source, so that what has
 * happened by then is still told.
 */
export async function sendLines(
  raw: ServerResponse,
  first: IteratorResult<unknown>,
  lines: AsyncIterator<unknown>,
  limits: ControlLimits,
  signal: AbortSignal,
): Promise<void> {
  raw.writeHead(200, { "content-type": "application/x-ndjson", "cache-control": "no-store" });
  raw.flushHeaders();
  const heartbeat = setInterval(() => {
    if (!raw.writableNeedDrain) raw.write("\n");
  }, limits.heartbeatMs);
  try {
    for (let next = first; next.done !== true && !raw.destroyed; next = await lines.next()) {
      heartbeat.refresh();
      if (!raw.write(`${JSON.stringify(next.value)}\n`)) await waitForReader(raw, limits.stallMs, signal);
    }
  } catch (error) {
    if (!raw.destroyed) raw.write(`${JSON.stringify({ error: reportError(error) })}\n`);
  } finally {
    clearInterval(heartbeat);
    raw.end();
    await lines.return?.().catch(() => undefined);
  }
}

async function waitForReader(raw: ServerResponse, stallMs: number, signal: AbortSignal): Promise<void> {
  const stalled = AbortSignal.timeout(stallMs);
  try {
    await once(raw, "drain", { signal: AbortSignal.any([signal, stalled]) });
  } catch {
    // Gone, or not reading: what is in the buffer goes with the connection.
    if (stalled.aborted) raw.destroy();
  }
}
