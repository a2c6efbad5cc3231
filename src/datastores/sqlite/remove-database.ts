import { rm } from "node:fs/promises";
import { companionSuffixes } from "./database-files.ts";

/** A database of ours with what lies beside it. What is not there is no failure. */
export async function removeDatabase(path: string): Promise<void> {
  for (const suffix of [...companionSuffixes, ""]) await rm(path + suffix, { force: true });
}
