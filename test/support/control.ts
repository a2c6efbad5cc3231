import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { createConnection, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../src/config/load-config.ts";
import type { ControlLimits } from "../../src/control/limits.ts";
import { openControlServer } from "../../src/control/open-server.ts";
import type { ControlContext } from "../../src/control/route.ts";
import { loadProgram } from "../../src/daemon/load-program.ts";
import { openCore } from "../../src/daemon/open-core.ts";
import type { Core } from "../../src/operations/core.ts";

export interface ControlBed extends AsyncDisposable {
  readonly dir: string;
  readonly core: Core;
  readonly context: ControlContext;
  readonly adminPath: string;
  readonly readPath: string;
}

/** Both sockets on a state of their own, in this process and without a dispatcher: what is asked for waits for ever. */
export async function openControlBed(limits: Partial<ControlLimits> = {}): Promise<ControlBed> {
  const dir = await mkdtemp(join(tmpdir(), "c-"));
  await using resources = new AsyncDisposableStack();
  resources.defer(() => rm(dir, { recursive: true, force: true }));
  await mkdir(join(dir, "files"));
  await writeFile(join(dir, "files/a.txt"), "a");
  const path = join(dir, "holdfast.yaml");
  await writeFile(
    path,
    `destinations: { local: { kind: local, path: ${dir}/backups } }\ndatastores: { files: { kind: files, include: [${dir}/files/*] } }\njobs: { nightly: { datastores: [files], destination: local } }\n`,
  );
  const flags = { stateDir: join(dir, "state"), runtimeDir: join(dir, "run"), logLevel: "error" };
  const config = await loadConfig({ path, env: {}, flags });
  const { core } = resources.use(await openCore(config, loadProgram(), AbortSignal.timeout(10_000)));
  const context: ControlContext = { core, reload: () => Promise.resolve({ changed: false }) };
  const { socketPath: adminPath, statusSocketPath: readPath } = config.settings;
  resources.use(await openControlServer({ path: adminPath, access: "admin", gid: undefined, limits }, context));
  resources.use(await openControlServer({ path: readPath, access: "read", gid: undefined, limits }, context));
  const owned = resources.move();
  return { dir, core, context, adminPath, readPath, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  readonly body: unknown;
}

export interface Asked {
  readonly method?: string;
  /** With its /v1. */
  readonly path: string;
  readonly body?: unknown;
  /** Instead of `body`, as it is. */
  readonly raw?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One request on a connection of its own. */
export async function ask(socketPath: string, { method = "GET", path, body, raw, headers = {} }: Asked): Promise<Answer> {
  const text = raw ?? (body === undefined ? undefined : JSON.stringify(body));
  const response = await new Promise<import("node:http").IncomingMessage>((resolve, reject) => {
    const type = text === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
    const sent = request({ socketPath, method, path, headers: { host: "localhost", ...type, ...headers }, agent: false }, resolve);
    sent.once("error", reject);
    sent.end(text);
  });
  let answer = "";
  for await (const chunk of response.setEncoding("utf8")) answer += String(chunk);
  return { status: response.statusCode ?? 0, headers: response.headers, text: answer, body: parse(answer) };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A bare connection. */
export interface Wire {
  readonly socket: Socket;
  /** Resolves with all that came when the connection has ended, however it ended. */
  readonly closed: Promise<string>;
}

export function openWire(path: string): Wire {
  const socket = createConnection(path);
  let text = "";
  socket.setEncoding("latin1").on("data", (chunk: string) => {
    text += chunk;
  });
  socket.on("error", () => undefined);
  const closed = new Promise<string>((resolve) => {
    socket.once("close", () => resolve(text));
  });
  return { socket, closed };
}
