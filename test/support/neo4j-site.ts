import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInstallation, type Installation } from "./daemon.ts";
import { listServerArguments, makeNeo4j, neo4jAccount, type Neo4jServer } from "./neo4j.ts";
import { waitUntil } from "./wait-until.ts";

/** Where a gate is shut, whoever comes waits: `stop` after the server is down, `start` before it is up, `copy` before a file is copied. */
export type Gate = "stop" | "start" | "copy";

/** An installation whose datastore `graph` is a real Neo4j, which its service's hooks really stop and start. */
export interface Neo4jSite extends AsyncDisposable {
  readonly installation: Installation;
  /** Asked, and never started or stopped by its own methods. */
  readonly server: Neo4jServer;
  shut(gate: Gate): void;
  open(gate: Gate): void;
  /** How often something has come to a gate. */
  countAt(gate: Gate): number;
  /** When each stop began. */
  listStops(): readonly number[];
  isRunning(): boolean;
  /** Once it answers. */
  waitUntilRunning(): Promise<void>;
  createConfig(maxDowntime: string): string;
}

/** Like a service manager: one command at a time, a start of what runs does nothing, what has begun goes on whoever has asked for it. */
const createControl = (dir: string, server: Neo4jServer): string => `#!/bin/sh
cd '${dir}' || exit 1
alive() { test -e pid && grep -q '^State:.[^ZX]' "/proc/$(cat pid)/status" 2>/dev/null; }
gate() { echo "$1" >> gates; while test -e "shut-$1"; do sleep 0.05; done; }
case $1 in
running) alive || exit 1; exit 0;;
copy) gate copy; shift; exec /bin/cp "$@";;
esac
exec 9> control.lock
flock 9
case $1 in
stop)
  date +%s%3N >> stops
  if alive; then
    kill "$(cat pid)"
    while alive; do sleep 0.05; done
  fi
  gate stop;;
start)
  gate start
  alive && exit 0
  : > out
  setsid setpriv --reuid=${neo4jAccount} --regid=${neo4jAccount} --clear-groups env -C '${server.directory}' \\
    java ${listServerArguments(server.directory)
      .map((argument) => `'${argument}'`)
      .join(" ")} > out 2>&1 < /dev/null 9>&- &
  echo $! > pid
  until grep -q 'INFO *Started\\.$' out; do alive || exit 1; sleep 0.1; done;;
esac
`;

/** With the server and the destination `local` ready; no daemon runs. */
export async function openNeo4jSite(): Promise<Neo4jSite> {
  await using resources = new AsyncDisposableStack();
  const dir = mkdtempSync(join(tmpdir(), "n-"));
  resources.defer(() => rmSync(dir, { recursive: true, force: true }));
  chmodSync(dir, 0o755);
  const server = await makeNeo4j(join(dir, "neo4j"));
  const control = join(dir, "control");
  writeFileSync(control, createControl(dir, server), { mode: 0o755 });
  mkdirSync(join(dir, "bin"));
  writeFileSync(join(dir, "bin/cp"), `#!/bin/sh\nexec '${control}' copy "$@"\n`, { mode: 0o755 });
  const lines = (name: string): readonly string[] =>
    existsSync(join(dir, name))
      ? readFileSync(join(dir, name), "utf8")
          .split("\n")
          .filter((line) => line !== "")
      : [];
  const readPid = (): number => Number(lines("pid")[0] ?? 0);
  const isRunning = (): boolean => readPid() > 0 && existsSync(`/proc/${readPid()}`) && !isZombie(readPid());
  resources.defer(() => {
    if (isRunning()) process.kill(readPid(), "SIGKILL");
  });
  const createConfig = (maxDowntime: string): string => `destinations:
  local: { kind: local, path: ${dir}/backups }
datastores:
  graph:
    kind: neo4j
    data: ${server.data}
    home: ${server.options()["home"] as string}
    heap: 256m
    pageCache: 32m
    url: ${server.url}
    service:
      stop: [[${control}, stop]]
      start: [[${control}, start]]
      running: [[${control}, running]]
      maxDowntime: ${maxDowntime}
jobs:
  nightly: { datastores: [graph], destination: local, retry: { attempts: 1 } }
`;
  const installation = resources.use(
    await createInstallation({
      dir,
      config: createConfig("60s"),
      init: ["local"],
      env: { PATH: `${dir}/bin:${process.env["PATH"] ?? ""}` },
    }),
  );
  const owned = resources.move();
  const shut = (gate: Gate): string => join(dir, `shut-${gate}`);
  return {
    installation,
    server,
    createConfig,
    isRunning,
    shut: (gate) => writeFileSync(shut(gate), ""),
    open: (gate) => rmSync(shut(gate), { force: true }),
    countAt: (gate) => lines("gates").filter((line) => line === gate).length,
    listStops: () => lines("stops").map(Number),
    waitUntilRunning: () =>
      waitUntil("Neo4j answers", () => server.ask("RETURN true").then(Boolean, () => false), { withinMs: 120_000, pollMs: 100 }).then(
        () => undefined,
      ),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const isZombie = (pid: number): boolean => {
  try {
    return /^State:\s[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "latin1"));
  } catch {
    return true;
  }
};
