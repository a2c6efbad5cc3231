import { HoldfastError } from "../../base/errors.ts";
import type { SwapStep } from "../contract.ts";

/** A directory for everything that a restore writes was, or was about to be, made. While it is there, the restore is not ended. */
export type StageStep = { readonly op: "stage"; readonly path: string };
/**
 * A running server was, or was about to be, made a replica of a private one. What tells how far it came: `replicationId`, `runId` and
 * `receivedBytes` are the server's own from before (-1 where it does not count them), `scratchId` is what it has when it has loaded all.
 */
export type ReplaceStep = {
  readonly op: "replace";
  /** The former data as an RDB; there before the step is recorded. */
  readonly aside: string;
  readonly replicationId: string;
  readonly runId: string;
  readonly receivedBytes: number;
  readonly scratchId: string;
  /** The private server's address, as the target has it for its master. */
  readonly announce: string;
  readonly bind: string;
  readonly port: number;
  /** Settings that were changed for it, and are put back. */
  readonly setPassword: boolean;
  readonly setPlain: boolean;
  /** Not in steps of earlier versions. */
  readonly setReadOnly?: boolean;
  /** Where the server is, for a roll-back that has no options; no password. */
  readonly source: string;
};
/** A file or directory was, or was about to be, renamed. `source`: as above, and not in steps of earlier versions. */
export type MoveStep = { readonly op: "move"; readonly from: string; readonly to: string; readonly source?: string };
/** A staged file or directory was, or was about to be, put in place; nothing has the name. */
export type PlaceStep = { readonly op: "place"; readonly from: string; readonly to: string; readonly source?: string };

/** In the restore's own directory: what was there before, of a server whose files are replaced. */
export const formerName = "former";

export type RedisStep = StageStep | ReplaceStep | MoveStep | PlaceStep;

const fields: Readonly<Record<RedisStep["op"], readonly string[]>> = {
  stage: ["path"],
  replace: [
    "aside",
    "replicationId",
    "runId",
    "receivedBytes",
    "scratchId",
    "announce",
    "bind",
    "port",
    "setPassword",
    "setPlain",
    "source",
  ],
  move: ["from", "to"],
  place: ["from", "to"],
};

/** Throws `state-newer` for a step that this version does not know. */
export function parseStep(step: SwapStep): RedisStep {
  const op = String(step["op"]);
  const known = Object.hasOwn(fields, op) ? fields[op as RedisStep["op"]] : undefined;
  if (known === undefined || known.some((field) => step[field] === undefined || step[field] === null)) {
    throw new HoldfastError("state-newer", `Cannot read a recorded step of a restore: ${JSON.stringify(step)}`);
  }
  return step as RedisStep;
}
