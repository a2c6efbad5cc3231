import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";
import {
  listFaultPoints,
  pickPoints,
  readSeed,
  runWithFault,
  type FaultPoint,
  type Fault,
  type FaultyRun,
} from "../support/fault-points.ts";
import { LocalPlace, runOrThrow } from "../support/local-place.ts";

const program = join(import.meta.dirname, "../fixtures/programs/publish-once.ts");
const never = new AbortController().signal;
const backup = "b1";
const isLong = process.env["HOLDFAST_LONG"] === "1";
const bodyBytes = 3000;

type Action = "beside" | "directory" | "remove" | "append" | "recover";

interface Scenario {
  readonly title: string;
  readonly action: Action;
  /** How the backup that the action is about is laid out. */
  readonly shape: "beside" | "directory";
  /** Injected in every run. */
  readonly always?: readonly string[];
  /** Brings a place with one good backup to where the action begins. */
  prepare?(root: string): Promise<void>;
  /** Points of the bounded run: killed at, failed at. */
  readonly bounded: { readonly kills: number; readonly errors: number };
}

const noLinks = ["link:error=EPERM"];
const publishAll =
  (shape: "beside" | "directory") =>
  async (root: string): Promise<void> =>
    runOrThrow(process.execPath, [program, root, backup, shape]);
/** Leaves a publication at the point where its n-th call was about to happen. */
const interruptAt =
  (shape: "beside" | "directory", point: FaultPoint, always: readonly string[] = []) =>
  async (root: string): Promise<void> => {
    const run = await runWithFault([program, root, backup, shape], point, "kill", always);
    assert.ok(run.killed, "the publication was not interrupted");
  };

const scenarios: readonly Scenario[] = [
  { title: "publish beside", action: "beside", shape: "beside", bounded: { kills: 6, errors: 2 } },
  { title: "publish beside, without links", action: "beside", shape: "beside", always: noLinks, bounded: { kills: 3, errors: 1 } },
  { title: "publish a directory", action: "directory", shape: "directory", bounded: { kills: 3, errors: 1 } },
  { title: "remove a directory", action: "remove", shape: "directory", prepare: publishAll("directory"), bounded: { kills: 1, errors: 1 } },
  { title: "append", action: "append", shape: "directory", prepare: publishAll("directory"), bounded: { kills: 1, errors: 1 } },
  {
    title: "recover beside",
    action: "recover",
    shape: "beside",
    prepare: interruptAt("beside", { call: "link", n: 2 }),
    bounded: { kills: 2, errors: 1 },
  },
  {
    title: "recover beside, without links",
    action: "recover",
    shape: "beside",
    always: noLinks,
    prepare: interruptAt("beside", { call: "rename", n: 4 }, noLinks),
    bounded: { kills: 1, errors: 1 },
  },
  {
    title: "recover a directory",
    action: "recover",
    shape: "directory",
    prepare: interruptAt("directory", { call: "rename", n: 3 }),
    bounded: { kills: 1, errors: 1 },
  },
];

for (const scenario of scenarios) {
  describe(scenario.title, () => {
    let template: LocalPlace;
    let points: readonly FaultPoint[];
    before(async () => {
      template = await prepareTemplate(scenario);
      points = await listPoints(scenario, template);
      assert.ok(points.length > 3, `only ${points.length} points`);
    });
    after(async () => await template[Symbol.asyncDispose]());
    test("F1 E2 killed before any change, then recovered: whole or nothing", async (t) => {
      await checkPoints(scenario, template, pick(t, points, scenario.bounded.kills), ["kill"]);
    });
    test("F16 F14 E3 any change that fails is an error, then whole or nothing", async (t) => {
      await checkPoints(scenario, template, pick(t, points, scenario.bounded.errors), ["error=EIO", "error=ENOSPC"]);
    });
  });
}

function pick(t: TestContext, points: readonly FaultPoint[], bounded: number): readonly FaultPoint[] {
  const seed = readSeed();
  const chosen = isLong ? points : pickPoints(points, bounded, seed, t.name);
  t.diagnostic(`${chosen.length} of ${points.length} points, HOLDFAST_SEED=${seed}`);
  return chosen;
}

async function checkPoints(
  scenario: Scenario,
  template: LocalPlace,
  points: readonly FaultPoint[],
  faults: readonly Fault[],
): Promise<void> {
  for (const [index, point] of points.entries()) {
    for (const fault of isLong ? faults : [faults[index % faults.length] ?? "kill"]) await checkPoint(scenario, template, point, fault);
  }
}

async function listPoints(scenario: Scenario, template: LocalPlace): Promise<readonly FaultPoint[]> {
  await using place = copyPlace(template);
  const points = await listFaultPoints([program, place.root, backup, scenario.action], scenario.always);
  // A call that fails in every run is no point.
  return points.filter(({ call }) => scenario.always?.some((injection) => injection.startsWith(`${call}:`)) !== true);
}

async function checkPoint(scenario: Scenario, template: LocalPlace, point: FaultPoint, fault: Fault): Promise<void> {
  const where = `${fault} at ${point.call} ${point.n}`;
  await using place = copyPlace(template);
  const run = await runWithFault([program, place.root, backup, scenario.action], point, fault, scenario.always);
  const isDone = run.stdout.includes("done");
  if (fault === "kill") assert.ok(run.killed, `${where}: was not reached: ${run.stdout}`);
  else assertClassified(run, where);
  await using destination = await place.open("vault");
  const visibleBefore = await listVisible(place);
  if (fault !== "kill" && (scenario.action === "beside" || scenario.action === "directory") && !isDone) {
    assert.deepEqual(visibleBefore, [], `${where}: a publication that failed has left something to be seen`);
  }
  const manifest = listWhole(scenario).find((key) => key.endsWith("manifest.json")) ?? "";
  if (visibleBefore.includes(manifest))
    assert.deepEqual(visibleBefore, listWhole(scenario), `${where}: a manifest stood where not all was visible`);
  await destination.recover(() => false, never);
  assert.deepEqual(await destination.recover(() => false, never), [], `${where}: recovery left work`);
  const events = `jobs/${backup}.events.jsonl`;
  const found = await listVisible(place);
  const good = (await place.listEverything()).filter((key) => key.startsWith("jobs/good"));
  assert.deepEqual(good, ["jobs/good/good", "jobs/good/manifest.json"], `${where}: the older backup`);
  assert.deepEqual(
    (await place.listEverything()).filter((key) => !key.startsWith("jobs/good") && key !== events),
    found,
    `${where}: something hidden is left`,
  );
  const expectWhole =
    scenario.action === "remove" ? !isDone && found.length > 0 : isDone || found.length > 0 || scenario.action === "append";
  assert.deepEqual(found, expectWhole ? listWhole(scenario) : [], `${where}: neither whole nor nothing`);
  // What recovery begins with is whole, so it must end whole.
  if (scenario.action === "recover") assert.notDeepEqual(found, [], where);
  for (const key of found) assert.deepEqual(await readObject(place, key), expectedBody(key), `${where}: ${key}`);
  if (scenario.action === "append") await assertLines(place, events, isDone, where);
}

async function assertLines(place: LocalPlace, key: string, isDone: boolean, where: string): Promise<void> {
  await using destination = await place.open("vault");
  const line = '{"event":"one more"}\n';
  const text = (await destination.exists(key, never)) ? (await readObject(place, key)).toString() : "";
  assert.ok(text === line || (text === "" && !isDone), `${where}: ${text}`);
}

function assertClassified(run: FaultyRun, where: string): void {
  assert.ok(!run.killed, where);
  assert.match(run.stdout, /^(done|failed (destination-failed|no-space))$/m, where);
}

function listWhole({ shape }: Scenario): readonly string[] {
  if (shape === "beside") return [`jobs/${backup}`, `jobs/${backup}.info`, `jobs/${backup}.manifest.json`];
  return [`jobs/${backup}/${backup}`, `jobs/${backup}/deep/er.db`, `jobs/${backup}/manifest.json`];
}

function expectedBody(key: string): Buffer {
  if (key.endsWith("manifest.json")) return Buffer.from("the manifest");
  return Buffer.alloc(bodyBytes, key.endsWith(backup) ? "a" : "b");
}

/** Objects of the backup that this test is about. */
async function listVisible(place: LocalPlace): Promise<readonly string[]> {
  await using destination = await place.open("vault");
  const keys = (await Array.fromAsync(destination.list("", never))).map(({ key }) => key);
  return keys.filter((key) => !key.startsWith("jobs/good") && !key.endsWith(".jsonl")).toSorted();
}

async function readObject(place: LocalPlace, key: string): Promise<Buffer> {
  await using destination = await place.open("vault");
  return Buffer.concat(await Array.fromAsync(destination.get(key, undefined, never)));
}

async function prepareTemplate(scenario: Scenario): Promise<LocalPlace> {
  const place = new LocalPlace();
  await using destination = await place.open("vault");
  await destination.initialize("init", never);
  {
    await using publication = await destination.openPublication("jobs", "good", "directory", "00000000000000000000", never);
    await publication.put("good", once("good"), never);
    await publication.publish({ name: "manifest.json", body: Buffer.from("good") }, never);
  }
  await scenario.prepare?.(place.root);
  return place;
}

function copyPlace(template: LocalPlace): LocalPlace {
  const place = new LocalPlace();
  runOrThrow("cp", ["-a", `${template.root}/.`, place.root]); // keeps hard links
  return place;
}

async function* once(text: string): AsyncGenerator<Uint8Array, void, undefined> {
  yield Buffer.from(text);
}
