import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, lstatSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { HoldfastError } from "../../src/base/errors.ts";
import { openControlServer } from "../../src/control/open-server.ts";
import { openControlBed, type ControlBed } from "../support/control.ts";
import { assertHealthy, quickLimits } from "../support/control-limits.ts";

let bed: ControlBed;
before(async () => {
  bed = await openControlBed(quickLimits);
});
after(() => bed[Symbol.asyncDispose]());

describe("the socket itself", () => {
  const open = (path: string, gid?: number): Promise<AsyncDisposable> => openControlServer({ path, access: "read", gid }, bed.context);
  const fails = (code: string) => (error: unknown) => error instanceof HoldfastError && error.code === code;

  test("G4 0660 and its group's, or 0600; gone when it is closed; the umask is as before", async () => {
    const umask = process.umask();
    for (const [gid, mode] of [
      [undefined, 0o600],
      [12_345, 0o660],
    ] as const) {
      const path = join(bed.dir, "mode.sock");
      {
        await using _server = await open(path, gid);
        const found = lstatSync(path);
        assert.deepEqual([found.mode & 0o777, found.gid], [mode, gid ?? process.getgid?.()]);
      }
      assert.equal(existsSync(path), false);
    }
    assert.equal(process.umask(), umask);
  });

  test("F9 a stale socket is replaced; a live one, a file, a link and a directory are left alone", async () => {
    const path = join(bed.dir, "stale.sock");
    const script = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
    await once(spawn(process.execPath, ["-e", script]), "exit");
    assert.ok(lstatSync(path).isSocket());
    await (await open(path))[Symbol.asyncDispose]();

    const live = createServer();
    live.listen(path);
    await once(live, "listening");
    await assert.rejects(open(path), fails("daemon-running"));
    assert.ok(lstatSync(path).isSocket());
    live.close();
    await once(live, "close");

    writeFileSync(join(bed.dir, "file"), "mine");
    symlinkSync(bed.readPath, join(bed.dir, "link"));
    mkdirSync(join(bed.dir, "directory"));
    for (const name of ["file", "link", "directory"]) {
      await assert.rejects(open(join(bed.dir, name)), fails("conflict"));
      assert.ok(lstatSync(join(bed.dir, name)));
    }
    await assertHealthy(bed);
  });

  test("F9 a daemon too busy to answer is not taken for dead", async () => {
    const path = join(bed.dir, "busy.sock");
    const script = `require("net").createServer().listen({ path: ${JSON.stringify(path)}, backlog: 1 }, () => { console.log("up"); for (;;); })`;
    const busy = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    await once(busy.stdout, "data");
    await assert.rejects(open(path), fails("daemon-running"));
    assert.ok(lstatSync(path).isSocket());
    busy.kill("SIGKILL");
    await once(busy, "exit");
  });

  test("a path that cannot be bound is told with its name", async () => {
    await assert.rejects(open(join(bed.dir, "nowhere/x.sock")), /Cannot listen on .*nowhere/);
    await assert.rejects(open(join(bed.dir, "x".repeat(120))), fails("config-invalid"));
  });
});
