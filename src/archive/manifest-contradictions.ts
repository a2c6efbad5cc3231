import type { Manifest, ManifestPart } from "./manifest-schema.ts";
import { isSameMeasure } from "./measure.ts";

/** Why the parts of a manifest cannot all be true, one line; undefined when they can. What the schema says already is not looked at. */
export function findContradiction(manifest: Manifest): string | undefined {
  return findMisplacedArchive(manifest) ?? findBadMember(manifest) ?? findBadObject(manifest) ?? findBadPart(manifest);
}

function findMisplacedArchive({ layout, archive, name }: Manifest): string | undefined {
  if ((layout === "archive") !== (archive !== null))
    return `the layout is "${layout}", but ${archive === null ? "no archive is named" : "an archive is named"}`;
  if (archive !== null && archive.object !== name) return `the archive is named ${archive.object}`;
  return undefined;
}

function findBadMember({ members, texts, layout, name }: Manifest): string | undefined {
  const datastores = new Set<string>();
  const textNames = new Set(texts.map((text) => text.name));
  for (const { datastore, entries, status, index } of members) {
    if (datastores.has(datastore)) return `two members are named "${datastore}"`;
    datastores.add(datastore);
    if (entries.length > 0 && (status === "absent" || status === "failed")) return `"${datastore}" is ${status}, but has entries`;
    if (new Set(entries.map((entry) => entry.name)).size !== entries.length) return `two entries of "${datastore}" have the same name`;
    if (index !== null && !textNames.has(layout === "file" ? `${name}.${index}` : index)) return `the index of "${datastore}" is missing`;
  }
  return undefined;
}

function findBadObject({ members, texts, layout, name }: Manifest): string | undefined {
  const entries = members.flatMap((member) => member.entries);
  const objects = [...entries.map(({ object }) => object), ...texts.map((text) => text.name)];
  if (layout === "file") {
    if (entries.length !== 1 || entries[0]?.object !== name) return 'a backup of the layout "file" has one entry, named like the backup';
    if (texts.some((text) => !text.name.startsWith(`${name}.`) || text.name.includes("/"))) return "a text does not stand beside its file";
  }
  if (layout === "directory" && objects.some((object) => object.split("/").some((part) => part.startsWith("."))))
    return "an object is hidden";
  const taken = new Set(layout === "file" ? [`${name}.manifest.json`] : ["manifest.json"]);
  for (const object of objects) {
    if (taken.has(object)) return `two objects are named ${object}`;
    taken.add(object);
  }
  return undefined;
}

function findBadPart({ members, texts, archive }: Manifest): string | undefined {
  const parts: ManifestPart[] = [...members.flatMap((member) => member.entries), ...texts];
  if (parts.some(({ offset }) => (offset === null) !== (archive === null)))
    return "a part has an offset and no archive, or the other way round";
  if (archive !== null && parts.some(({ offset, stored }) => (offset ?? 0) + stored.bytes > archive.head.bytes))
    return "a part lies outside its archive";
  if (parts.some(({ compression, stored, plain }) => compression === "none" && !isSameMeasure(stored, plain)))
    return "a part is not compressed, but its stored and plain bytes differ";
  return undefined;
}
