import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { traceCalls } from "../support/fault-points.ts";
import { LocalPlace } from "../support/local-place.ts";

const program = join(import.meta.dirname, "../fixtures/programs/publish-once.ts");
const never = new AbortController().signal;
const staging = "jobs/.holdfast-0000000000000000000x";
const calls = "link,rename,unlink,fsync,fdatasync,write";

test("E6 F18 beside: data is durable before it is visible, visible durably before its manifest is, and that before it is told", async () => {
  assertOrder(await trace("beside"), [
    `fsync <${staging}/content/b1>`,
    `fsync <${staging}/content/b1.info>`,
    `fsync <${staging}/content/b1.manifest.json>`,
    `fsync <${staging}/content>`,
    `rename "${staging}/.publication.json.tmp", "${staging}/publication.json"`,
    `fsync <${staging}>`,
    `link "${staging}/content/b1", "jobs/b1"`,
    `link "${staging}/content/b1.info", "jobs/b1.info"`,
    "fsync <jobs>",
    `link "${staging}/content/b1.manifest.json", "jobs/b1.manifest.json"`,
    "fsync <jobs>",
    `rename "${staging}", "jobs/.holdfast-removed-`,
    "done",
  ]);
});

test("E6 F18 directory: everything in it is durable before its one rename, and that before it is told", async () => {
  assertOrder(await trace("directory"), [
    `fsync <${staging}/content/b1>`,
    `fsync <${staging}/content/deep/er.db>`,
    `fsync <${staging}/content/manifest.json>`,
    `fsync <${staging}/content/deep>`,
    `fsync <${staging}/content>`,
    `rename "${staging}/.publication.json.tmp", "${staging}/publication.json"`,
    `fsync <${staging}>`,
    `rename "${staging}/content", "jobs/b1"`,
    "fsync <jobs>",
    `rename "${staging}", "jobs/.holdfast-removed-`,
    "done",
  ]);
});

test("E6 F18 a removal is durable before anything is deleted, an appended line before it is told", async () => {
  assertOrder(await trace("remove", "directory"), ['rename "jobs/b1", "jobs/.holdfast-removed-', "fsync <jobs>", "unlink ", "done"]);
  assertOrder(await trace("append", "directory"), ["write <jobs/b1.events.jsonl>", "fsync <jobs/b1.events.jsonl>", "fsync <jobs>", "done"]);
});

/** Each step stands after the one before it. */
function assertOrder(lines: readonly string[], steps: readonly string[]): void {
  let at = 0;
  for (const step of steps) {
    const found = lines.findIndex((line, index) => index >= at && line.startsWith(step));
    assert.ok(found !== -1, `no ${step} after line ${at} of\n${lines.map((line, index) => `${index} ${line}`).join("\n")}`);
    at = found + 1;
  }
}

/** What the program does to the disk: calls with paths below the destination. */
async function trace(action: string, before?: string): Promise<readonly string[]> {
  await using place = new LocalPlace();
  await using destination = await place.open("vault");
  await destination.initialize("init", never);
  if (before !== undefined) await traceCalls([program, place.root, "b1", before]);
  return (await traceCalls([program, place.root, "b1", action], calls)).flatMap(({ call, args }) => {
    if (call === "write" && args.includes('"done')) return ["done"];
    if (!args.includes(place.root)) return [];
    return [
      `${call} ${args}`
        .replaceAll(`${place.root}/`, "")
        .replaceAll(/\b\d+</g, "<")
        .replaceAll(/\.\d+\.tmp/g, ".tmp"),
    ];
  });
}
