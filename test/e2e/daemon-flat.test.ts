import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, openWire } from "../support/control.ts";
import { countDescriptors, createRunBed, readResidentBytes } from "../support/daemon-runs.ts";
import { listOpenFiles } from "../support/processes.ts";

test("memory and descriptors of the daemon stay flat over runs, requests and broken connections", async () => {
  await using bed = await createRunBed(
    `  one: { datastores: [one], destination: local, retention: { keepLast: 2 } }\n  two: { datastores: [two], destination: local, retention: { keepLast: 2 } }\n`,
  );
  const daemon = await bed.start();
  const round = async (): Promise<void> => {
    const tasks = await Promise.all([bed.ask("one"), bed.ask("two")]);
    for (const task of tasks) assert.equal((await bed.end(task)).state, "done");
    for (let count = 0; count < 40; count += 1) {
      await ask(bed.statusSocketPath, { path: "/v1/status" });
      const wire = openWire(bed.statusSocketPath);
      wire.socket.write("GET /v1/events HTTP/1.1\r\nhost: x\r\n\r\n", () => wire.socket.destroy());
      await wire.closed;
    }
  };
  // The first rounds fill caches and let the compiler do its work.
  for (let count = 0; count < 4; count += 1) await round();
  const [descriptors, bytes] = [countDescriptors(daemon.pid), readResidentBytes(daemon.pid)];
  for (let count = 0; count < 6; count += 1) await round();
  assert.ok(countDescriptors(daemon.pid) <= descriptors + 3, listOpenFiles(daemon.pid).join("\n"));
  const grown = readResidentBytes(daemon.pid) - bytes;
  assert.ok(grown < 32 << 20, `it has grown by ${Math.round(grown / 1024)} KiB over 12 runs and 480 requests`);
});
