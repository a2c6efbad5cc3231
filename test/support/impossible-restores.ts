import assert from "node:assert/strict";
import { appendFileSync, copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fingerprint, type OfflinePlace } from "./offline-place.ts";

interface ImpossibleRestore {
  readonly name: string;
  readonly args: () => readonly string[];
  /** What is done to the copy before. */
  readonly break?: () => void;
}

/** Ways in which an offline restore cannot work, each with what it must say. */
function listImpossible(place: OfflinePlace): readonly ImpossibleRestore[] {
  return [
    { name: "unknown name", args: () => ["restore", "nihgt", "--offline", place.copy, "--yes"] },
    { name: "directory missing", args: () => ["restore", place.nameOf("archive"), "--offline", `${place.dir}/nowhere/backups`, "--yes"] },
    { name: "file missing", args: () => ["restore", "--offline", `${place.copy}/${place.paths.archive.replace("gz", "zst")}`, "--yes"] },
    { name: "nothing there", args: () => ["restore", "latest", "--offline", place.live, "--yes"] },
    { name: "several there", args: () => ["restore", "--offline", place.copy, "--yes"] },
    { name: "latest of several jobs", args: () => ["restore", "latest", "--offline", place.copy, "--yes"] },
    {
      name: "name of another",
      args: () => ["restore", place.nameOf("directory"), "--offline", `${place.copy}/${place.paths.archive}`, "--yes"],
    },
    { name: "unknown datastore", args: () => ["restore", place.nameOf("archive"), "--offline", place.copy, "--only", "memroy", "--yes"] },
    {
      name: "part missing",
      args: () => ["restore", place.nameOf("directory"), "--offline", place.copy, "--yes"],
      break: () => rmSync(join(place.copy, place.paths.directory, "memory.db.zst")),
    },
    {
      name: "archive missing",
      args: () => ["restore", place.nameOf("archive"), "--offline", place.copy, "--yes"],
      break: () => rmSync(join(place.copy, place.paths.archive)),
    },
    {
      name: "bit flipped",
      args: () => ["restore", place.nameOf("archive"), "--offline", place.copy, "--yes"],
      break: () => flip(join(place.copy, place.paths.archive)),
    },
    {
      name: "truncated",
      args: () => ["restore", place.nameOf("file"), "--offline", place.copy, "--yes"],
      break: () => writeFileSync(join(place.copy, place.paths.file), readFileSync(join(place.copy, place.paths.file)).subarray(0, 5000)),
    },
    {
      name: "manifest damaged",
      args: () => ["restore", "--offline", join(place.copy, place.paths.directory), "--yes"],
      break: () => flip(join(place.copy, place.paths.directory, "manifest.json")),
    },
    {
      name: "manifest damaged, by name",
      args: () => ["restore", place.nameOf("directory"), "--offline", place.copy, "--yes"],
      break: () => flip(join(place.copy, place.paths.directory, "manifest.json")),
    },
    {
      name: "all manifests damaged",
      args: () => ["restore", "latest", "--offline", join(place.copy, "night"), "--yes"],
      break: () => flip(join(place.copy, `${place.paths.archive}.manifest.json`)),
    },
    {
      name: "manifest missing beside a database",
      args: () => ["restore", "--offline", join(place.copy, place.paths.file), "--yes"],
      break: () => rmSync(join(place.copy, `${place.paths.file}.manifest.json`)),
    },
    {
      name: "manifest of another backup",
      args: () => ["restore", "--offline", join(place.copy, place.paths.file), "--yes"],
      break: () =>
        copyFileSync(join(place.copy, `${place.paths.archive}.manifest.json`), join(place.copy, `${place.paths.file}.manifest.json`)),
    },
    {
      name: "file inside a backup",
      args: () => ["restore", "--offline", join(place.copy, place.paths.directory, "memory.db.zst"), "--yes"],
    },
    {
      name: "known to be damaged",
      args: () => ["restore", place.nameOf("file"), "--offline", place.copy, "--yes"],
      break: () =>
        appendFileSync(
          join(place.copy, `${place.paths.file}.events.jsonl`),
          `${JSON.stringify({ at: "2026-01-01T00:00:00.000Z", event: "damaged", reason: "a verification said so" })}\n`,
        ),
    },
    { name: "nobody to ask", args: () => ["restore", place.nameOf("file"), "--offline", place.copy] },
    { name: "target directory not empty", args: () => ["restore", place.nameOf("file"), "--offline", place.copy, "--to", place.live] },
  ];
}

/** Tries each of them; gives what people are told, and fails where something was touched. */
export async function tryImpossible(place: OfflinePlace): Promise<string> {
  const told: string[] = [];
  const before = fingerprint(place.live);
  for (const { name, args, break: damage } of listImpossible(place)) {
    place.copyAgain();
    damage?.();
    const { status, stderr } = await place.holdfast(args());
    assert.notEqual(status, 0, name);
    assert.deepEqual(fingerprint(place.live), before, `${name}: something was touched`);
    const words = stderr.split("\n").filter((line) => /^(error|hint):/.test(line));
    assert.equal(words[0]?.startsWith("error:"), true, `${name}: ${stderr}`);
    told.push(
      `${name}: exit ${status}`,
      ...words.map(
        (line) =>
          `  ${line
            .replaceAll(place.dir, "DIR")
            .replaceAll(/_\d{8}\b/g, "_DAY")
            .replaceAll(/\b[0-9a-hjkmnp-tv-z]{20}\b/g, "ID")}`,
      ),
    );
  }
  return `${told.join("\n")}\n`;
}

/** One bit in the middle of a file. */
export function flip(path: string): void {
  const bytes = readFileSync(path);
  const at = Math.floor(bytes.length / 2);
  bytes.writeUInt8(bytes.readUInt8(at) ^ 0x40, at);
  writeFileSync(path, bytes);
}
