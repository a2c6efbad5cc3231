import { readdirSync, realpathSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { HoldfastError } from "../../base/errors.ts";
import { findProgram, isExecutable } from "../../base/find-program.ts";
import type { Neo4jOptions } from "./options.ts";

/** Where packages and containers of Neo4j put it. */
const usualHomes = ["/usr/share/neo4j", "/opt/neo4j", "/var/lib/neo4j"];

/** The installation's directory, or undefined where there is none. @throws tool-missing for a configured one that is none */
export function findHome({ home }: Pick<Neo4jOptions, "home">): string | undefined {
  if (home === undefined) return [...findByPath(), ...usualHomes].find(isHome);
  if (isHome(home)) return home;
  throw new HoldfastError("tool-missing", `there is no Neo4j in ${home}: lib/neo4j-dbms-*.jar is missing`, {
    hint: "Set `home` to the directory in which Neo4j is installed; it has `bin`, `conf` and `lib`.",
  });
}

export function requireHome(options: Pick<Neo4jOptions, "home">): string {
  const home = findHome(options);
  if (home !== undefined) return home;
  throw new HoldfastError("tool-missing", "no Neo4j is installed on this machine", {
    hint: "Install Neo4j of the server's version (it need not run) and set `home`; or use `method: archive` with `prove: files`, which proves the files only.",
  });
}

/** Whether it is there; its version shows when it runs. A word with a slash is no name to look for in PATH. */
export function requireJava({ java }: Pick<Neo4jOptions, "java">, what: string): void {
  if (java.includes("/") ? isExecutable(java) : findProgram(java) !== undefined) return;
  throw new HoldfastError("tool-missing", `${what}: ${java} is not installed`, { hint: javaHint });
}

export const javaHint = "Install Java 17 or newer (Debian: openjdk-17-jre-headless), or set `java`.";

function findByPath(): readonly string[] {
  const program = findProgram("neo4j-admin");
  return program === undefined ? [] : [dirname(dirname(realpathSync(program)))];
}

function isHome(home: string): boolean {
  try {
    return readdirSync(join(home, "lib")).some((name) => /^neo4j-dbms-.*\.jar$/.test(name));
  } catch {
    return false;
  }
}

/** `5.26.30`, by the names of its files. */
export function readToolVersion(home: string): string {
  const name = readdirSync(join(home, "lib")).find((each) => /^neo4j-dbms-.*\.jar$/.test(each));
  return name?.slice("neo4j-dbms-".length, -".jar".length) ?? "unknown";
}

/** A private place in which Neo4j's programs work on a copy of a data directory. */
export interface Workplace {
  /** Ours, and removed by whoever made it; everything that the programs write lies in it. */
  readonly directory: string;
  readonly data: string;
}

/** Java itself and not `bin/neo4j-admin`: that starts a second process, which would outlive us. */
export function listJavaArguments(options: Neo4jOptions, home: string, place: Workplace, mainClass: string): readonly string[] {
  const opened = ["java.base/java.nio", "java.base/java.io", "java.base/sun.nio.ch", "java.base/java.util.concurrent"];
  return [
    `-Xmx${options.heap}`,
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    // A short life: what the second compiler gains it does not earn back.
    "-XX:TieredStopAtLevel=1",
    `-Djava.io.tmpdir=${join(place.directory, "tmp")}`,
    ...opened.flatMap((name) => ["--add-opens", `${name}=ALL-UNNAMED`]),
    "-cp",
    join(home, "lib", "*"),
    mainClass,
  ];
}

/** Writes a configuration that leads nowhere but into the workplace. */
export async function prepareWorkplace(options: Neo4jOptions, place: Workplace): Promise<void> {
  const { directory, data } = place;
  for (const name of ["conf", "tmp", "logs", "run", "plugins", "import", "report"])
    await mkdir(join(directory, name), { recursive: true, mode: 0o700 });
  const settings = {
    "server.directories.data": data,
    "server.directories.transaction.logs.root": join(data, "transactions"),
    "server.directories.dumps.root": join(directory, "tmp"),
    "server.directories.logs": join(directory, "logs"),
    "server.directories.run": join(directory, "run"),
    "server.directories.plugins": join(directory, "plugins"),
    "server.directories.import": join(directory, "import"),
    "server.directories.licenses": join(directory, "import"),
    "initial.dbms.default_database": options.database,
    "server.default_listen_address": "127.0.0.1",
    "server.bolt.enabled": "false",
    "server.https.enabled": "false",
    // A free one.
    "server.http.listen_address": "127.0.0.1:0",
    "server.http_enabled_modules": "TRANSACTIONAL_ENDPOINTS",
    "server.memory.pagecache.size": options.pageCache,
    "dbms.security.auth_enabled": "true",
    "dbms.usage_report.enabled": "false",
    // Other versions do not know all of these.
    "server.config.strict_validation.enabled": "false",
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value.replaceAll("\\", "\\\\")}\n`);
  await writeFile(join(directory, "conf", "neo4j.conf"), lines.join(""), { mode: 0o600 });
}
