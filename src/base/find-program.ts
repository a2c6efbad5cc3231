import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** The path of a program by PATH, or undefined. Looked up each time: a tool may be installed while we run. */
export function findProgram(name: string): string | undefined {
  const directories = (process.env["PATH"] ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").split(delimiter);
  return directories
    .filter((directory) => directory !== "")
    .map((directory) => join(directory, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
