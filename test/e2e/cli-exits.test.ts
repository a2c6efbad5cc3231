import assert from "node:assert/strict";
import { mkdir, readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createInstallation, runProgram, startDaemon, type StartedDaemon } from "../support/daemon.ts";
import { runOnTerminal } from "../support/run-on-terminal.ts";

const createConfig = (dir: string): string => `destinations:
  local: { kind: local, path: ${dir}/backups }
datastores:
  notes: { kind: files, root: ${dir}/notes }
jobs:
  nightly:
    datastores: [notes]
    destination: local
    layout: archive
    compression: none
    shrink: { ratio: 0.5, minHistory: 1 }
    restore: { start: [[touch, ${dir}/started]], askToStart: true }
`;

interface Failure {
  readonly error: { readonly code: string; readonly message: string; readonly hint: string | null };
}

describe("the command line, without a daemon", () => {
  it("exit 0: the version, and every help", async () => {
    assert.match((await runProgram(["--version"])).stdout, /^\d+\.\d+\.\d+$/m);
    assert.equal((await runProgram(["help", "restore"])).status, 0);
    assert.equal((await runProgram([])).status, 0);
  });

  it("exit 2: an unknown verb, with what was probably meant", async () => {
    const { status, stderr } = await runProgram(["bakcup"]);
    assert.equal(status, 2);
    assert.equal(stderr, "error: Unknown command 'bakcup'\nhint: Did you mean \"backup\"? `holdfast help` tells what there is.\n");
  });

  it("exit 2: help of an unknown verb, with what was probably meant", async () => {
    const { status, stdout, stderr } = await runProgram(["help", "bakcup"]);
    assert.deepEqual([status, stdout], [2, ""]);
    assert.equal(stderr, "error: Unknown command 'bakcup'\nhint: Did you mean \"backup\"? `holdfast help` tells what there is.\n");
    assert.equal((await runProgram(["help"])).stdout, (await runProgram(["--help"])).stdout);
    assert.equal((await runProgram(["help", "init"])).stdout, (await runProgram(["init", "--help"])).stdout);
  });

  it("a wrong call leads to the help of the verb that was called, and not of a word that is a verb elsewhere", async () => {
    for (const [call, verb] of [
      [["destination", "init"], " destination"],
      [["destination", "init", "--hlp"], " destination"],
      [["destination", "help", "inti"], " destination"],
      [["destination", "status"], " destination"],
      [["backup", "restore", "--noet", "list"], " backup"],
      [["--hlp", "init"], ""],
    ] as const) {
      const { status, stderr } = await runProgram(call);
      assert.equal(status, 2, stderr);
      assert.ok(stderr.includes(`\`holdfast help${verb}\` tells`), stderr);
    }
  });

  it("exit 2: unknown options, missing and wrong values, as JSON where that is wanted", async () => {
    const option = await runProgram(["backup", "x", "--noet", "y"]);
    assert.equal(option.status, 2);
    assert.match(option.stderr, /Did you mean "--note"\?.*holdfast help backup/);
    assert.equal((await runProgram(["backup"])).status, 2);
    assert.equal((await runProgram(["list", "--limit", "0"])).status, 2);
    const json = await runProgram(["--json", "bakcup"]);
    assert.equal((JSON.parse(json.stdout) as Failure).error.code, "usage");
    assert.equal(json.stderr, "");
  });

  it("exit 2: a time without a unit, or too short, is told by the option that it was given to", async () => {
    for (const [time, why] of [
      ["3", /--keep-for <time>.*"3": it has no unit.*for example 90s/],
      ["3s", /--keep-for <time>.*it must be at least 1m/],
    ] as const) {
      const { status, stderr } = await runProgram(["restore", "latest", "--to", "scratch", "--keep-for", time]);
      assert.equal(status, 2, stderr);
      assert.match(stderr, why);
    }
  });

  it("exit 2: no config, or a broken one", async () => {
    await using place = await createInstallation({ config: "jobs: { x: { datastores: [nothing], destination: nowhere } }\n" });
    assert.equal((await place.holdfast(["status"])).status, 2);
    assert.equal((await runProgram(["--config", join(place.dir, "none.yaml"), "status"])).status, 2);
  });

  it("exit 8: no daemon answers", async () => {
    await using place = await createInstallation({ config: createConfig });
    const { status, stderr } = await place.holdfast(["status"]);
    assert.equal(status, 8);
    assert.match(stderr, /^error: No daemon answers on .*\nhint: .*systemctl start holdfast/);
  });

  it("exit 1: a starter config that cannot be written; else it is written once, is valid, and is never replaced", async () => {
    await using place = await createInstallation({ config: "" });
    assert.equal((await runProgram(["--config", join(place.configPath, "holdfast.yaml"), "init"])).status, 1);
    const path = join(place.dir, "new/holdfast.yaml");
    assert.equal((await runProgram(["--config", path, "init"])).status, 0);
    assert.equal((await runProgram(["--config", path, "destination", "init", "lcoal"])).status, 4, "it loads, and has no such destination");
    await writeFile(path, "# mine\n");
    const again = await runProgram(["--json", "--config", path, "init"]);
    assert.deepEqual(JSON.parse(again.stdout), { path, written: false });
    assert.equal(await readFile(path, "utf8"), "# mine\n");
  });

  it("completion scripts are understood by their shells", async () => {
    const { spawnSync } = await import("node:child_process");
    const { status, stdout } = await runProgram(["completion", "bash"]);
    assert.equal(status, 0);
    const asked = spawnSync("bash", ["-c", `${stdout}\nCOMP_WORDS=(holdfast und); COMP_CWORD=1; _holdfast; echo "\${COMPREPLY[@]}"`], {
      encoding: "utf8",
    });
    assert.equal(asked.stdout.trim(), "undo");
    assert.equal((await runProgram(["completion", "tcsh"])).status, 2);
    for (const shell of ["zsh", "fish"]) assert.match((await runProgram(["completion", shell])).stdout, /report-failure/);
  });
});

/** The steps follow one another. */
describe("exit statuses and questions, with a daemon", { timeout: 600_000 }, () => {
  let daemon: StartedDaemon;
  const notes = (): Promise<string> => readFile(join(daemon.dir, "notes/notes.txt"), "utf8");
  const answer = (args: readonly string[], ...typed: Parameters<typeof runOnTerminal>[1]) =>
    runOnTerminal(["--config", daemon.configPath, ...args], typed, daemon.env);

  before(async () => {
    daemon = await startDaemon({ config: createConfig, init: ["local"] });
    await mkdir(join(daemon.dir, "notes"));
    await writeFile(join(daemon.dir, "notes/notes.txt"), "a note\n".repeat(20_000));
    await daemon.json(["backup", "nightly"]);
  });

  after(async () => {
    await daemon[Symbol.asyncDispose]();
  });

  it("exit 4: unknown names, with what was probably meant", async () => {
    const { error } = await daemon.json<Failure>(["backup", "nigthly"], 4);
    assert.equal(error.code, "unknown-name");
    assert.match(error.hint ?? "", /Did you mean "nightly"\?/);
    assert.equal((await daemon.holdfast(["show", "nothing-like-it"])).status, 4);
    const { error: task } = await daemon.json<Failure>(["cancel", "nothing"], 4);
    assert.match(task.hint ?? "", /holdfast status` .*holdfast runs --json` .*taskId/);
    assert.ok((await daemon.json<readonly { readonly taskId: string }[]>(["runs"])).every(({ taskId }) => /^[0-9a-z]{20}$/.test(taskId)));
    for (const args of [
      ["list", "nigthly"],
      ["runs", "nigthly"],
    ])
      assert.match((await daemon.json<Failure>(args, 4)).error.hint ?? "", /Did you mean "nightly"\?/, String(args));
    assert.equal((await daemon.json<Failure>(["list", "--destination", "nowhere"], 4)).error.code, "unknown-name");
    for (const args of [["show"], ["verify", "latest"], ["restore", "latest", "--plan"], ["extract", "latest"]])
      assert.match(
        (await daemon.json<Failure>([...args, "--job", "nigthly"], 4)).error.hint ?? "",
        /Did you mean "nightly"\?/,
        String(args),
      );
    assert.equal((await daemon.holdfast(["watch", "nothing"])).status, 4);
    assert.equal((await daemon.holdfast(["undo"])).status, 4);
    assert.equal((await daemon.holdfast(["copy", "latest", "nowhere"])).status, 4);
  });

  it("exit 5: another daemon already works with this state", async () => {
    assert.equal((await daemon.holdfast(["daemon"])).status, 5);
  });

  it("exit 2: a reload of a broken config, and the old one stays in force", async () => {
    await daemon.writeConfig("jobs: [");
    assert.equal((await daemon.holdfast(["--socket", daemon.socketPath, "reload"])).status, 2);
    const { status, stderr } = await daemon.holdfast(["status"]);
    assert.equal(status, 2);
    assert.match(stderr, /hint: .*A daemon that runs goes on with the config that it has: `--socket PATH` reaches it/);
    assert.equal((await daemon.holdfast(["--socket", daemon.socketPath, "jobs"])).status, 0);
    await daemon.writeConfig(createConfig(daemon.dir));
    assert.equal((await daemon.holdfast(["reload"])).status, 0);
  });

  it("exit 7: what loses something is refused, or needs a yes", async () => {
    const refused = await daemon.json<Failure>(["delete", "latest", "--yes"], 7);
    assert.match(refused.error.message, /the last verified backup/);
    assert.equal((await daemon.json<Failure>(["restore", "latest"], 7)).error.code, "not-confirmed");
    assert.equal((await daemon.holdfast(["restore"])).status, 2, "nobody can be asked which one");
  });

  it("D5 asks on a terminal for the name of what is overwritten, and nothing touches nothing", async () => {
    await writeFile(join(daemon.dir, "notes/notes.txt"), "changed\n");
    const { status, shown } = await answer(
      ["restore", "latest"],
      { at: /Replace notes of job "nightly"\? Type notes to confirm/, keys: "yes\r" },
      { at: /That is not "notes"/, keys: "\u0015\r" },
    );
    assert.equal(status, 7);
    assert.match(shown, /what is there now is saved first/);
    assert.match(shown, /error: Nothing was done/);
    assert.equal(await notes(), "changed\n");
  });

  it("D5 P5 picks from a list, asks, asks whether to start the services again, and restores", async () => {
    const { status, shown } = await answer(
      ["restore"],
      { at: /Which backup\?[^]*nightly_/, keys: "\r" },
      { at: /Replace notes of job "nightly"\?/, keys: "notes\r" },
      { at: /Start again afterwards \(touch .*started\)\?/, keys: "n\r" },
    );
    assert.equal(status, 0, shown);
    assert.match(shown, /ok: notes restored from nightly_/);
    assert.match(shown, /To take it back: `holdfast undo [0-9a-z]{20}`, until \d{4}-/);
    assert.equal(await notes(), "a note\n".repeat(20_000));
    assert.ok(!(await readdir(daemon.dir)).includes("started"));
  });

  it("shows tables with their names on a terminal", async () => {
    assert.match((await answer(["list"])).shown, /^name +job +at +age +size +state +datastores +note$/m);
    assert.match((await answer(["jobs"])).shown, /^job +state +next/m);
  });

  it("exit 3: a suspect backup is published and is no plain success", async () => {
    await writeFile(join(daemon.dir, "notes/notes.txt"), "hardly anything\n");
    const { status, stdout } = await daemon.holdfast(["backup", "nightly"]);
    assert.equal(status, 3, stdout);
    assert.match(stdout, /^suspect: /);
  });

  it("exit 5: only a suspect backup is accepted", async () => {
    const [suspect, good] = await daemon.json<readonly { readonly id: string; readonly name: string }[]>(["list", "nightly"]);
    assert.ok(suspect !== undefined && good !== undefined);
    const { error } = await daemon.json<Failure>(["accept", good.id], 5);
    assert.match(error.message, new RegExp(`^${good.name} is not suspect: there is nothing to accept`));
    assert.equal((await daemon.holdfast(["accept", suspect.id, "--reason", "it is right"])).status, 0);
  });

  it("L7 exit 7: a refused deletion says what of its reasons can be changed", async () => {
    const [newest] = await daemon.json<readonly { readonly id: string }[]>(["list", "nightly"]);
    const hint = async (): Promise<string | null> => (await daemon.json<Failure>(["delete", newest?.id ?? "", "--yes"], 7)).error.hint;
    await daemon.json(["pin", newest?.id ?? ""]);
    assert.equal(await hint(), "Unpin it, or say --force.");
    await daemon.json(["unpin", newest?.id ?? ""]);
  });

  it("L7 exit 6: a damaged backup is named as such by verify and restore, and nothing is touched", async () => {
    const folder = join(daemon.dir, "backups/nightly");
    const archives = (await readdir(folder)).filter((name) => /^nightly_.*\.tar$/.test(name)).toSorted();
    const [archive = ""] = archives;
    await truncate(join(folder, archive), 20_000);
    const verified = await daemon.holdfast(["verify", archive]);
    assert.equal(verified.status, 6);
    assert.match(verified.stdout, /^failed {2}/);
    assert.match(verified.stderr, /^hint: Use another backup/m);
    const [proof] = await daemon.json<readonly { readonly hint: string | null }[]>(["verify", "--offline", join(folder, archive)], 6);
    assert.match(proof?.hint ?? "", /^Use another backup/);
    const { error } = await daemon.json<Failure>(["restore", archive, "--yes", "--accept-doubtful"], 6);
    assert.ok(error.message.includes(archive), error.message);
    assert.equal(await notes(), "hardly anything\n");
    assert.equal((await daemon.json<Failure>(["restore", archive, "--yes"], 7)).error.code, "backup-unverified");
  });

  it("exit 8: the daemon goes away while a task is followed", async () => {
    await daemon.json(["pause"]);
    const waiting = daemon.holdfast(["backup", "nightly"], { whenSaid: { text: /paused/, act: () => void daemon.kill() } });
    const { status, stderr } = await waiting;
    assert.equal(status, 8);
    assert.match(stderr, /`holdfast watch [0-9a-z]{20}`/);
  });
});
