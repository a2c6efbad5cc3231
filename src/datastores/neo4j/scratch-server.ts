import { createHash, randomBytes } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { HoldfastError } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import { createAbortError, openProgram } from "../../base/subprocess.ts";
import type { Admin } from "./admin.ts";
import { explainToolError } from "./explain-error.ts";
import type { Endpoint } from "./query-graph.ts";
import { findListeningPort } from "./find-port.ts";
import { listJavaArguments } from "./tools.ts";

const stopMs = 5 * 60_000;
const serverClass = "org.neo4j.server.CommunityEntryPoint";

/** A server of our own on a copy, to be reached on this machine only, with a password that nobody knows. It dies with this process. */
export interface ScratchServer extends AsyncDisposable {
  readonly endpoint: Endpoint;
  /** Shuts it down in good order, so that the copy can be dumped and checked. */
  stop(): Promise<void>;
}

/**
 * Recovers the copy where it has to be. Its `system` database must not be in the workplace: one of the server's own is made.
 * @throws source-corrupt when it does not come up with the database
 */
export async function openScratchServer(admin: Admin, what: string, signal: AbortSignal): Promise<ScratchServer> {
  const { options, home, place } = admin;
  const password = new Secret(randomBytes(24).toString("hex"));
  await mkdir(join(place.data, "dbms"), { recursive: true, mode: 0o700 });
  await rm(join(place.data, "dbms", "auth"), { force: true });
  await writeFile(join(place.data, "dbms", "auth.ini"), hashPassword(password), { mode: 0o600 });
  const args = [
    ...listJavaArguments(options, home, place, serverClass),
    `--home-dir=${place.directory}`,
    `--config-dir=${join(place.directory, "conf")}`,
    "--console-mode",
  ];
  const limit = AbortSignal.timeout(options.startTimeout);
  const program = openProgram(options.java, args, { cwd: place.directory }, signal);
  const log: string[] = [];
  try {
    await Promise.race([hasStarted(program.stdout, log), endsEarly(program.finished, log, what), expire(limit, what)]);
    const port = findListeningPort(program.pid ?? 0);
    return {
      endpoint: { url: `http://127.0.0.1:${port}`, user: "neo4j", password },
      async stop() {
        process.kill(program.pid ?? 0, "SIGTERM");
        // 143: by our signal, after its own good end.
        await Promise.race([program.finished, expire(AbortSignal.timeout(stopMs), what)]).catch((error: unknown) => {
          if (!(error instanceof HoldfastError && error.code === "tool-failed" && error.details?.["exitCode"] === 143)) throw error;
        });
      },
      [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
    };
  } catch (error) {
    await program[Symbol.asyncDispose]();
    if (signal.aborted) throw createAbortError(signal, "A private Neo4j was stopped");
    throw error;
  }
}

/** As the server keeps it: salted, hashed 1024 times. So the password is in no file. */
function hashPassword(password: Secret): string {
  const salt = randomBytes(32);
  let hash = createHash("sha256").update(salt).update(password.reveal()).digest();
  for (let round = 1; round < 1024; round += 1) hash = createHash("sha256").update(hash).digest();
  return `neo4j:SHA-256,${hash.toString("hex")},${salt.toString("hex")},1024:\n`;
}

/** Reads on when it has started: a full pipe would stop the server. */
function hasStarted(stdout: NodeJS.ReadableStream | null, log: string[]): Promise<void> {
  return new Promise((resolve) => {
    let rest = "";
    stdout?.setEncoding("utf8");
    stdout?.on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      log.push(...lines);
      log.splice(0, Math.max(0, log.length - 100));
      if (lines.some((line) => /INFO +Started\.$/.test(line))) resolve();
    });
  });
}

async function endsEarly(finished: Promise<unknown>, log: readonly string[], what: string): Promise<never> {
  let cause: unknown;
  try {
    await finished;
  } catch (error) {
    cause = error;
    const explained = explainToolError(error, what);
    if (!(explained instanceof HoldfastError && explained.code === "tool-failed")) throw explained;
  }
  const said = cause instanceof HoldfastError ? cause.message : "it ended by itself";
  const reasons = log.filter((line) => /ERROR|Caused by|Exception/.test(line)).map((line) => line.replace(/^\S+ \S+ +/, "").trim());
  throw new HoldfastError(
    "source-corrupt",
    `${what}: a private Neo4j does not start on the copy: ${[said, ...reasons.slice(-3)].join("; ").slice(0, 1_000)}`,
    {
      hint: "Is `home` of the server's version? If so, the copy or the data itself is damaged: `neo4j-admin database check` tells more.",
      cause,
    },
  );
}

function expire(limit: AbortSignal, what: string): Promise<never> {
  return new Promise((_, reject) => {
    limit.addEventListener("abort", () => {
      reject(
        new HoldfastError("timeout", `${what}: a private Neo4j did not start or stop in time`, {
          hint: "Raise `startTimeout`, `heap` or `pageCache`: a copy of a paused server has to be recovered first.",
        }),
      );
    });
  });
}
