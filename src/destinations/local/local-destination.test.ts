import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { Destination } from "../contract.ts";
import { localDestination } from "./local-destination.ts";

const never = new AbortController().signal;
const id = "0000000000000000000a";
const markerName = ".holdfast-destination.json";
let parent: string;
let root: string;

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), "local-"));
  root = join(parent, "vault");
});

afterEach(() => rmSync(parent, { recursive: true, force: true }));

async function openDestination(options: Record<string, unknown> = {}): Promise<Destination> {
  const destination = await localDestination.configure({ path: root, ...options }).open({ name: "vault" });
  if (!existsSync(join(root, markerName))) await destination.initialize("init", never);
  return destination;
}

async function publish(destination: Destination, folder = "jobs", name = "b1"): Promise<void> {
  await using publication = await destination.openPublication(folder, name, "directory", id, never);
  await publication.put("deep/data.db", once("data"), never);
  await publication.publish({ name: "manifest.json", body: Buffer.from("m") }, never);
}

async function* once(text: string): AsyncGenerator<Uint8Array, void, undefined> {
  yield Buffer.from(text);
}

async function read(destination: Destination, key: string): Promise<string> {
  return Buffer.concat(await Array.fromAsync(destination.get(key, undefined, never))).toString();
}

const modeOf = (path: string): string => (statSync(path).mode & 0o7777).toString(8);

for (const umask of [0o000, 0o077]) {
  test(`P7 F72 directories are 0750 and files 0640 under umask ${umask.toString(8).padStart(3, "0")}; what is hidden is 0700`, async () => {
    const before = process.umask(umask);
    try {
      await using destination = await openDestination();
      await using publication = await destination.openPublication("a/b", "b1", "directory", id, never);
      assert.equal(modeOf(join(root, "a/b", `.holdfast-${id}`)), "700");
      await publication.put("deep/data.db", once("data"), never);
      await publication.publish({ name: "manifest.json", body: Buffer.from("m") }, never);
      await destination.append("a/b/b1.events.jsonl", Buffer.from("{}\n"), never);
      for (const path of ["", "a", "a/b", "a/b/b1", "a/b/b1/deep"]) assert.equal(modeOf(join(root, path)), "750", path);
      for (const path of [markerName, "a/b/b1/deep/data.db", "a/b/b1/manifest.json", "a/b/b1.events.jsonl"])
        assert.equal(modeOf(join(root, path)), "640", path);
      assert.deepEqual((await destination.probe(never)).notes, []);
    } finally {
      process.umask(before);
    }
  });
}

test("P7 F72 probe tells modes that are wider than declared, and other owners", async () => {
  await using destination = await openDestination();
  await publish(destination);
  chmodSync(root, 0o755);
  chmodSync(join(root, "jobs/b1/manifest.json"), 0o644);
  chmodSync(join(root, "jobs/b1/deep"), 0o700);
  const { notes } = await destination.probe(never);
  assert.equal(notes.length, 1);
  assert.equal(notes[0]?.code, "mode-wider");
  assert.match(notes[0]?.message ?? "", /vault 0755, jobs\/b1\/manifest\.json 0644$/);
  chownSync(join(root, "jobs/b1/deep/data.db"), 4321, 4321);
  assert.deepEqual(
    (await destination.probe(never)).notes.map(({ code }) => code),
    ["mode-wider", "owner-differs"],
  );
});

test("P7 an owner that is declared gets everything that is written", async () => {
  await using destination = await openDestination({ owner: "nobody:nogroup", directoryMode: "2750", fileMode: "600" });
  await publish(destination);
  await destination.append("jobs/b1.events.jsonl", Buffer.from("{}\n"), never);
  for (const name of [".", ...readdirSync(root, { recursive: true, encoding: "utf8" })]) {
    const { uid, gid } = statSync(join(root, name));
    assert.deepEqual({ name, uid, gid }, { name, uid: 65534, gid: 65534 });
  }
  assert.equal(modeOf(join(root, "jobs/b1")), "2750");
  assert.equal(modeOf(join(root, "jobs/b1/manifest.json")), "600");
  assert.deepEqual((await destination.probe(never)).notes, []);
  await assert.rejects(openDestination({ owner: "nobody:no-such-group" }), {
    code: "config-invalid",
    message: /there is no group "no-such-group"/,
  });
});

test("options: what is wrong is named", () => {
  const configure = (options: unknown) => () => localDestination.configure(options);
  assert.throws(configure({ path: "relative" }), {
    code: "config-invalid",
    message: "Options of a local destination: path: must be an absolute path",
  });
  assert.throws(configure({ path: "/x", directoryMode: 750 }), {
    code: "config-invalid",
    message: /directoryMode: must be a mode in quotes, such as "0750"/,
  });
  assert.throws(configure({ path: "/x", fileMode: "0666" }), { code: "config-invalid", message: /fileMode: .*others cannot write/ });
  assert.throws(configure({ path: "/x", owner: "me" }), { code: "config-invalid", message: /owner: must be "user:group"/ });
  assert.throws(configure({ path: "/x", pth: "/y" }), { code: "config-invalid", message: /pth/ });
});

test("P10 the errors name the directory and the command that makes it", async () => {
  const destination = await localDestination.configure({ path: root }).open({ name: "vault" });
  const missing = await destination.openPublication("", "b1", "directory", id, never).catch((error: unknown) => error);
  assert.deepEqual(missing, Object.assign(missing as Error, { code: "destination-missing" }));
  assert.ok((missing as Error).message.includes(root), (missing as Error).message);
  assert.equal((missing as { hint?: string }).hint, "Mount it, or make it: holdfast destination init vault");
  assert.ok(!existsSync(root));
  mkdirSync(root);
  await assert.rejects(destination.openPublication("", "b1", "directory", id, never), {
    code: "destination-unmarked",
    hint: "Mount the disk; or, when this is the right directory: holdfast destination init vault",
  });
  assert.deepEqual(readdirSync(root), []);
});

test("the marker has format, id, name and time; the root of a fresh file system counts as empty", async () => {
  mkdirSync(join(root, "lost+found"), { recursive: true });
  await using destination = await openDestination();
  const marker = JSON.parse(readFileSync(join(root, markerName), "utf8")) as Record<string, unknown>;
  assert.deepEqual(Object.keys(marker), ["format", "id", "name", "createdAt"]);
  assert.equal(marker["name"], destination.name);
});

test("a marker that cannot be read is refused, and adopting writes a new one", async () => {
  await using destination = await openDestination();
  writeFileSync(join(root, markerName), "{");
  await assert.rejects(publish(destination), { code: "destination-foreign", hint: /holdfast destination adopt vault$/ });
  await assert.rejects(destination.initialize("init", never), { code: "destination-foreign" });
  await destination.initialize("adopt", never);
  await publish(destination);
});

test("symbolic links are neither written through, nor listed, nor read; removing one leaves what it points to", async () => {
  await using destination = await openDestination();
  const outside = join(parent, "outside");
  mkdirSync(outside);
  writeFileSync(join(outside, "file"), "theirs\n");
  symlinkSync(outside, join(root, "jobs"));
  symlinkSync(join(outside, "file"), join(root, "link.events.jsonl"));
  await assert.rejects(publish(destination), { code: "destination-unwritable" });
  await assert.rejects(destination.remove("jobs/file", never), { code: "destination-unwritable" });
  await assert.rejects(destination.append("jobs/file", Buffer.from("x\n"), never), { code: "destination-unwritable" });
  await assert.rejects(destination.append("link.events.jsonl", Buffer.from("x\n"), never), { code: "destination-unwritable" });
  await assert.rejects(read(destination, "link.events.jsonl"), { code: "backup-not-found" });
  assert.equal(await destination.stat("link.events.jsonl", never), undefined);
  assert.deepEqual(await Array.fromAsync(destination.list("", never)), []);
  assert.deepEqual(await destination.recover(() => false, never), []);
  await destination.remove("link.events.jsonl", never);
  await destination.remove("jobs", never);
  assert.deepEqual(readdirSync(root), [markerName]);
  assert.equal(readFileSync(join(outside, "file"), "utf8"), "theirs\n");
});

test("a FIFO under a key never blocks", async () => {
  await using destination = await openDestination();
  assert.equal(spawnSync("mkfifo", [join(root, "fifo")]).status, 0);
  await assert.rejects(read(destination, "fifo"), { code: "backup-not-found" });
  assert.deepEqual(await Array.fromAsync(destination.list("", never)), []);
  await destination.probe(never);
});

test("W13 D10 a copy made with cp -r is listed and read without a marker", async () => {
  await using destination = await openDestination();
  await publish(destination);
  const copy = join(parent, "copy");
  assert.equal(spawnSync("cp", ["-r", join(root, "jobs"), copy]).status, 0);
  await using elsewhere = await localDestination.configure({ path: copy }).open({ name: "anything" });
  const keys = (await Array.fromAsync(elsewhere.list("", never))).map(({ key }) => key).toSorted();
  assert.deepEqual(keys, ["b1/deep/data.db", "b1/manifest.json"]);
  assert.equal(await read(elsewhere, "b1/deep/data.db"), "data");
});

test("an appended line stays whole after one that a power cut tore", async () => {
  await using destination = await openDestination();
  await destination.append("e.jsonl", Buffer.from('{"n":1}\n'), never);
  writeFileSync(join(root, "e.jsonl"), '{"n":1}\n{"n":');
  await destination.append("e.jsonl", Buffer.from('{"n":3}\n'), never);
  assert.equal(await read(destination, "e.jsonl"), '{"n":1}\n{"n":\n{"n":3}\n');
  await assert.rejects(destination.append("e.jsonl", Buffer.from("no line"), never), { code: "internal" });
});

/** A staging directory as a crash leaves it just before the first visible step. */
function plantStaging(descriptor: unknown, content: Readonly<Record<string, string>>): string {
  const staging = join(root, "jobs", `.holdfast-${id}`);
  mkdirSync(join(staging, "content"), { recursive: true });
  for (const [name, text] of Object.entries(content)) writeFileSync(join(staging, "content", name), text);
  writeFileSync(join(staging, "publication.json"), typeof descriptor === "string" ? descriptor : JSON.stringify(descriptor));
  return staging;
}

const manifestSha256 = "62c66a7a5dd70c3146618063c344e531e6d4b59e379808443ce962b3abd63c5a"; // of "m"

function createDescriptor(name: string, sha256 = manifestSha256): unknown {
  const sealed = { objects: [{ name, bytes: 4 }], manifest: { name: `${name}.manifest.json`, bytes: 1, sha256 } };
  return { format: 1, id, name, shape: "beside", sealed };
}

test("recover rolls forward only when the hidden manifest's hash, and every size, is right", async () => {
  await using destination = await openDestination();
  plantStaging(createDescriptor("b1"), { b1: "data", "b1.manifest.json": "m" });
  assert.deepEqual(
    (await destination.recover(() => false, never)).map(({ action }) => action),
    ["rolled-forward"],
  );
  assert.equal(await read(destination, "jobs/b1"), "data");
  plantStaging(createDescriptor("b2"), { b2: "data", "b2.manifest.json": "x" });
  assert.deepEqual(
    (await destination.recover(() => false, never)).map(({ action }) => action),
    ["removed"],
  );
  plantStaging(createDescriptor("b2"), { b2: "dat", "b2.manifest.json": "m" });
  assert.deepEqual(
    (await destination.recover(() => false, never)).map(({ action }) => action),
    ["removed"],
  );
  plantStaging("{", { b2: "data", "b2.manifest.json": "m" });
  assert.deepEqual(
    (await destination.recover(() => false, never)).map(({ action, name }) => `${action} ${name}`),
    [`removed ${id}`],
  );
  assert.deepEqual(readdirSync(join(root, "jobs")).toSorted(), ["b1", "b1.manifest.json"]);
});

test("recover takes nobody's file: a name that a stranger has meanwhile stays the stranger's", async () => {
  await using destination = await openDestination();
  plantStaging(createDescriptor("b1"), { b1: "data", "b1.manifest.json": "m" });
  writeFileSync(join(root, "jobs/b1"), "them");
  assert.deepEqual(
    (await destination.recover(() => false, never)).map(({ action }) => action),
    ["removed"],
  );
  assert.deepEqual(readdirSync(join(root, "jobs")), ["b1"]);
  assert.equal(await read(destination, "jobs/b1"), "them");
});

test("recover believes no descriptor that leads elsewhere", async () => {
  await using destination = await openDestination();
  writeFileSync(join(parent, "victim"), "data");
  plantStaging(createDescriptor("../../victim"), {});
  assert.deepEqual(
    (await destination.recover(() => false, never)).map(({ action }) => action),
    ["removed"],
  );
  assert.equal(readFileSync(join(parent, "victim"), "utf8"), "data");
});

test("recover sweeps folders that are removed only half, probes and half-written markers, and nothing else", async () => {
  await using destination = await openDestination();
  mkdirSync(join(root, "jobs/.holdfast-removed-0123456789abcdef/x"), { recursive: true });
  writeFileSync(join(root, ".holdfast-probe-0123456789abcdef"), "");
  writeFileSync(join(root, `.${markerName}.77.tmp`), "{");
  mkdirSync(join(root, ".snapshot"));
  writeFileSync(join(root, ".holdfast-note"), "theirs");
  assert.deepEqual(await destination.recover(() => false, never), []);
  assert.deepEqual(readdirSync(root).toSorted(), [markerName, ".holdfast-note", ".snapshot", "jobs"].toSorted());
  assert.deepEqual(readdirSync(join(root, "jobs")), []);
});
