import { HoldfastError } from "../../base/errors.ts";
import type { Note } from "../../base/note.ts";
import { runProgram } from "../../base/subprocess.ts";
import { describeNames } from "../trees/survey-tree.ts";

const filesPerCall = 500;

/** Tells which loose files have extended attributes or ACLs, which only trees keep. Says nothing where `getfattr` is not installed. */
export async function listKeptNot(paths: readonly string[], signal: AbortSignal): Promise<readonly Note[]> {
  const names: string[] = [];
  for (let at = 0; at < paths.length; at += filesPerCall) {
    try {
      const args = ["--match=-", "--absolute-names", "--physical", "--", ...paths.slice(at, at + filesPerCall)];
      const { stdout } = await runProgram("getfattr", args, { accept: [0, 1] }, signal);
      names.push(...stdout.split("\n").flatMap((line) => (line.startsWith("# file: ") ? [line.slice("# file: ".length)] : [])));
    } catch (error) {
      if (error instanceof HoldfastError && error.code === "tool-missing") return [];
      throw error;
    }
  }
  if (names.length === 0) return [];
  return [
    {
      level: "warning",
      code: "xattr-not-kept",
      message: `Extended attributes or ACLs of single files are not kept (\`root:\` keeps them): ${describeNames(names)}`,
    },
  ];
}
