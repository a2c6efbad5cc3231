import { readdir, realpath } from "node:fs/promises";
import { basename, delimiter, join } from "node:path";
import { HoldfastError } from "../../base/errors.ts";
import { runProgram } from "../../base/subprocess.ts";
import { wrapCommand, type Via } from "../via.ts";

export type ToolName = "pg_dump" | "pg_dumpall" | "pg_restore" | "psql" | "initdb" | "pg_ctl" | "postgres";

/** The programs of one PostgreSQL installation. */
export interface Toolset {
  readonly major: number;
  /** For example `15.18`. */
  readonly version: string;
  /** Absent for tools that are found by the PATH of a container. */
  readonly binDir?: string;
  /** The path, or inside a container the name, of a tool. */
  path(tool: ToolName): string;
}

export interface ToolSearch {
  /** Only here, where it is given. */
  readonly binDir?: string | undefined;
  readonly via?: Via | undefined;
  /** Here too, beside the usual places. */
  readonly alsoIn?: readonly string[];
}

const versionTimeoutMs = 30_000;
/** Debian, Red Hat and derivatives, source builds. */
const knownPlaces: readonly (readonly [string, RegExp])[] = [
  ["/usr/lib/postgresql", /^\d+$/],
  ["/usr", /^pgsql-\d+$/],
  ["/usr/local", /^pgsql(-\d+)?$/],
];

/** Every installation that has `tool`, oldest first. Looked up each time: one may be installed while we run. */
export async function listToolsets(search: ToolSearch, tool: ToolName, signal: AbortSignal): Promise<readonly Toolset[]> {
  if (search.via !== undefined) return [await readToolset(search, tool, signal)];
  const directories = search.binDir === undefined ? [...(await listPlaces()), ...(search.alsoIn ?? [])] : [search.binDir];
  // None is left running when another one fails.
  const found = await Promise.allSettled(directories.map((binDir) => readInstalled(binDir, tool, signal)));
  const failed = found.find((each) => each.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  const unique = new Map(
    found.flatMap((each) => (each.status === "rejected" || each.value === undefined ? [] : [[each.value.binDir, each.value] as const])),
  );
  return [...unique.values()].toSorted((one, other) => compareVersions(one.version, other.version));
}

async function listPlaces(): Promise<readonly string[]> {
  const places: string[] = [];
  for (const [parent, pattern] of knownPlaces) {
    const names = await readdir(parent).catch(() => []);
    places.push(...names.filter((name) => pattern.test(name)).map((name) => join(parent, name, "bin")));
  }
  return [...places, ...(process.env["PATH"] ?? "").split(delimiter).filter((directory) => directory !== "")];
}

/** Undefined where the tool is not, or is a wrapper that chooses a version of its own (Debian's /usr/bin). */
async function readInstalled(binDir: string, tool: ToolName, signal: AbortSignal): Promise<Toolset | undefined> {
  const path = await realpath(join(binDir, tool)).catch(() => undefined);
  if (path === undefined || basename(path) !== tool) return undefined;
  return await readToolset({ binDir: path.slice(0, -tool.length - 1) }, tool, signal).catch((error: unknown) => {
    if (error instanceof HoldfastError && (error.code === "tool-failed" || error.code === "tool-missing")) return undefined;
    throw error;
  });
}

async function readToolset({ binDir, via }: ToolSearch, tool: ToolName, signal: AbortSignal): Promise<Toolset> {
  const path = (name: ToolName): string => (binDir === undefined ? name : join(binDir, name));
  const { program, args, env, cwd } = wrapCommand(via, { program: path(tool), args: ["--version"] });
  const options = { env, timeoutMs: versionTimeoutMs, ...(cwd === undefined ? {} : { cwd }) };
  const { stdout } = await runProgram(program, args, options, signal);
  const version = /\(PostgreSQL\) (\d+\S*)/.exec(stdout)?.[1];
  if (version === undefined)
    throw new HoldfastError("tool-failed", `${path(tool)} --version says ${JSON.stringify(stdout.trim().slice(0, 100))}`);
  return { major: Number.parseInt(version, 10), version, path, ...(binDir === undefined ? {} : { binDir }) };
}

export function compareVersions(one: string, other: string): number {
  return one.localeCompare(other, "en", { numeric: true });
}

/**
 * The installation for a server: of its own major version, else the next newer one. An older pg_dump refuses a newer server, and what a
 * newer one writes may not load into an older server.
 * @throws tool-missing when there is none, or all are older (F37)
 */
export async function findTools(search: ToolSearch, tool: ToolName, atLeastMajor: number, signal: AbortSignal): Promise<Toolset> {
  const installed = await listToolsets(search, tool, signal);
  const fitting = installed.filter(({ major }) => major >= atLeastMajor);
  const nearest = fitting.filter(({ major }) => major === fitting[0]?.major).at(-1);
  if (nearest !== undefined) return nearest;
  const hint = describeRemedy(search, tool, atLeastMajor);
  const newest = installed.at(-1);
  if (newest === undefined)
    throw new HoldfastError("tool-missing", `${tool} ${search.binDir === undefined ? "is not installed" : `is not in ${search.binDir}`}`, {
      hint,
    });
  throw new HoldfastError("tool-missing", `${tool} ${newest.version} is too old for PostgreSQL ${atLeastMajor}`, {
    hint,
    details: { installed: installed.map(({ version }) => version), needed: atLeastMajor },
  });
}

function describeRemedy({ binDir, via }: ToolSearch, tool: ToolName, major: number): string {
  if (via !== undefined) return `Use an image that has the client programs of PostgreSQL ${major} or newer.`;
  const isServerTool = tool === "initdb" || tool === "pg_ctl" || tool === "postgres";
  const install = `Install the package postgresql-${isServerTool ? "" : "client-"}${major} (from apt.postgresql.org where Debian has none)`;
  return binDir === undefined ? `${install}.` : `${install}, or set binDir to where newer ones are.`;
}
