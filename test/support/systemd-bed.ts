import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** Where a bed sees this checkout, read-only. */
export const bedCheckout = "/opt/checkout";

const checkout = resolve(import.meta.dirname, "../..");
const bootMs = 60_000;
const powerOffMs = 20_000;
/** Units of the machine that only cost time in a bed. */
const masked = ["mariadb", "postgresql", "postgresql@15-main", "redis-server", "apt-daily", "cron", "ssh", "exim4"].map(
  (name) => `${name}.service`,
);

export interface Finished {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * A real systemd as process 1, on the machine's own root file system: every write goes to a throw-away overlay, /tmp is fresh, the network is
 * its own. Root only. It ends with the process that opened it, killed or not: its mounts are in a namespace of their own, and the kernel
 * takes the container down with its parent.
 */
export class SystemdBed implements AsyncDisposable {
  readonly #directory: string;
  readonly #container: ChildProcess;
  readonly #output: () => string;
  #leader = 0;

  private constructor(directory: string, container: ChildProcess) {
    this.#directory = directory;
    this.#container = container;
    let text = "";
    for (const stream of [container.stdout, container.stderr]) {
      stream?.setEncoding("utf8").on("data", (part: string) => {
        text = (text + part).slice(-8_000);
      });
    }
    this.#output = () => text;
  }

  static async open(signal: AbortSignal): Promise<SystemdBed> {
    const directory = mkdtempSync(join(tmpdir(), "bed-"));
    const name = basename(directory)
      .toLowerCase()
      .replaceAll(/[^a-z0-9-]/g, "");
    const script = `mkdir "$1/root" && mount --bind / "$1/root" && exec systemd-nspawn -M "$2" -D "$1/root" --volatile=overlay --boot \\
      --register=no --keep-unit --link-journal=no --private-network --console=pipe --bind-ro="$3:${bedCheckout}" \\
      ${masked.map((unit) => `systemd.mask=${unit}`).join(" ")}`;
    const args = [
      "--pdeathsig",
      "KILL",
      "--",
      "unshare",
      "--mount",
      "--propagation",
      "private",
      "sh",
      "-ec",
      script,
      "sh",
      directory,
      name,
      checkout,
    ];
    const bed = new SystemdBed(directory, spawn("setpriv", args, { detached: true, stdio: ["ignore", "pipe", "pipe"] }));
    try {
      await bed.#boot(AbortSignal.any([signal, AbortSignal.timeout(bootMs)]));
      return bed;
    } catch (error) {
      await bed[Symbol.asyncDispose]();
      throw new Error(`the systemd bed did not boot: ${bed.#output()}`, { cause: error });
    }
  }

  /** Runs a command in the bed to its end. */
  async run(command: readonly string[], timeoutMs = 60_000): Promise<Finished> {
    const child = spawn("nsenter", ["-t", String(this.#leader), "-a", "--", ...command], {
      // Not ours: what runs there is to see what a machine has.
      env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C.UTF-8" },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: timeoutMs,
      killSignal: "SIGKILL",
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    const [status] = (await once(child, "close")) as [number | null];
    return { status, stdout, stderr };
  }

  /** As `run`, of a script; anything but success is an error. Gives its standard output. */
  async shell(script: string, timeoutMs = 60_000): Promise<string> {
    const { status, stdout, stderr } = await this.run(["bash", "-ec", script], timeoutMs);
    if (status !== 0) throw new Error(`exit status ${status} of: ${script}\n${stdout}${stderr}`);
    return stdout.trim();
  }

  /** Asks again until a script succeeds; gives its standard output. For facts that have no event outside. */
  async waitFor(script: string, timeoutMs = 60_000): Promise<string> {
    const until = performance.now() + timeoutMs;
    for (;;) {
      const { status, stdout, stderr } = await this.run(["bash", "-c", script]);
      if (status === 0) return stdout.trim();
      if (performance.now() > until) throw new Error(`not within ${timeoutMs} ms: ${script}\n${stdout}${stderr}`);
      await delay(100);
    }
  }

  /** Writes a file in the bed. */
  async write(path: string, content: string, mode = "0644"): Promise<void> {
    const encoded = Buffer.from(content).toString("base64");
    await this.shell(`mkdir -p "$(dirname '${path}')"; echo ${encoded} | base64 -d > '${path}'; chmod ${mode} '${path}'`);
  }

  async #boot(signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      if (this.#container.exitCode !== null) throw new Error("systemd-nspawn ended");
      this.#leader = findChild(this.#container.pid ?? 0) ?? 0;
      if (this.#leader !== 0) {
        const { stdout } = await this.run(["systemctl", "is-system-running", "--wait"], bootMs);
        if (/^(running|degraded)/.test(stdout)) return;
      }
      await delay(50, undefined, { signal });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#container.exitCode === null && this.#container.signalCode === null) {
      const ended = once(this.#container, "exit");
      // SIGRTMIN+4: systemctl poweroff.
      if (this.#leader !== 0) spawn("kill", ["-s", "RTMIN+4", String(this.#leader)], { stdio: "ignore" });
      else this.#container.kill("SIGKILL");
      const timer = setTimeout(() => this.#container.kill("SIGKILL"), powerOffMs);
      await ended;
      clearTimeout(timer);
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

function findChild(pid: number): number | undefined {
  try {
    const [first] = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ");
    // Until nspawn has become itself, the only child may be one of the shell's.
    const isNspawn = readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("systemd-nspawn");
    return isNspawn && first !== undefined && first !== "" ? Number(first) : undefined;
  } catch {
    return undefined;
  }
}
