import { readFileSync } from "node:fs";
import type { Config, JobConfig } from "../../config/config.ts";
import type { ProbeFacts } from "../../datastores/contract.ts";
import type { DestinationFacts } from "../../destinations/contract.ts";
import { type Finding, ok, warn } from "./finding.ts";
import { findLocalPath, isInside, resolveReal } from "./local-places.ts";

const remoteTypes = /^(nfs4?|cifs|smb3|fuse\.(sshfs|rclone|s3fs)|ceph|glusterfs|9p|afs)$/;

/** A19: what a disk, or the machine, takes with it when it goes. */
export function checkDisks(
  config: Config,
  sources: ReadonlyMap<string, ProbeFacts>,
  destinations: ReadonlyMap<string, DestinationFacts>,
): readonly Finding[] {
  return [...config.jobs.values()].flatMap((job) => checkJob(job, config, sources, destinations));
}

function checkJob(
  job: JobConfig,
  config: Config,
  sources: ReadonlyMap<string, ProbeFacts>,
  destinations: ReadonlyMap<string, DestinationFacts>,
): readonly Finding[] {
  const what = `job ${job.name}`;
  const names = [job.destination, ...job.copies];
  const sourceDevices = new Set(job.datastores.flatMap((name) => sources.get(name)?.device ?? []));
  const known = names.filter((name) => destinations.has(name));
  const sameDisk = known.filter((name) => sourceDevices.has(destinations.get(name)?.device ?? -1));
  const findings: Finding[] = [];
  if (known.length > 0 && sameDisk.length === known.length) {
    findings.push(
      warn(
        what,
        `its data and all its backups (${sameDisk.join(", ")}) are on the same disk: one fault takes both`,
        "Add a destination on another disk to `copies`.",
      ),
    );
  } else if (sameDisk.length > 0) findings.push(ok(what, `${sameDisk.join(", ")} shares a disk with the data; another copy does not`));
  const leaves = names.some((name) => leavesMachine(name, config));
  if (!leaves)
    findings.push(warn(what, "no copy leaves this machine", "Add a destination elsewhere to `copies`: a mounted share, or another kind."));
  return findings.length > 0 ? findings : [ok(what, "its backups survive the loss of this disk and of this machine")];
}

function leavesMachine(name: string, config: Config): boolean {
  const destination = config.destinations.get(name);
  if (destination === undefined) return false;
  const path = findLocalPath(destination);
  return path === undefined ? true : remoteTypes.test(findMountType(resolveReal(path)));
}

/** The type of the file system that a path is on. */
function findMountType(path: string): string {
  const mounts = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" "));
  const decode = (text: string): string =>
    text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
  let longest = "";
  let type = "";
  for (const [, encoded = "", found = ""] of mounts) {
    const point = decode(encoded);
    // Of two mounts on one point the later one is seen.
    if (point === "" || !isInside(path, point) || point.length < longest.length) continue;
    longest = point;
    type = found;
  }
  return type;
}
