import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { HoldfastError } from "../base/errors.ts";
import { Secret } from "../base/secret.ts";
import { openLog, type LogOptions, type OpenedLog } from "./open-log.ts";

const modulePath = join(import.meta.dirname, "open-log.ts");

/** What a log writes to a file, line by line. */
function record(options: Partial<LogOptions>, write: (log: OpenedLog) => void): readonly string[] {
  const directory = mkdtempSync(join(tmpdir(), "log-"));
  const descriptor = openSync(join(directory, "log"), "w");
  try {
    using log = openLog({ format: "json", level: "info", env: {}, ...options, descriptor });
    write(log);
    const text = readFileSync(join(directory, "log"), "utf8");
    assert.ok(text === "" || text.endsWith("\n"));
    return text.split("\n").slice(0, -1);
  } finally {
    closeSync(descriptor);
    rmSync(directory, { recursive: true });
  }
}

function parse(line: string | undefined): Record<string, unknown> {
  return JSON.parse(line ?? "") as Record<string, unknown>;
}

test("G4: a journal line carries the record's priority, message and details, and not the time that journald adds", () => {
  const lines = record({ format: "journal", level: "debug" }, (log) => {
    log.error("gone", { job: "nightly" });
    log.warn("low");
    log.info("done", { bytes: 5, note: "two words" });
    log.debug("detail");
  });
  assert.deepEqual(lines, ["<3>gone job=nightly", "<4>low", '<6>done bytes=5 note="two words"', "<7>detail"]);
});

test("a message cannot end its line, forge a priority or move a terminal's cursor, in any format", () => {
  for (const format of ["json", "text", "journal"] as const) {
    const lines = record({ format }, (log) => log.info("one\n<0>two\r\u001b[2J\u009b1m\u2028", { name: "a\nb\u001b", "bad\nname": 1 }));
    assert.equal(lines.length, 1, format);
    // oxlint-disable-next-line no-control-regex -- control characters are what it is about
    assert.doesNotMatch(lines[0] ?? "", /[\u0000-\u001f\u007f-\u009f\u2028]/, format);
  }
  assert.equal(parse(record({}, (log) => log.info("one\ntwo"))[0])["msg"], "one\ntwo");
});

test("F71: secrets are masked by type, by name, in addresses and in the details of errors", () => {
  for (const format of ["json", "text", "journal"] as const) {
    const error = new HoldfastError("destination-failed", "PUT https://bob:canary@host/x?access_token=canary failed", {
      details: { password: "canary", nested: { apiKey: ["canary"] } },
      cause: new Error("postgres://bob:canary@db/crm"),
    });
    const lines = record({ format }, (log) => {
      const child = log.child({ secret: "canary", url: "https://bob:canary@host/" });
      child.error("token=canary at ftp://bob:canary@host; password=canary", {
        error,
        key: new Secret("canary"),
        Authorization: "canary",
        deep: [new Map([["passphrase", "canary"]])],
      });
    });
    assert.match(lines[0] ?? "", /\*\*\*/);
    assert.match(lines[0] ?? "", /destination-failed/);
    assert.doesNotMatch(lines.join("\n"), /canary|bob/, format);
  }
});

test("details never fail the log and never pass for the record's own fields", () => {
  const circular: Record<string, unknown> = { level: "fake", time: 0, msg: "fake" };
  circular["self"] = circular;
  circular["thrower"] = {
    get value(): never {
      throw new Error("no");
    },
  };
  circular["big"] = 10n;
  const line = parse(record({}, (log) => log.info("real", circular))[0]);
  assert.equal(line["level"], "info");
  assert.equal(line["msg"], "real");
  assert.equal(line["_level"], "fake");
  assert.equal(line["thrower"], "[unreadable]");
  assert.equal(line["big"], "10");
});

test("the level can be changed while the log is open, for children too", () => {
  const lines = record({}, (log) => {
    const child = log.child({ part: "child" });
    child.debug("unheard");
    log.setLevel("debug");
    child.debug("heard");
    log.setLevel("error");
    child.warn("unheard");
  });
  assert.deepEqual(
    lines.map((line) => parse(line)["msg"]),
    ["heard"],
  );
});

test("auto is journal only when the journal is at this very descriptor", () => {
  const directory = mkdtempSync(join(tmpdir(), "log-"));
  const descriptor = openSync(join(directory, "log"), "w");
  const { dev, ino } = fstatSync(descriptor);
  for (const stream of [`${dev}:${ino}`, "1:1"]) {
    using log = openLog({ format: "auto", level: "info", descriptor, env: { JOURNAL_STREAM: stream } });
    log.info(stream);
  }
  const lines = readFileSync(join(directory, "log"), "utf8").split("\n");
  closeSync(descriptor);
  rmSync(directory, { recursive: true });
  assert.equal(lines[0], `<6>${dev}:${ino}`);
  assert.equal(parse(lines[1])["msg"], "1:1");
});

test("every record is out before the process is killed", () => {
  const program = `import { openLog } from ${JSON.stringify(modulePath)}; const log = openLog({ format: "json", level: "info" });
    for (let i = 0; i < 500; i += 1) log.info("line " + i); process.kill(process.pid, "SIGKILL");`;
  const { stdout, signal } = spawnSync(process.execPath, ["--input-type=module-typescript", "-e", program], { encoding: "utf8" });
  assert.equal(signal, "SIGKILL");
  assert.equal(stdout.trim().split("\n").length, 500);
});

test("a log whose reader has gone does not end the process (EPIPE)", async () => {
  const program = `import { openLog } from ${JSON.stringify(modulePath)}; const log = openLog({ format: "json", level: "info" });
    process.stdin.once("data", () => { for (let i = 0; i < 10; i += 1) log.info("into the void"); process.exit(7); });`;
  const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", program], { stdio: ["pipe", "pipe", "inherit"] });
  child.stdout.destroy();
  await once(child.stdout, "close");
  child.stdin.write("go\n");
  const [code] = (await once(child, "exit")) as [number | null];
  assert.equal(code, 7);
});
