import { randomBytes } from "node:crypto";

/** Everything hidden that is ours starts so. Ids have no dash in them, so the kinds below cannot be confused. */
const prefix = ".holdfast-";

export const markerName = `${prefix}destination.json`;
/** In a staging directory: what a publication is made of. */
export const descriptorName = "publication.json";
/** In a staging directory: the objects and the manifest. */
export const contentName = "content";

export function stagingName(id: string): string {
  return prefix + id;
}

export function parseStagingName(name: string): string | undefined {
  return /^\.holdfast-([0-9A-Za-z]{1,64})$/.exec(name)?.[1];
}

/** A name for a directory that counts as removed and only takes space until it is deleted. */
export function createRemovedName(): string {
  return `${prefix}removed-${randomBytes(8).toString("hex")}`;
}

export function createProbeName(): string {
  return `${prefix}probe-${randomBytes(8).toString("hex")}`;
}

/** What a crash may leave besides staging directories: removed folders, probes, half-written markers. */
export function isLitter(name: string): boolean {
  return /^\.holdfast-(removed|probe)-[0-9a-f]{16}$/.test(name) || (name.startsWith(`.${markerName}.`) && name.endsWith(".tmp"));
}

export function isHidden(name: string): boolean {
  return name.startsWith(".");
}
