import type { ConfigParts, JobConfig } from "./config.ts";
import {
  coversPath,
  describeOccupant,
  findOccupant,
  isGlob,
  listLevels,
  listOccupied,
  listSources,
  readPatterns,
  readPlace,
} from "./occupied-places.ts";
import type { ConfigProblem } from "./problem.ts";
import type { Path } from "./source-index.ts";

type Refuse = (path: Path, facts: Pick<ConfigProblem, "message">) => void;

/** Layouts, folders and paths that do not go together. */
export function checkPlaces(parts: ConfigParts, refuse: Refuse): void {
  const owners = new Map<string, string>();
  for (const job of parts.jobs.values()) {
    checkLayout(job, parts, refuse);
    for (const destination of [job.destination, ...job.copies]) {
      const place = `${destination}\0${job.folder}`;
      const owner = owners.get(place);
      if (owner === undefined) owners.set(place, job.name);
      else if (owner !== job.name) {
        refuse(["jobs", job.name, "folder"], {
          message: `the job ${JSON.stringify(owner)} writes into the folder ${JSON.stringify(job.folder)} of ${JSON.stringify(destination)} too; give each job its own`,
        });
      }
    }
    for (const name of new Set(job.datastores)) checkContainment(name, job, parts, refuse);
  }
  checkFixedCopies(parts, refuse);
}

/** A copy must be of the job, its own, and never in the place of what is backed up. */
function checkFixedCopies({ jobs, datastores, destinations }: ConfigParts, refuse: Refuse): void {
  const taken = new Map<string, string>();
  const occupied = listOccupied({ datastores, destinations });
  for (const job of jobs.values()) {
    for (const [at, { datastore, path }] of job.fixedCopies.entries()) {
      const place = ["jobs", job.name, "fixedCopies", at];
      if (!job.datastores.includes(datastore))
        refuse([...place, "datastore"], { message: `the job does not back up a datastore ${JSON.stringify(datastore)}` });
      const occupant = findOccupant(path, occupied);
      if (occupant !== undefined) refuse([...place, "path"], { message: describeOccupant(path, occupant) });
      const owner = taken.get(path);
      if (owner !== undefined) refuse([...place, "path"], { message: `the job ${JSON.stringify(owner)} writes ${path} already` });
      taken.set(path, job.name);
    }
  }
}

function checkLayout(job: JobConfig, parts: ConfigParts, refuse: Refuse): void {
  for (const name of job.layout === "archive" ? job.datastores : []) {
    const { method = job.compression.method } = parts.datastores.get(name)?.compression ?? {};
    if (method === job.compression.method) continue;
    refuse(["datastores", name, "compression"], {
      message: `the job ${JSON.stringify(job.name)} packs it into one archive, compressed as a whole by ${job.compression.method}, so ${method} cannot be had; leave it out, or give the job the layout directory`,
    });
  }
  if (job.layout !== "file") return;
  const path = ["jobs", job.name, "layout"];
  const [name = ""] = job.datastores;
  if (job.datastores.length > 1)
    return refuse(path, { message: `layout "file" holds one datastore, found ${job.datastores.length}; use directory or archive` });
  if (job.infoFiles.length > 0)
    refuse(["jobs", job.name, "infoFiles"], { message: 'layout "file" has no room for info files; use directory or archive' });
  const datastore = parts.datastores.get(name);
  const include = datastore === undefined ? undefined : readPatterns(datastore, "include");
  if (include !== undefined && (include.length !== 1 || include.some(isGlob))) {
    refuse(path, {
      message: `layout "file" needs a datastore that is one file, and ${JSON.stringify(name)} may be several; use directory or archive`,
    });
  }
}

/** F21: a destination inside a source would back up its own backups. */
function checkContainment(name: string, job: JobConfig, parts: ConfigParts, refuse: Refuse): void {
  const datastore = parts.datastores.get(name);
  if (datastore === undefined) return;
  const { sources, excluded } = listSources(datastore);
  for (const destinationName of [job.destination, ...job.copies]) {
    const place = readPlace(parts.destinations.get(destinationName)?.options);
    if (place === undefined) continue;
    const levels = listLevels(place);
    const source = sources.find((each) => levels.some((level) => coversPath(each, level)));
    if (source === undefined || excluded.some((each) => levels.some((level) => coversPath(each, level)))) continue;
    refuse(["jobs", job.name, "destination"], {
      message: `the destination ${JSON.stringify(destinationName)} (${place}) lies inside the datastore ${JSON.stringify(name)} (${source}): every backup would hold the earlier ones; exclude it or move it`,
    });
  }
}
