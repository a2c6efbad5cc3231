import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { Contents } from "../../base/contents.ts";
import type { Note } from "../../base/note.ts";
import type { DriverContext, DumpFacts, StoredEntry, SwapStep } from "../contract.ts";
import { filesDatastore } from "./files-datastore.ts";

const signal = new AbortController().signal;

function makePlace(t: TestContext): { readonly base: string; readonly context: DriverContext } {
  const base = mkdtempSync(join(tmpdir(), "files-"));
  t.after(() => rmSync(base, { recursive: true, force: true }));
  mkdirSync(join(base, "staging"), { mode: 0o700 });
  return { base, context: { name: "tree", stagingDir: join(base, "staging"), progress: () => undefined } };
}

interface Dumped {
  readonly entries: readonly StoredEntry[];
  readonly facts: DumpFacts;
  readonly notes: readonly Note[];
}

async function dumpAll(options: unknown, context: DriverContext, afterFirstChunk: () => void = () => undefined): Promise<Dumped> {
  await using datastore = await filesDatastore.configure(options).open(context);
  const dump = datastore.dump(signal);
  const entries: StoredEntry[] = [];
  const notes: Note[] = [];
  for (let next = await dump.next(); ; next = await dump.next()) {
    if (next.done === true) return { entries, facts: next.value, notes: [...notes, ...next.value.notes] };
    const { body, ...entry } = next.value;
    const chunks: Uint8Array[] = [];
    if (body.kind === "file") chunks.push(readFileSync(body.path));
    else
      for await (const chunk of body.open(signal)) {
        if (chunks.length === 0) afterFirstChunk();
        chunks.push(chunk);
      }
    notes.push(...(await next.value.finish()));
    const bytes = Buffer.concat(chunks);
    entries.push(store(entry, bytes));
  }
}

function store(entry: Omit<StoredEntry, "bytes" | "open">, bytes: Buffer): StoredEntry {
  return {
    ...entry,
    bytes: bytes.length,
    async *open() {
      for (let at = 0; at < bytes.length; at += 100_003) yield bytes.subarray(at, at + 100_003);
    },
  };
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T, void, undefined> {
  yield* items;
}

async function check(entries: readonly StoredEntry[], context: DriverContext): Promise<Contents> {
  rmSync(join(context.stagingDir, "index.jsonl"), { force: true });
  return (await filesDatastore.check(each(entries), context, signal)).contents;
}

async function restore(options: unknown, context: DriverContext, entries: readonly StoredEntry[], to?: string): Promise<{ readonly staged: Contents; readonly found: Contents; readonly steps: readonly SwapStep[] }> {
  await using datastore = await filesDatastore.configure(options).open(context);
  await using session = await datastore.openRestore(to === undefined ? { kind: "original" } : { kind: "directory", path: to }, { absent: entries.length === 0 }, signal);
  await session.inspect(signal);
  const staged = await session.stage(each(entries), signal);
  const steps: SwapStep[] = [];
  await session.swap((step) => (steps.push(step), Promise.resolve()), signal);
  return { staged, found: await session.summarize(signal), steps };
}

function sh(script: string, cwd: string): string {
  return execFileSync("bash", ["-euc", script], { cwd, encoding: "latin1" });
}

/** What an independent walker sees. */
function listTree(directory: string): string {
  return sh(
    `find . -mindepth 1 -printf '%P\\t%y\\t%m\\t%U:%G\\t%l\\t%n\\t' \\( -type f -printf '%s\\t%T@' -o -true \\) -printf '\\0' | sort -z | tr '\\0' '\\n'
     find . -type f -size -1000M -execdir sha256sum '{}' ';' | sort
     find . -print0 | sort -z | xargs -0 -r getfattr -h -d -m - -- 2>/dev/null || true
     find . ! -type l -print0 | sort -z | xargs -0 -r getfacl -n -- 2>/dev/null || true`,
    directory,
  );
}

test("F51 F52 M19 G6 a tree comes back with everything that it had, and equal contents at every step", async (t) => {
  const { base, context } = makePlace(t);
  const root = join(base, "root");
  mkdirSync(root);
  sh(
    `mkdir sub 'a' 'a.b'; echo one > sub/one; echo two > a/z; echo three > a.b/y
     printf x > $'a\\xe9b'; printf x > $'line\\nbreak'; printf x > "$(printf 'n%.0s' {1..255})"; printf x > '😀'; printf x > ./-rf; printf x > 'trailing '
     d=.; for i in $(seq 1 17); do n="$(printf 'd%.0s' {1..220})$i"; mkdir "$n"; cd "$n"; done; printf deep > deep; cd - >/dev/null 2>&1 || true
     `,
    root,
  );
  sh(
    `ln sub/one sub/hard; ln -s one sub/soft; ln -s /nowhere dangling; mkfifo fifo; truncate -s 1T big; printf end >> big
     chown 70000:70001 a/z; chown 165536000:165536000 a.b/y; chmod 4755 sub/one; chmod 2775 a; chmod 1777 a.b
     setfattr -n user.note -v hello a/z; setfacl -m u:1234:rw a/z; setfacl -d -m g:99:rx a
     touch -d '2040-02-03 04:05:06.123456789' a/z; touch -d '1969-02-03 04:05:06.5' sub/one; touch -h -d '2001-01-01 01:01:01.000000001' sub/soft
     mkdir empty; chmod 700 .`,
    root,
  );
  const before = listTree(root);
  const server = createServer().listen(join(root, "socket"));
  await once(server, "listening");
  t.after(() => server.close());
  const options = { root };
  const { entries, facts, notes } = await dumpAll(options, context);
  server.close();
  await once(server, "close");
  assert.deepEqual(notes.map(({ code }) => code), ["socket-not-kept"]);
  assert.equal(facts.contents, undefined);
  const contents = await check(entries, context);
  assert.equal(contents.counts["bytes"], 1_099_511_627_779 + 4 + 4 + 6 + 6 + 4);
  const index = readFileSync(join(context.stagingDir, "index.jsonl"), "utf8").trim().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.ok(index.some((line) => line["pathBase64"] === Buffer.from([0x61, 0xe9, 0x62]).toString("base64")));
  const drill = join(base, "drill");
  mkdirSync(drill);
  const drilled = await restore(options, context, entries, drill);
  assert.deepEqual(drilled.staged.digests, contents.digests);
  assert.deepEqual(drilled.found.counts, contents.counts);
  assertSame(listTree(join(drill, "tree")).replaceAll(/^sub\/(one|hard)\tf\t755/gm, "sub/$1\tf\t4755").replaceAll("# flags: s--\n", ""), before.replaceAll("# flags: s--\n", ""));
  sh("rm -rf sub; echo new > new", root);
  const { found } = await restore({ ...options, setId: true }, context, entries);
  assert.deepEqual(found.digests, contents.digests);
  assert.equal(sh("stat -c %a sub/one", root).trim(), "4755");
  assert.deepEqual(readdirSync(join(root)).includes("new"), false);
});

test("F48 files that change, shrink or vanish while a tree is read are named", async (t) => {
  const { base, context } = makePlace(t);
  const root = join(base, "root");
  mkdirSync(root);
  sh("head -c 3000000 /dev/urandom > a-large; for i in 1 2 3; do head -c 9000000 /dev/urandom > file-$i; done; echo x > z", root);
  const { notes } = await dumpAll({ root }, context, () => sh("truncate -s 100 file-3; rm z; echo more >> a-large", root));
  const codes = notes.filter(({ level }) => level === "partial").map(({ code, message }) => `${code} ${message.split(" ")[0]}`);
  assert.ok(codes.length >= 1, JSON.stringify(notes));
});
function assertSame(found: string, expected: string): void {
  const [ours, theirs] = [found.split("\n"), expected.split("\n")];
  assert.deepEqual(
    { extra: ours.filter((line) => !theirs.includes(line)), lacking: theirs.filter((line) => !ours.includes(line)), lines: ours.length },
    { extra: [], lacking: [], lines: theirs.length },
  );
}
void spawn;
void writeFileSync;
