import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { runLanes } from "./run-lanes.ts";

const never = new AbortController().signal;
const item = (name: string, paths: readonly string[]) => ({ name, key: { id: name, paths } });

test("W6 things side by side, at most so many, and those that overlap one after the other in their order", async () => {
  const items = [item("a", ["/a"]), item("b", ["/b"]), item("in-a", ["/a/x"]), item("c", ["/c"]), item("d", ["/d"])];
  const active = new Set<string>();
  const done: string[] = [];
  let most = 0;
  const act = async ({ name }: { readonly name: string }): Promise<void> => {
    assert.ok(!(active.has("a") && name === "in-a"));
    active.add(name);
    most = Math.max(most, active.size);
    for (let turns = 0; turns < 5; turns++) await turn();
    active.delete(name);
    done.push(name);
  };
  await runLanes(items, { lanes: 3, act }, never);
  assert.equal(most, 3);
  assert.equal(done.length, 5);
  assert.ok(done.indexOf("a") < done.indexOf("in-a"));
});

test("two that both overlap a third one share its lane, and one that nobody can place shares every lane", async () => {
  for (const items of [
    [item("a", ["/x/a"]), item("b", ["/x/b"]), item("x", ["/x"])],
    [item("a", ["/a"]), { name: "unknown", key: undefined }, item("c", ["/c"])],
  ]) {
    let active = 0;
    const act = async (): Promise<void> => {
      assert.equal(++active, 1);
      await turn();
      active -= 1;
    };
    await runLanes(items, { lanes: 3, act }, never);
  }
});

test("F59 the first failure aborts the others and is thrown when all have ended; nothing new is begun", async () => {
  const ended: string[] = [];
  const failure = new Error("no space");
  const act = async ({ name }: { readonly name: string }, signal: AbortSignal): Promise<void> => {
    if (name === "bad") {
      await turn();
      throw failure;
    }
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    await turn();
    ended.push(name);
    throw signal.reason;
  };
  const items = [item("a", ["/a"]), item("bad", ["/bad"]), item("late", ["/late"])];
  await assert.rejects(runLanes(items, { lanes: 2, act }, never), failure);
  assert.deepEqual(ended, ["a"]);
});

test("an abort from outside is thrown as what it is", async () => {
  const cancel = new AbortController();
  const act = async (): Promise<void> => {
    cancel.abort(new Error("cancelled"));
    await turn();
    throw new Error("a consequence");
  };
  await assert.rejects(runLanes([item("a", ["/a"])], { lanes: 2, act }, cancel.signal), /cancelled/);
});
