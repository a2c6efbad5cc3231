import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { Container } from "../fixtures/programs/docker-services.ts";
import type { Settings } from "../fixtures/programs/docker-stand-in.ts";
import { runCommand } from "./run-command.ts";

/** By name. */
export type Volumes = NonNullable<Settings["volumes"]>;

interface StandInContainer {
  readonly container: string;
  /** PATH within. */
  readonly path: string;
  /** All else that programs within find in their environment. */
  readonly env: Readonly<Record<string, string>>;
}

/** A Docker client in a directory of its own, for the PATH of whatever is to find it. */
export interface StandIn extends AsyncDisposable {
  readonly directory: string;
  /** Its calls, each with its arguments. */
  readCalls(): readonly (readonly string[])[];
  /** Changes what the engine has; containers that run go on. */
  change(settings: Partial<Pick<Settings, "containers" | "volumes"> & { readonly engine: Settings["engine"] | undefined }>): void;
  /** @throws when it fails */
  run(...args: readonly string[]): Promise<string>;
}

/**
 * Stands in for the Docker client and its engine in front of programs of this machine; see the program. What it has started is stopped when
 * it is closed.
 */
export function makeDocker(directory: string, own: Pick<Settings, "containers" | "volumes">): StandIn {
  mkdirSync(directory, { recursive: true });
  chmodSync(directory, 0o755);
  const place = join(directory, "settings.json");
  const log = join(directory, "calls");
  const program = join(import.meta.dirname, "../fixtures/programs/docker-stand-in.ts");
  let settings: Settings = { ...own, log, state: join(directory, "processes") };
  const write = (): void => writeFileSync(place, JSON.stringify(settings));
  write();
  writeFileSync(log, "", { mode: 0o666 });
  const docker = join(directory, "docker");
  writeFileSync(
    docker,
    `#!/bin/sh\nexport NODE_COMPILE_CACHE=${directory}/compiled\nexec ${process.execPath} ${program} '${place}' "$@"\n`,
    { mode: 0o755 },
  );
  const run = async (...args: readonly string[]): Promise<string> => {
    return (await runCommand([docker, ...args])).stdout;
  };
  return {
    directory,
    readCalls: () =>
      readFileSync(log, "utf8")
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as readonly string[]),
    change(changes) {
      settings = { ...settings, ...changes };
      write();
    },
    run,
    async [Symbol.asyncDispose]() {
      const { engine: _, ...rest } = settings;
      settings = rest;
      write();
      const started = Object.entries(settings.containers).filter(([, { command }]: readonly [string, Container]) => command !== undefined);
      for (const [name] of started) await run("kill", name);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Puts a stand-in with one container, which always runs, into PATH for the rest of the test. Gives where it notes its calls. */
export function putDockerStandIn(t: TestContext, { container, path, env }: StandInContainer): { readonly log: string } {
  const docker = makeDocker(mkdtempSync(join(tmpdir(), "docker-")), { containers: { [container]: { path, env } } });
  const before = process.env["PATH"];
  process.env["PATH"] = `${docker.directory}:${before ?? ""}`;
  t.after(async () => {
    process.env["PATH"] = before;
    await docker[Symbol.asyncDispose]();
  });
  return { log: join(docker.directory, "calls") };
}
