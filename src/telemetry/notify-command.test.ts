import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Notification } from "./notification.ts";
import { appear, Bench, createCommand, createEvent } from "../../test/support/notifier-bench.ts";
import { isRunning } from "../../test/support/processes.ts";

test("A12: a command gets the event on its standard input and in its environment, not in its arguments", async () => {
  await using bench = new Bench();
  const script = `cat > "${bench.directory}/in.part"; env | grep ^HOLDFAST_EVENT_ | sort > "${bench.directory}/env"; mv "${bench.directory}/in.part" "${bench.directory}/in"`;
  const notifier = await bench.open([createCommand(["sh", "-c", script])]);
  notifier.tell(createEvent({ title: "Title\nwith a second line", text: "$(touch /x) `y`" }), ["mail"]);
  const event = JSON.parse(await appear(bench.directory, "in")) as Notification;
  await bench.close();
  assert.equal(event.title, "Title with a second line");
  const env = readFileSync(join(bench.directory, "env"), "utf8");
  assert.match(env, /^HOLDFAST_EVENT_TITLE=Title with a second line$/m);
  assert.match(env, /^HOLDFAST_EVENT_TEXT=\$\(touch \/x\) `y`$/m);
  assert.match(env, /^HOLDFAST_EVENT_KIND=failure$/m);
});

test("a command that hangs is killed at its time limit with what it started", async () => {
  await using bench = new Bench();
  const notifier = await bench.open(
    [createCommand(["sh", "-c", `sleep 1000 & echo $! > "${bench.directory}/pid"; wait`], { timeoutMs: 1_000 })],
    [60_000],
  );
  notifier.tell(createEvent(), ["mail"]);
  await bench.logged(/no answer within 1s/);
  const pid = Number(readFileSync(join(bench.directory, "pid"), "utf8"));
  while (isRunning(pid)) await new Promise((resolve) => setImmediate(resolve));
});

test("a command that fails or is not there is told by what happened, without its arguments", async () => {
  await using bench = new Bench();
  const notifier = await bench.open(
    [createCommand(["sh", "-c", "exit 3", "canary"]), createCommand(["/no/such/canary"], { name: "none" })],
    [60_000],
  );
  notifier.tell(createEvent(), ["mail", "none"]);
  await bench.logged(/"mail" fails: its program exited with 3/);
  await bench.logged(/"none" fails: its program cannot be started/);
  assert.doesNotMatch(bench.lines.join("\n"), /canary/);
});
