import { realpath } from "node:fs/promises";
import { isAbsolute, normalize } from "node:path";
import { HoldfastError } from "../base/errors.ts";
import { checkPlaces } from "../config/check-places.ts";
import type { Config, JobConfig } from "../config/config.ts";
import { describePlace, findDestination } from "./find-config.ts";
import { openDestination } from "./verify.ts";

/** A place that does not answer in this time is told as such. */
const limitMs = 10_000;

/**
 * The destination that a person means by a name of the config or by an absolute path (W11). The path of one that the config knows means
 * that one; any other is a place of its own, named by its path.
 * @throws unknown-name
 */
export async function findPlace(config: Config, given: string): Promise<string> {
  if (!isAbsolute(given)) return findDestination(config, given).name;
  const path = normalize(given).replace(/(?<=.)\/$/, "");
  const real = await resolvePath(path);
  for (const { name, options } of config.destinations.values()) {
    const own = typeof options === "object" && options !== null && "path" in options ? options.path : undefined;
    if (typeof own === "string" && (await resolvePath(own)) === real) return name;
  }
  return path;
}

async function resolvePath(path: string): Promise<string> {
  return await realpath(path).catch(() => normalize(path).replace(/(?<=.)\/$/, "")); // not there, or not to be looked at: by its name then
}

/**
 * A directory that the config does not know gets a backup only where somebody has made it a destination: a typing error or a disk that is
 * not mounted must not fill the disk below.
 * @throws destination-missing, destination-unmarked, destination-foreign, refused when it lies inside what is backed up
 */
export async function assertPlace(config: Config, job: JobConfig, path: string, signal: AbortSignal): Promise<void> {
  const place = describePlace(path);
  const parts = {
    ...config,
    destinations: new Map([[path, { ...place, required: true }]]),
    jobs: new Map([[job.name, { ...job, destination: path, copies: [] }]]),
  };
  checkPlaces(parts, (_path, { message }) => {
    throw new HoldfastError("refused", message);
  });
  await using destination = await openDestination(place);
  const { marked, notes } = await destination.probe(AbortSignal.any([signal, AbortSignal.timeout(limitMs)]));
  if (marked) return;
  const foreign = notes.find(({ code }) => code === "destination-foreign");
  if (foreign !== undefined) throw new HoldfastError("destination-foreign", foreign.message);
  throw new HoldfastError("destination-unmarked", `${path} is not a destination yet: it has no marker, so nothing is written there`, {
    hint: `When this is the right place: holdfast destination init ${path} (adopt, when there are files in it).`,
  });
}
