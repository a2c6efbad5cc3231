import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { withoutGit } from "./without-git.ts";

/**
 * The seed of a run, an integer below a million: HOLDFAST_SEED where that is given. A long run has a new one each time; a bounded run one that
 * comes from the code and its tests as they were committed: what it finds it finds again, for everybody, and each change is tried with others.
 * Where they are in no repository it is 0.
 */
export function chooseSeed(root: string, length: "bounded" | "long"): number {
  const given = process.env["HOLDFAST_SEED"];
  if (given !== undefined) return readInteger(given);
  if (length === "long") return Math.floor(Math.random() * 1_000_000);
  // Whoever owns it: this only reads.
  const args = ["-c", "safe.directory=*", "-C", root, "rev-parse", "HEAD:src", "HEAD:test"];
  const { status, stdout } = spawnSync("git", args, { encoding: "utf8", env: withoutGit(process.env) });
  return status === 0 ? createHash("sha256").update(stdout).digest().readUInt32BE() % 1_000_000 : 0;
}

function readInteger(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Error(`HOLDFAST_SEED must be a number of at most nine digits, not ${JSON.stringify(text)}`);
  return Number(text);
}
