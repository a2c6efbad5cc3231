import { readFileSync, statSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { z } from "zod";
import { HoldfastError, readErrno } from "../base/errors.ts";
import { runProgram } from "../base/subprocess.ts";
import { resolvePath } from "./trees/resolve-path.ts";
import { readClientVariables } from "./via.ts";

const absolutePath = z.string().refine((path) => isAbsolute(path) && !path.includes("\0"), "must be an absolute path");
const relativePath = z
  .string()
  .refine(
    (path) => !isAbsolute(path) && !path.includes("\0") && path.split("/").every((part) => part !== "" && part !== "." && part !== ".."),
    'must be a path within the volume, without ".."',
  );

/** A directory of this machine: by its path, or in a volume of the Docker engine. Say what it holds with `.describe`. */
export const directoryField = z.union([
  absolutePath,
  z.strictObject({
    volume: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]*$/, "must be the name of a volume, as `docker volume ls` shows it")
      .describe("Docker volume, as `docker volume ls` shows it: compose puts the project's name before it."),
    path: relativePath.optional().describe("Directory within the volume; all of it by default."),
  }),
]);

export type Directory = z.output<typeof directoryField>;

export interface FoundDirectory {
  /** Absolute, without links as far as it is there. */
  readonly path: string;
  /** `stays`: running containers hold this very directory, so that only what is in it can be replaced. */
  readonly root: "may-move" | "stays";
}

/** How long an answer of the engine is good for: a task asks several times. */
const goodForMs = 30_000;
const askingMs = 20_000;
/** By name. Volumes are what they are until somebody removes them, and then their names are asked for again. */
const known = new Map<string, { readonly mountpoint: string; readonly atMs: number }>();

/**
 * Where a directory is on this machine; a directory that is not there yet is no error.
 * @throws source-missing: there is no such volume. source-unreachable: the engine does not answer, or the volume is mounted only while its
 * containers run. source-unreadable: it is not on this machine, or leads out of the volume
 */
export async function findDirectory(directory: Directory, signal: AbortSignal): Promise<FoundDirectory> {
  if (typeof directory === "string") return { path: resolvePath(join(directory, ".")), root: "may-move" };
  const mountpoint = await findMountpoint(directory.volume, signal);
  if (directory.path === undefined) return { path: mountpoint, root: "stays" };
  const path = resolvePath(join(mountpoint, directory.path));
  // What is in a volume is its containers' own doing: a link of theirs must not make us read or replace anything of this machine.
  if (path.startsWith(`${mountpoint}/`)) return { path, root: "may-move" };
  throw new HoldfastError(
    "source-unreadable",
    `Cannot use ${describeDirectory(directory)}: a link in the volume leads out of it, to ${path}`,
    {
      hint: "Name the directory itself, by its path, if it is what you mean.",
    },
  );
}

/** What is known of where a directory is without asking anybody; none for a volume that this process has not asked for yet. */
export function listKnownPaths(directory: Directory): readonly string[] {
  if (typeof directory === "string") return [join(directory, ".")];
  const mountpoint = known.get(directory.volume)?.mountpoint;
  return mountpoint === undefined ? [] : [join(mountpoint, directory.path ?? ".")];
}

/**
 * For a concurrency key: by its path and, in a volume, by the volume's name too, so that it has a key when the engine does not answer. What
 * is wrong then is told by the task itself.
 */
export async function identifyDirectory(
  directory: Directory,
  signal: AbortSignal,
): Promise<{ readonly name: string; readonly paths: readonly string[] }> {
  const byVolume = typeof directory === "string" ? [] : [join("/docker/volume", directory.volume, directory.path ?? ".")];
  try {
    const { path } = await findDirectory(directory, signal);
    return { name: path, paths: [path, ...byVolume] };
  } catch (error) {
    if (signal.aborted || !(error instanceof HoldfastError) || byVolume.length === 0) throw error;
    return { name: byVolume.join(), paths: byVolume };
  }
}

/** For people: "volume chroma_data", "data in the volume neo4j_data", "/srv/data". */
export function describeDirectory(directory: Directory): string {
  if (typeof directory === "string") return directory;
  return directory.path === undefined ? `the volume ${directory.volume}` : `${directory.path} in the volume ${directory.volume}`;
}

async function findMountpoint(volume: string, signal: AbortSignal): Promise<string> {
  const before = known.get(volume);
  if (before !== undefined && performance.now() - before.atMs < goodForMs) return before.mountpoint;
  const mountpoint = assertHere(volume, locate(volume, await inspectVolume(volume, signal)));
  known.set(volume, { mountpoint, atMs: performance.now() });
  return mountpoint;
}

const facts = z.object({
  Driver: z.string().default("local"),
  Mountpoint: z.string().default(""),
  Options: z.record(z.string(), z.string()).nullish(),
});

async function inspectVolume(volume: string, signal: AbortSignal): Promise<z.output<typeof facts>> {
  const what = `Cannot find the volume "${volume}"`;
  try {
    const args = ["volume", "inspect", "--format", "{{ json . }}", volume];
    const { stdout } = await runProgram("docker", args, { env: readClientVariables(), timeoutMs: askingMs }, signal);
    const answer = facts.safeParse(JSON.parse(stdout));
    if (answer.success) return answer.data;
    throw new HoldfastError(
      "tool-failed",
      `${what}: docker volume inspect answers with something else: ${answer.error.issues[0]?.message}`,
    );
  } catch (error) {
    if (error instanceof SyntaxError) throw new HoldfastError("tool-failed", `${what}: docker volume inspect answers with no JSON`);
    if (signal.aborted || !(error instanceof HoldfastError)) throw error;
    throw explain(what, volume, error);
  }
}

function explain(what: string, volume: string, error: HoldfastError): HoldfastError {
  const told = `${error.message} ${JSON.stringify(error.details ?? {})}`;
  const init = { cause: error };
  if (/no such volume/i.test(told))
    return new HoldfastError("source-missing", `${what}: the Docker engine has none of this name`, {
      ...init,
      hint: `Compare with \`docker volume ls\`: compose puts the project's name before it (myproject_${volume}). On a new machine \`docker compose up --no-start\` makes it.`,
    });
  if (/permission denied/i.test(told))
    return new HoldfastError("source-unreadable", `${what}: ${error.message}`, {
      ...init,
      hint: "Let Holdfast's account use the Docker engine.",
    });
  if (error.code === "timeout" || /cannot connect|error during connect|connection refused|daemon running/i.test(told))
    return new HoldfastError("source-unreachable", `${what}: the Docker engine does not answer: ${error.message}`, init);
  return new HoldfastError(error.code, `${what}: ${error.message}`, { ...init, ...(error.hint === undefined ? {} : { hint: error.hint }) });
}

/** Volumes of the `local` driver with a device are mounts: a bind is the directory that it names, others are there while they are in use. */
function locate(volume: string, { Driver: driver, Mountpoint: mountpoint, Options: options }: z.output<typeof facts>): string {
  const { device, o: flags = "", type = "" } = options ?? {};
  if (driver === "local" && device !== undefined && device !== "") {
    if (isAbsolute(device) && flags.split(",").some((flag) => flag === "bind" || flag === "rbind")) return device;
    if (!isMounted(mountpoint))
      throw new HoldfastError(
        "source-unreachable",
        `Cannot use the volume "${volume}": it is a mount (${type} ${device}) that is there only while a container uses it`,
        {
          hint: "Start its containers, or mount it yourself and name that directory.",
        },
      );
  }
  if (isAbsolute(mountpoint)) return mountpoint;
  throw new HoldfastError(
    "source-unreadable",
    `Cannot use the volume "${volume}": its driver (${driver}) does not tell where its files are`,
    {
      hint: "Mount it yourself, and name that directory.",
    },
  );
}

function isMounted(path: string): boolean {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .some((line) => line.split(" ")[4] === path.replaceAll(" ", String.raw`\040`));
}

/** A remote engine tells a path of its own machine. */
function assertHere(volume: string, path: string): string {
  try {
    if (statSync(path).isDirectory()) return resolvePath(path);
  } catch (error) {
    if (readErrno(error) === undefined) throw error;
  }
  throw new HoldfastError(
    "source-unreadable",
    `Cannot use the volume "${volume}": its directory ${path} is not on this machine, or cannot be seen`,
    {
      hint: "Holdfast must run where the Docker engine runs, with the right to look there; see DOCKER_HOST and the unit's sandbox.",
    },
  );
}
