import { existsSync } from "node:fs";
import { findProgram } from "../../base/find-program.ts";
import { runProgram } from "../../base/subprocess.ts";
import type { Config } from "../../config/config.ts";
import { type Finding, fail, ok, warn } from "./finding.ts";
import { findingOfError } from "./finding-of-error.ts";

interface Tool {
  readonly program: string;
  readonly package: string;
  readonly why: string;
  readonly needed: "always" | "optional";
}

/** Looks for the programs that the config's jobs will run, and asks their versions. */
export async function checkTools(config: Config, signal: AbortSignal): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const tool of listTools(config)) findings.push(await checkTool(tool, signal));
  return findings;
}

function listTools(config: Config): readonly Tool[] {
  const jobs = [...config.jobs.values()];
  const kinds = new Set([...config.datastores.values()].map(({ kind }) => kind));
  const used = jobs.flatMap((job) => [job, ...job.datastores.flatMap((name) => config.datastores.get(name) ?? [])]);
  const methods = new Set(used.flatMap(({ compression }) => compression?.method ?? []));
  const hasHooks =
    jobs.some(({ restore, freeze }) => freeze.length + restore.stop.length + restore.start.length > 0) ||
    [...config.datastores.values()].some(({ service }) => service !== undefined);
  return [
    { program: "setpriv", package: "util-linux", why: "children end with their parent", needed: "always" },
    { program: "flock", package: "util-linux", why: "locks that other programs see", needed: "always" },
    ...(kinds.has("files") ? [{ program: "tar", package: "tar", why: "directory trees", needed: "always" } as const] : []),
    ...(methods.has("zstd") ? [{ program: "zstd", package: "zstd", why: "compression: zstd", needed: "always" } as const] : []),
    ...(methods.has("gzip") ? [{ program: "pigz", package: "pigz", why: "gzip on all cores", needed: "optional" } as const] : []),
    ...(hasHooks && existsSync("/run/systemd/system")
      ? [
          {
            program: "systemd-run",
            package: "systemd",
            why: "stop, start, freeze and thaw commands outside the service",
            needed: "always",
          } as const,
        ]
      : []),
  ];
}

async function checkTool({ program, package: name, why, needed }: Tool, signal: AbortSignal): Promise<Finding> {
  const what = `program ${program}`;
  const path = findProgram(program);
  const install = `apt-get install ${name}`;
  if (path === undefined) {
    return needed === "always"
      ? fail(what, `not found (${why})`, install)
      : warn(what, `not found (${why}); it goes on without it, slower`, install);
  }
  try {
    const { stdout, stderr } = await runProgram(path, ["--version"], { timeoutMs: 10_000 }, signal);
    const version = `${stdout}\n${stderr}`
      .split("\n")
      .find((line) => /\d/.test(line))
      ?.trim();
    if (program === "tar" && version?.includes("GNU") !== true)
      return fail(what, `${path} is not GNU tar: ${version ?? "no version"}`, install);
    return ok(what, `${path}, ${version ?? "version unknown"}`);
  } catch (error) {
    signal.throwIfAborted();
    return findingOfError(needed === "always" ? "fail" : "warn", what, error);
  }
}
