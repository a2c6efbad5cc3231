import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { afterEach, test } from "node:test";
import { createId } from "./ids.ts";
import { endProcessGroup, identifyProcess, isAlive, type ProcessIdentity } from "./process-group.ts";

const { signal } = new AbortController();
/** Processes that a failing test would leave behind. */
const started: number[] = [];
afterEach(() => {
  for (const pid of started.splice(0)) {
    if (identifyProcess(pid) !== undefined) process.kill(pid, "SIGKILL");
  }
});

/** A group leader that has done what the script says before it prints its first line; with the words of that line. */
async function startGroup(
  script: string,
  marker: string,
): Promise<{ child: ChildProcess; words: readonly string[]; identity: ProcessIdentity }> {
  const child = spawn("sh", ["-c", script], {
    detached: true,
    stdio: ["pipe", "pipe", "inherit"],
    env: { PATH: process.env["PATH"], HOLDFAST_TASK: marker },
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const identity = identifyProcess(child.pid ?? 0);
    assert.ok(identity);
    const words = line.split(" ");
    started.push(identity.pid, ...words.map(Number).filter((pid) => pid > 1));
    return { child, words, identity };
  }
  throw new Error("it said nothing");
}

const isGone = (pid: string | number | undefined) => identifyProcess(Number(pid)) === undefined;

test("a process is named by more than its pid", async () => {
  const own = identifyProcess(process.pid);
  assert.ok(own);
  assert.ok(isAlive(own));
  assert.ok(!isAlive({ ...own, startTicks: own.startTicks + 1 }));
  assert.ok(!isAlive({ ...own, bootId: "another" }));
  const { child, identity } = await startGroup("echo up; exec sleep 1000", createId(1));
  child.kill("SIGKILL");
  await once(child, "exit");
  assert.ok(!isAlive(identity));
  assert.equal(identifyProcess(child.pid ?? 0), undefined);
});

test("F4 a member of the group that cleared its environment ends too", async () => {
  const { words, identity } = await startGroup("env -i sleep 1000 & echo $!; exec sleep 1000", "none");
  await endProcessGroup(identity, createId(6), 5_000, signal);
  for (const pid of [identity.pid, ...words]) assert.ok(isGone(pid));
});

test("F2 F4 the whole group ends, those that ignore SIGTERM too", async () => {
  const marker = createId(2);
  const { words, identity } = await startGroup(
    `sleep 1000 & sh -c 'trap "" TERM; echo $$ '$!'; while :; do sleep 1000; done' & wait`,
    marker,
  );
  const started = performance.now();
  await endProcessGroup(identity, marker, 200, signal);
  assert.ok(performance.now() - started >= 200, "it had its grace");
  assert.equal(words.length, 2);
  for (const pid of [identity.pid, ...words]) assert.ok(isGone(pid));
});

test("F1 a process that left the group is found by its marker, even when the leader is long gone or was never recorded", async () => {
  const marker = createId(3);
  const { child, words, identity } = await startGroup("setsid sleep 1000 & echo $!; read line", marker);
  child.stdin?.end();
  await once(child, "exit");
  assert.ok(!isGone(words[0]));
  await endProcessGroup(identity, marker, 1_000, signal);
  assert.ok(isGone(words[0]));
  const again = await startGroup("setsid sleep 1000 & echo $!; exec sleep 1000", marker);
  await endProcessGroup(undefined, marker, 1_000, signal);
  assert.ok(isGone(again.words[0]));
  assert.ok(isGone(again.identity.pid));
});

test("F7 a pid that was used again, and what ran before a reboot, is left alone", async () => {
  const { child, identity } = await startGroup("echo up; exec sleep 1000", "theirs");
  await endProcessGroup({ ...identity, startTicks: identity.startTicks - 1 }, createId(4), 0, signal);
  await endProcessGroup({ ...identity, bootId: "before" }, "theirs", 0, signal);
  assert.ok(isAlive(identity));
  child.kill("SIGKILL");
  await once(child, "exit");
});

test("the waiting can be given up, and ends at once when nothing is there", async () => {
  const marker = createId(5);
  await endProcessGroup(undefined, marker, 1_000, signal);
  const { identity } = await startGroup(`trap "" TERM; echo up; while :; do sleep 1000; done`, marker);
  await assert.rejects(endProcessGroup(identity, marker, 60_000, AbortSignal.timeout(50)), { code: "cancelled" });
  assert.ok(isAlive(identity));
  await endProcessGroup(identity, marker, 0, signal);
  assert.ok(!isAlive(identity));
});
