import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chownSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findFreePort } from "./free-port.ts";
import { waitUntil } from "./wait-until.ts";

/** Where scripts/setup --test puts it. */
export const neo4jHome = new URL("../../.runtime/neo4j", import.meta.url).pathname;

/** Whose server it is: not root's, so that a restore that forgets the owner is seen. */
export const neo4jAccount = 65_534;
const startMs = 120_000;

/** Of Java. */
export function listServerArguments(directory: string): readonly string[] {
  const opened = ["java.base/java.nio", "java.base/java.io", "java.base/sun.nio.ch"];
  return [
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    `-Djava.io.tmpdir=${join(directory, "tmp")}`,
    ...opened.flatMap((name) => ["--add-opens", `${name}=ALL-UNNAMED`]),
    "-cp",
    join(neo4jHome, "lib", "*"),
    "org.neo4j.server.CommunityEntryPoint",
    `--home-dir=${directory}`,
    `--config-dir=${join(directory, "conf")}`,
    "--console-mode",
  ];
}

/** A real Neo4j of a test's own, with its data in `data`; it ends when it is closed. */
export class Neo4jServer implements AsyncDisposable {
  readonly directory: string;
  readonly port: number;
  #child: ChildProcess | undefined;

  constructor(directory: string, port: number) {
    this.directory = directory;
    this.port = port;
  }

  get data(): string {
    return join(this.directory, "data");
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Options of a datastore on its data. */
  options(more: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> {
    return { data: this.data, home: neo4jHome, heap: "256m", pageCache: "32m", ...more };
  }

  async start(): Promise<void> {
    const { directory } = this;
    const child = spawn("java", listServerArguments(directory), {
      cwd: directory,
      stdio: ["ignore", "pipe", "pipe"],
      uid: neo4jAccount,
      gid: neo4jAccount,
    });
    this.#child = child;
    let log = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => {
        log = (log + text).slice(-5_000);
      });
    await waitUntil(
      "Neo4j's start",
      () => {
        if (child.exitCode !== null) throw new Error(`Neo4j ended: ${log}`);
        return /^.*INFO +Started\.$/m.test(log);
      },
      { withinMs: startMs },
    );
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill(signal);
    await ended;
  }

  /** First column of the first row. */
  async ask(statement: string): Promise<unknown> {
    const response = await fetch(`${this.url}/db/neo4j/tx/commit`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ statements: [{ statement }] }),
    });
    const answer = (await response.json()) as {
      readonly results: readonly { readonly data: readonly { readonly row: readonly unknown[] }[] }[];
      readonly errors: readonly { readonly message: string }[];
    };
    if (answer.errors[0] !== undefined) throw new Error(answer.errors[0].message);
    return answer.results[0]?.data[0]?.row[0];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGKILL");
  }
}

/** Not started. @param directory absent, or empty; removed by the test */
export async function makeNeo4j(directory: string): Promise<Neo4jServer> {
  if (!existsSync(join(neo4jHome, "lib"))) throw new Error("Neo4j is not installed for tests: run scripts/setup --test");
  for (const name of ["", "data", "conf", "tmp", "logs", "run", "plugins", "import"]) {
    mkdirSync(join(directory, name), { recursive: true, mode: 0o755 });
    chownSync(join(directory, name), neo4jAccount, neo4jAccount);
  }
  const port = await findFreePort();
  writeFileSync(
    join(directory, "conf", "neo4j.conf"),
    [
      "server.bolt.enabled=false",
      "server.default_listen_address=127.0.0.1",
      `server.http.listen_address=127.0.0.1:${port}`,
      "server.memory.pagecache.size=32m",
      "dbms.security.auth_enabled=false",
      "dbms.usage_report.enabled=false",
      "",
    ].join("\n"),
  );
  rmSync(join(directory, "data", "server_id"), { force: true });
  return new Neo4jServer(directory, port);
}
