import { spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { waitUntil } from "./wait-until.ts";

const readyLine = "ready";

export interface ApplicationProcess {
  readonly dir: string;
  /** What DIR/application.json says. */
  readonly settings: unknown;
  /** To be called when it is at work: `start` waits for it. */
  reportReady(): void;
}

/**
 * The whole of an application's program, called as `PROGRAM start|stop|pid DIR`, as a service manager or pm2 would do it. `run` is what the
 * process does that `start` leaves behind; its number is in DIR/pid, and what it complains of in DIR/stderr.
 */
export async function obeyAction(program: string, run: (application: ApplicationProcess) => void | Promise<void>): Promise<void> {
  const [action, dir = ""] = process.argv.slice(2);
  switch (action) {
    case "start":
      return await start(program, dir);
    case "stop":
      return await stop(dir);
    case "pid": {
      const pid = readPid(dir);
      if (pid === undefined) process.exitCode = 1;
      else console.log(pid);
      return;
    }
    case "run":
      return await run({
        dir,
        settings: JSON.parse(readFileSync(join(dir, "application.json"), "utf8")),
        reportReady: () => {
          writeFileSync(join(dir, "pid"), String(process.pid));
          process.stdout.write(`${readyLine}\n`);
        },
      });
    default:
      throw new Error(`unknown action ${action}`);
  }
}

function readPid(dir: string): number | undefined {
  const path = join(dir, "pid");
  const pid = existsSync(path) ? Number(readFileSync(path, "utf8")) : 0;
  if (pid === 0) return undefined;
  try {
    // A zombie has ended; who reaps it is not our business.
    return /\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8")) ? undefined : pid;
  } catch {
    return undefined;
  }
}

async function start(program: string, dir: string): Promise<void> {
  if (readPid(dir) !== undefined) return;
  const errors = openSync(join(dir, "stderr"), "a");
  const child = spawn(process.execPath, [program, "run", dir], { detached: true, stdio: ["ignore", "pipe", errors], cwd: "/" });
  closeSync(errors);
  const said = child.stdout ?? Readable.from([]);
  for await (const line of createInterface({ input: said })) if (line === readyLine) break;
  said.destroy();
  child.unref();
  if (readPid(dir) === undefined) throw new Error(readFileSync(join(dir, "stderr"), "utf8"));
}

async function stop(dir: string): Promise<void> {
  const pid = readPid(dir);
  if (pid === undefined) return;
  process.kill(pid, "SIGTERM");
  await waitUntil("the end of the application", () => readPid(dir) === undefined, { pollMs: 10 });
  rmSync(join(dir, "pid"));
}
