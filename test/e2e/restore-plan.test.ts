import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { appendFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { runCommand } from "../support/run-command.ts";
import { runProgram, startDaemon, type StartedDaemon } from "../support/daemon.ts";

interface Plan {
  readonly backup: { readonly name: string };
  readonly passedOver: readonly { readonly name: string; readonly reasons: readonly string[] }[];
  readonly space: readonly { readonly place: string; readonly fits: boolean | null; readonly freeBytes: number }[] | null;
  readonly expected: { readonly ms: number; readonly basis: string } | null;
  readonly datastores: readonly {
    readonly now: { readonly newestChangeAt: string | null; readonly contents: string | null };
    readonly contents: string | null;
    readonly differences: readonly { readonly name: string; readonly now: number | null; readonly coming: number | null }[];
  }[];
}

interface Failure {
  readonly error: { readonly code: string; readonly message: string; readonly hint: string | null };
}

let daemon: StartedDaemon;
let dir: string;
const names: string[] = [];
const note = (): string => readFileSync(join(dir, "notes/one"), "utf8");

const createConfig = (place: string): string => `destinations:
  local: { kind: local, path: ${place}/backups }
  small: { kind: local, path: ${place}/small }
datastores:
  notes: { kind: files, root: ${place}/notes }
  big: { kind: files, root: ${place}/big }
jobs:
  nightly:
    datastores: [notes]
    destination: local
    name: "nightly_{YYYYMMDD}_{HHmmss}"
    shrink: { ratio: 0.5, minHistory: 1 }
  large: { datastores: [big], destination: small, compression: gzip, restore: { stop: [[touch, ${place}/large-stopped]] } }
`;

before(async () => {
  daemon = await startDaemon({ config: createConfig, init: ["local"] });
  ({ dir } = daemon);
  mkdirSync(join(dir, "notes"));
  for (const [text, status] of [
    ["good\n".repeat(40_000), 0],
    ["too little\n", 3],
    ["good\n".repeat(40_001), 0],
  ] as const) {
    writeFileSync(join(dir, "notes/one"), text);
    assert.equal((await daemon.holdfast(["backup", "nightly"])).status, status);
    names.push(...readdirSync(join(dir, "backups/nightly")).filter((name) => !name.includes(".") && !names.includes(name)));
  }
  // The newest is damaged, and somebody finds out; of another one nothing can be read.
  const [, , newest = ""] = names;
  const { manifest } = JSON.parse(readFileSync(join(dir, "backups/nightly", newest, "manifest.json"), "utf8")) as {
    readonly manifest: { readonly members: readonly { readonly entries: readonly { readonly object: string }[] }[] };
  };
  truncateSync(join(dir, "backups/nightly", newest, manifest.members[0]?.entries[0]?.object ?? ""), 10);
  assert.equal((await daemon.holdfast(["verify", newest])).status, 6);
  cpSync(join(dir, "backups/nightly", names[0] ?? ""), join(dir, "backups/nightly/strange"), { recursive: true });
  writeFileSync(join(dir, "backups/nightly/strange/manifest.json"), "{");
  writeFileSync(join(dir, "notes/one"), "now");
});

after(async () => {
  await runCommand(["umount", join(dir, "small")]).catch(() => undefined);
  await daemon[Symbol.asyncDispose]();
});

function assertPassedOver(passedOver: Plan["passedOver"]): void {
  assert.deepEqual(
    passedOver.map(({ name }) => name),
    [names[2], names[1], "nightly/strange/manifest.json"],
  );
  assert.match(passedOver[0]?.reasons.join() ?? "", /^damaged \(.+\)$/);
  assert.deepEqual(passedOver[1]?.reasons, ["suspect"]);
  assert.match(passedOver[2]?.reasons.join() ?? "", /^its manifest cannot be read, so its age is not known/);
}

test("A14 latest is the newest good one, and the plan says which newer ones were passed over and why", async () => {
  const plan = await daemon.json<Plan>(["restore", "--latest", "--job", "nightly", "--plan"]);
  assert.equal(plan.backup.name, names[0]);
  assertPassedOver(plan.passedOver);
  assert.equal(plan.expected, null);
  const [notes] = plan.datastores;
  assert.deepEqual(notes?.differences, [{ name: "bytes", what: "bytes", now: 3, coming: 200_000 }]);
  assert.ok(Date.now() - Date.parse(notes.now.newestChangeAt ?? "") < 600_000);
  assert.equal(notes.contents, "1 file, 195.3 KiB");
  assert.ok((plan.space ?? []).every(({ fits }) => fits === true));
  const { stdout } = await daemon.holdfast(["restore", "latest", "--job", "nightly", "--plan"]);
  assert.match(stdout, new RegExp(`! ${names[2]} was passed over: damaged`));
  assert.match(stdout, /what was written since .* is lost unless you undo/);
  assert.equal(note(), "now");
  const both = await daemon.json<Failure>(["restore", names[0] ?? "", "--latest", "--plan"], 2);
  assert.match(both.error.message, /Both --latest and/);
});

test("A14 W13 offline --latest passes over the same, in the plan and the result", async () => {
  const copy = join(dir, "copied");
  cpSync(join(dir, "backups"), copy, { recursive: true });
  rmSync(join(copy, ".holdfast-destination.json"));
  const offline = ["restore", "--offline", copy, "--latest", "--job", "nightly"];
  const plan = await daemon.json<Plan>([...offline, "--plan"]);
  assert.equal(plan.backup.name, names[0]);
  assertPassedOver(plan.passedOver);
  assert.equal(plan.datastores[0]?.contents, "1 file, 195.3 KiB");
  const { stdout } = await daemon.holdfast([...offline, "--plan"]);
  assert.match(stdout, /was passed over: damaged/);
  assert.match(stdout, /bytes 3 B → 195\.3 KiB/);
  const done = await daemon.json<Plan>([...offline, "--yes", "--save-to", join(dir, "saved")]);
  assertPassedOver(done.passedOver);
  assert.equal(note(), "good\n".repeat(40_000));
});

test("A14 the result of a restore of latest says what was passed over, and the next plan how long it took", async () => {
  writeFileSync(join(dir, "notes/one"), "now");
  assertPassedOver((await daemon.json<Plan>(["restore", "latest", "--job", "nightly", "--yes"])).passedOver);
  assert.equal(note(), "good\n".repeat(40_000));
  const { expected } = await daemon.json<Plan>(["restore", "latest", "--job", "nightly", "--plan"]);
  assert.equal(expected?.basis, "restore");
  assert.ok(expected.ms > 0);
});

test("A14 with nothing good at all the error lists what there is and the explicit word", async () => {
  const copy = join(dir, "copied-again");
  cpSync(join(dir, "backups/nightly"), join(copy, "nightly"), { recursive: true });
  for (const name of readdirSync(join(copy, "nightly")).filter((each) => each.startsWith(names[0] ?? "-")))
    rmSync(join(copy, "nightly", name), { recursive: true });
  const { error } = await daemon.json<Failure>(["restore", "--offline", copy, "--latest", "--plan"], 4);
  assert.equal(error.code, "backup-not-found");
  for (const name of [names[1], names[2], "nightly/strange/manifest.json"]) assert.ok(error.message.includes(String(name)), error.message);
  assert.match(error.hint ?? "", new RegExp(`holdfast restore --offline ${copy} ${names[1]} --accept-doubtful`));
});

test("L7 a restore that cannot work says which it is, and nothing is touched", async () => {
  writeFileSync(join(dir, "notes/one"), "now");
  const [good = "", , damaged = ""] = names;
  const refuse = async (args: readonly string[], status: number): Promise<string> => {
    const { error } = await daemon.json<Failure>(["restore", ...args, "--yes"], status);
    assert.equal(note(), "now");
    return `${error.code}: ${error.message} ${error.hint ?? ""}`;
  };
  const copy = join(dir, "copied");
  const part = JSON.parse(readFileSync(join(copy, "nightly", good, "manifest.json"), "utf8")) as {
    readonly manifest: { readonly members: readonly { readonly entries: readonly { readonly object: string }[] }[] };
  };
  const object = part.manifest.members[0]?.entries[0]?.object ?? "";
  assert.match(await refuse([good.replace("nightly", "nigthly")], 4), new RegExp(`^backup-not-found: .*Did you mean "${good}"`));
  assert.match(
    await refuse(["--offline", join(dir, "nowhere/at/all")], 1),
    /^destination-missing: There is no directory .*Is the disk mounted/,
  );
  assert.match(await refuse(["--offline", join(copy, "nightly", "nightly_1")], 4), /^backup-not-found: There is no nightly_1 in /);
  assert.match(await refuse([damaged, "--accept-doubtful"], 6), /^backup-(damaged|incomplete): /);
  rmSync(join(copy, "nightly", good, object));
  assert.match(await refuse(["--offline", join(copy, "nightly", good)], 6), /^backup-incomplete: .*(missing|lacks)/);
  writeFileSync(join(copy, "nightly", good, object), "not what was written");
  assert.match(await refuse(["--offline", join(copy, "nightly", good)], 6), /^backup-(damaged|incomplete): /);
});

test("A15 a restore that does not fit is told in the plan, and refused before anything is stopped", async () => {
  mkdirSync(join(dir, "small"));
  mkdirSync(join(dir, "big"));
  await runCommand(["mount", "-t", "tmpfs", "-o", "size=40m", "small", join(dir, "small")]);
  const chunk = randomBytes(1 << 20); // the estimate goes by how its like was compressed before
  for (let at = 0; at < 8; at += 1) appendFileSync(join(dir, "big/data"), chunk);
  assert.equal((await daemon.holdfast(["destination", "init", "small"])).status, 0);
  assert.equal((await daemon.holdfast(["backup", "large"])).status, 0);
  for (let at = 0; at < 24; at += 1) appendFileSync(join(dir, "big/data"), chunk);
  const plan = await daemon.json<Plan>(["restore", "latest", "--job", "large", "--plan"]);
  const short = (plan.space ?? []).find(({ fits }) => fits === false);
  assert.match(short?.place ?? "", /backup of what is there now at "small"/);
  assert.match((await daemon.holdfast(["restore", "latest", "--job", "large", "--plan"])).stdout, /NOT ENOUGH: up to 32\.0 MiB/);
  const { error } = await daemon.json<Failure>(["restore", "latest", "--job", "large", "--yes"], 1);
  assert.equal(error.code, "no-space");
  assert.match(error.message, /may need up to 32\.0 MiB \(.*"small"\); \d\d\.\d MiB free/);
  assert.ok(!existsSync(join(dir, "large-stopped")));
  assert.equal(readFileSync(join(dir, "big/data")).length, 32 << 20);
});

test("D10 destination config gives a bare machine its config from the backups alone", async () => {
  const { stdout, status, stderr } = await runProgram(["destination", "config", join(dir, "copied")], {
    env: { HOLDFAST_STATE_DIR: join(dir, "none"), HOLDFAST_RUNTIME_DIR: join(dir, "none") },
  });
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^# The config that the backups at /);
  assert.match(stdout, /# {3}nightly\/strange\/manifest\.json: /);
  writeFileSync(join(dir, "found.yaml"), stdout);
  const checked = await runProgram(["--config", join(dir, "found.yaml"), "--json", "check"]);
  assert.doesNotMatch(checked.stdout, /config-invalid/);
  const byName = await daemon.holdfast(["destination", "config", "local", "--job", "nightly"]);
  assert.equal(byName.status, 0);
  assert.match(byName.stdout, /nightly:\n {4}datastores:\n {4}- notes/);
  assert.equal((await daemon.json<Failure>(["destination", "config", "nowhere"], 4)).error.code, "unknown-name");
  assert.equal((await daemon.json<Failure>(["destination", "config", join(dir, "notes")], 4)).error.code, "backup-not-found");
});
