import type { Compression } from "../archive/compression.ts";
import type { BackupSetup } from "./setup.ts";

interface Compressing extends Pick<BackupSetup, "compression" | "layout"> {
  /** Those with a compression of their own; others may be left out. */
  readonly datastores?: readonly { readonly name: string; readonly compression?: Compression }[];
}

/**
 * How a datastore's entries are compressed: by its own compression, else by the job's. An archive is one compressed stream, which no tool
 * reads when its parts are of several methods: there another level counts, and another method does not.
 */
export function chooseCompression({ compression, layout, datastores = [] }: Compressing, datastore: string): Compression {
  const own = datastores.find(({ name }) => name === datastore)?.compression;
  return own === undefined || (layout === "archive" && own.method !== compression.method) ? compression : own;
}

/** For a backup: of its name and its archive, and of each datastore. */
export function planCompression(setup: Compressing): {
  readonly compression: Compression;
  readonly compressions: Readonly<Record<string, Compression>>;
} {
  const { datastores = [], layout } = setup;
  const compressions = Object.fromEntries(datastores.map(({ name }) => [name, chooseCompression(setup, name)]));
  // The one file is the backup.
  const only = layout === "file" ? datastores[0] : undefined;
  return { compressions, compression: only === undefined ? setup.compression : chooseCompression(setup, only.name) };
}
