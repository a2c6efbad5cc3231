import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { DgramSocket } from "node-unix-socket";
import { openServiceManager } from "./service-manager.ts";

/** A datagram socket as systemd has it, and what arrived there. */
class Receiver implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), "notify-"));
  readonly path = join(this.#directory, "socket");
  readonly #socket = new DgramSocket();
  readonly #events = new EventEmitter();
  readonly messages: string[] = [];

  constructor() {
    this.#socket.bind(this.path);
    this.#socket.on("data", (bytes: Buffer) => {
      this.messages.push(bytes.toString());
      this.#events.emit("message");
    });
  }

  async receive(count: number): Promise<readonly string[]> {
    while (this.messages.length < count) await once(this.#events, "message", { signal: AbortSignal.timeout(20_000) });
    return this.messages;
  }

  [Symbol.dispose](): void {
    this.#socket.close();
    rmSync(this.#directory, { recursive: true });
  }
}

test("G4: ready, status, reloading, stopping and longer time limits arrive as sd_notify(3) has them", async () => {
  using receiver = new Receiver();
  await using manager = await openServiceManager({ NOTIFY_SOCKET: receiver.path });
  await manager.ready("All well\nREADY=0");
  await manager.status("1 running");
  const before = process.hrtime.bigint() / 1000n;
  await manager.reloading();
  const after = process.hrtime.bigint() / 1000n;
  await manager.extendTimeout(1_500);
  await manager.stopping();
  const [ready, status, reloading, longer, stopping] = await receiver.receive(5);
  assert.equal(ready, "READY=1\nSTATUS=All well READY=0\n");
  assert.equal(status, "STATUS=1 running\n");
  const [, microseconds] = /^RELOADING=1\nMONOTONIC_USEC=(\d+)\n$/.exec(reloading ?? "") ?? [];
  assert.ok(microseconds !== undefined && BigInt(microseconds) >= before && BigInt(microseconds) <= after);
  assert.equal(longer, "EXTEND_TIMEOUT_USEC=1500000\n");
  assert.equal(stopping, "STOPPING=1\nSTATUS=Stopping\n");
});

test("G4: the watchdog gets a sign of life thrice per period, none while the event loop hangs", async () => {
  using receiver = new Receiver();
  await using manager = await openServiceManager({
    NOTIFY_SOCKET: receiver.path,
    WATCHDOG_USEC: "300000",
    WATCHDOG_PID: String(process.pid),
  });
  const started = performance.now();
  manager.startWatchdog();
  await receiver.receive(4);
  assert.ok(performance.now() - started >= 290, "one at once, then each third of the period");
  const until = performance.now() + 500;
  while (performance.now() < until);
  await receiver.receive(5);
  assert.deepEqual([...new Set(receiver.messages)], ["WATCHDOG=1\n"]);
  assert.ok(receiver.messages.length <= 6, "what was missed is not made up for");
});

test("a watchdog of another process, and no service manager at all, are left alone", async () => {
  using receiver = new Receiver();
  {
    await using other = await openServiceManager({ NOTIFY_SOCKET: receiver.path, WATCHDOG_USEC: "3000", WATCHDOG_PID: "1" });
    other.startWatchdog();
    await other.status("only this");
  }
  await using none = await openServiceManager({});
  await none.ready("unheard");
  none.startWatchdog();
  assert.deepEqual(await receiver.receive(1), ["STATUS=only this\n"]);
});

test("a service manager that went away fails nothing, and is spoken to again when it is back", async () => {
  const gone = new Receiver();
  await using manager = await openServiceManager({ NOTIFY_SOCKET: gone.path });
  gone[Symbol.dispose]();
  await manager.ready("unheard");
  await manager.status("unheard");
});

/** Binds an abstract socket, says so, and prints what arrives up to STOPPING. */
const abstractReceiver = `
use Socket; $| = 1;
socket(my $socket, AF_UNIX, SOCK_DGRAM, 0) or die $!;
bind($socket, pack_sockaddr_un("\\0$ARGV[0]")) or die $!;
print "bound\\n";
while (defined recv($socket, my $bytes, 4096, 0)) { print $bytes, "\\n"; last if $bytes =~ /STOPPING/; }
`;

test("an abstract socket is reached through the program systemd-notify", async () => {
  const name = `holdfast-${process.pid}`;
  const perl: ChildProcess = spawn("perl", ["-e", abstractReceiver, name], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(perl, "exit");
  let output = "";
  perl.stdout?.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  while (!output.includes("bound") && perl.stdout !== null) await once(perl.stdout, "data");
  const previous = process.env["NOTIFY_SOCKET"];
  process.env["NOTIFY_SOCKET"] = `@${name}`;
  try {
    await using manager = await openServiceManager({ NOTIFY_SOCKET: `@${name}` });
    await manager.ready("All well");
    await manager.stopping();
    await ended;
  } finally {
    if (previous === undefined) delete process.env["NOTIFY_SOCKET"];
    else process.env["NOTIFY_SOCKET"] = previous;
    perl.kill();
  }
  assert.match(output, /READY=1/);
  assert.match(output, /STATUS=All well/);
  assert.match(output, /STOPPING=1/);
});
