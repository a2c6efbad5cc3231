import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** Gives `use` a fresh directory with these files in it (paths relative to it) and removes it afterwards. */
export async function withConfigFiles<T>(
  files: Readonly<Record<string, string | Uint8Array>>,
  use: (directory: string) => Promise<T>,
): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-config-"));
  try {
    for (const [name, content] of Object.entries(files)) {
      await mkdir(dirname(join(directory, name)), { recursive: true });
      await writeFile(join(directory, name), content);
    }
    return await use(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
