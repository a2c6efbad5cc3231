import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { chromaProgram, collectionsPath, createChromaCaller, createVector, fillCollection, type ChromaServer } from "./chroma.ts";
import { createInstallation, type Installation, type RunningDaemon } from "./daemon.ts";
import { findFreePort } from "./free-port.ts";
import { runCommand } from "./run-command.ts";
import { waitUntil } from "./wait-until.ts";

export interface ChromaSite extends Installation {
  readonly daemon: RunningDaemon;
  path(name: string): string;
  readonly call: ChromaServer["call"];
  /** What the hooks have noted since it was asked last. */
  takeOrder(): string;
  pid(): number;
  run(...args: readonly string[]): Promise<string>;
}

const createConfig = (dir: string, port: number): string => {
  const common = `
    url: http://127.0.0.1:${port}
    server: ${chromaProgram}
    samples: 12`;
  const files = `kind: chroma
    path: ${dir}/data${common}
    service:
      stop: { shell: "echo stop >> ${dir}/order; kill -9 $(cat ${dir}/pid); while kill -0 $(cat ${dir}/pid) 2>/dev/null; do sleep 0.05; done; while test -e ${dir}/hold-stop; do sleep 0.02; done" }
      start: { shell: "echo start >> ${dir}/order; sh ${dir}/start" }
      pause: { shell: "echo pause >> ${dir}/order; kill -STOP $(cat ${dir}/pid)" }
      resume: { shell: "echo resume >> ${dir}/order; kill -CONT $(cat ${dir}/pid)" }
      running: { shell: "grep -qs '^State:.[^TZ]' /proc/$(cat ${dir}/pid)/status || exit 1" }`;
  const job = (name: string, check: string): string => `
  ${name}:
    datastores: [${name}]
    destination: local
    retry: { attempts: 1 }
    restore: { check: { shell: "${check}", retryFor: 0s, timeout: 100s } }`;
  return `
destinations:
  local: { kind: local, path: ${dir}/backups }
datastores:
  live:
    ${files}
  paused:
    ${files}
    copy: paused
  stopped:
    ${files}
    copy: stopped
  api:
    kind: chroma${common}
jobs:${["live", "paused", "stopped", "api"].map((name) => job(name, `touch ${dir}/checking; while test -e ${dir}/hold-check; do sleep 0.02; done`)).join("")}
`;
};

/** A server that hooks start, and end by its process id; jobs `live`, `paused` and `stopped` of its files, and `api`. */
export async function openChromaSite(t: TestContext): Promise<ChromaSite> {
  const port = await findFreePort();
  const installation = await createInstallation({
    config: (dir) => {
      mkdirSync(join(dir, "data"));
      writeFileSync(join(dir, "order"), "");
      // Its parent is gone at once, so that it is nobody's zombie when it is killed.
      writeFileSync(
        join(dir, "start"),
        `( setsid ${chromaProgram} run --host 127.0.0.1 --port ${port} --path ${dir}/data </dev/null >/dev/null 2>&1 & echo $! > ${dir}/pid )\n`,
      );
      return createConfig(dir, port);
    },
    init: ["local"],
    // A drill takes no program from what a backup names.
    env: { PATH: `${dirname(chromaProgram)}:${process.env["PATH"] ?? ""}` },
  });
  const path = (name: string): string => join(installation.dir, name);
  const pid = (): number => Number(readFileSync(path("pid"), "utf8"));
  t.after(async () => {
    for (const name of ["hold-stop", "hold-check"]) rmSync(path(name), { force: true });
    if (existsSync(path("pid"))) {
      try {
        process.kill(pid(), "SIGKILL");
      } catch {
        // It has ended.
      }
    }
    await installation[Symbol.asyncDispose]();
  });
  await runCommand(["sh", path("start")]);
  const call = createChromaCaller(`http://127.0.0.1:${port}`);
  await waitUntil("the server answers", () => answers({ call }));
  const daemon = await installation.start();
  return {
    ...installation,
    daemon,
    path,
    pid,
    call,
    takeOrder: () => {
      const order = readFileSync(path("order"), "utf8").trim().split("\n").join(", ");
      writeFileSync(path("order"), "");
      return order;
    },
    async run(...args) {
      const { status, stdout, stderr } = await installation.holdfast(args);
      assert.equal(status, 0, stdout + stderr);
      return stdout + stderr;
    },
  };
}

export async function answers(site: Pick<ChromaSite, "call">): Promise<boolean> {
  try {
    await site.call("GET", "/heartbeat");
    return true;
  } catch {
    return false;
  }
}

/** Adds records to the collection `memories`. */
export const fillMemories = async (site: ChromaSite, from: number, count: number): Promise<void> => {
  await fillCollection({ call: site.call }, { collection: "memories", from, count });
};

/** Numbers of records, of every seventh, that are not found by their own vectors; and how many records there are. */
export async function askMemories(site: ChromaSite): Promise<{ readonly records: number; readonly missed: readonly number[] }> {
  await waitUntil("the server answers", () => answers(site));
  const { id } = (await site.call("GET", `${collectionsPath}/memories`)) as { readonly id: string };
  const records = Number(await site.call("GET", `${collectionsPath}/${id}/count`));
  const numbers = Array.from({ length: Math.ceil(records / 7) }, (_, index) => index * 7);
  const { ids } = (await site.call("POST", `${collectionsPath}/${id}/query`, {
    query_embeddings: numbers.map((number) => createVector(number, 64)),
    n_results: 100,
    include: ["distances"],
  })) as { readonly ids: readonly (readonly string[])[] };
  return { records, missed: numbers.filter((number, row) => ids[row]?.includes(`id${number}`) !== true) };
}
