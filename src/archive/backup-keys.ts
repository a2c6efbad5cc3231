/** Where the parts of a backup stand at a destination. `folder` is "" or a relative path. */
export interface BackupLocation {
  readonly folder: string;
  readonly name: string;
  readonly layout: "directory" | "archive" | "file";
}

const manifestName = "manifest.json";
const manifestSuffix = ".manifest.json";
const eventsSuffix = ".events.jsonl";

const within = (folder: string, name: string): string => (folder === "" || folder === "." ? name : `${folder}/${name}`);

/** The key of the backup itself: a file, or a folder. */
export function backupKey({ folder, name }: Pick<BackupLocation, "folder" | "name">): string {
  return within(folder, name);
}

export function manifestKey(location: BackupLocation): string {
  return location.layout === "directory" ? `${backupKey(location)}/${manifestName}` : backupKey(location) + manifestSuffix;
}

/** Later facts of a backup; beside it in every layout. */
export function eventsKey(location: Pick<BackupLocation, "folder" | "name">): string {
  return backupKey(location) + eventsSuffix;
}

/** Tells an events file's key from others, and which backup it is of. */
export function parseEventsKey(key: string): { readonly folder: string; readonly name: string } | undefined {
  const slash = key.lastIndexOf("/");
  const last = key.slice(slash + 1);
  if (!last.endsWith(eventsSuffix) || last === eventsSuffix) return undefined;
  return { folder: key.slice(0, Math.max(slash, 0)), name: last.slice(0, -eventsSuffix.length) };
}

/** The key of an object or text that a manifest names. */
export function objectKey(location: BackupLocation, object: string): string {
  return location.layout === "directory" ? `${backupKey(location)}/${object}` : within(location.folder, object);
}

/** Tells a manifest's key from others, and where its backup is; undefined for any other key. */
export function parseManifestKey(key: string): { readonly folder: string; readonly name: string; readonly inside: boolean } | undefined {
  const parts = key.split("/");
  const last = parts.pop() ?? "";
  if (last === manifestName) {
    const name = parts.pop();
    return name === undefined ? undefined : { folder: parts.join("/"), name, inside: true };
  }
  if (!last.endsWith(manifestSuffix)) return undefined;
  return { folder: parts.join("/"), name: last.slice(0, -manifestSuffix.length), inside: false };
}

/** The manifest's name as it is given to a publication. */
export function publishedManifestName(layout: BackupLocation["layout"], name: string): string {
  return layout === "directory" ? manifestName : name + manifestSuffix;
}
