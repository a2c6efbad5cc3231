/** The folder inside an archive: its name without `.tar`, `.tar.gz` or `.tar.zst`. */
export function formatArchiveFolder(name: string): string {
  return name.replace(/\.tar(\.gz|\.zst)?$/, "");
}
