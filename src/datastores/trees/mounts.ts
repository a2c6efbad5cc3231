import { readFileSync } from "node:fs";
import { joinPath } from "./raw-path.ts";

/** The mount points at and below a resolved directory, as raw absolute paths. None where the system does not tell. */
export function listMountPoints(directory: Buffer): readonly Buffer[] {
  let table: string;
  try {
    table = readFileSync("/proc/self/mountinfo", "latin1");
  } catch {
    return [];
  }
  const inside = joinPath(directory, "x").subarray(0, -1);
  return table
    .split("\n")
    .flatMap((line) => line.split(" ")[4] ?? [])
    .map((field) =>
      Buffer.from(
        field.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCodePoint(Number.parseInt(digits, 8))),
        "latin1",
      ),
    )
    .filter((path) => path.equals(directory) || path.subarray(0, inside.length).equals(inside));
}
