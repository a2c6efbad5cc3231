import { HoldfastError } from "../../base/errors.ts";
import type { SwapStep } from "../contract.ts";

/** A directory or file with a copy of data was, or was about to be, made. */
export type StageStep = { readonly op: "stage"; readonly path: string };
/** The present data of a running server was, or was about to be, written to `path`. */
export type AsideStep = { readonly op: "aside"; readonly path: string };
/**
 * A running server was, or was about to be, made a replica of a private one. `replicationId` and `runId` are its own from before: it
 * keeps them as long as nothing was done to it.
 */
export type ReplaceStep = {
  readonly op: "replace";
  readonly aside: string;
  readonly replicationId: string;
  readonly runId: string;
  /** The private server's address, as the target has it for its master. */
  readonly master: string;
  /** Settings that were changed for it, and are put back. */
  readonly setPassword: boolean;
  readonly setPlain: boolean;
  /** Where the server is, for a roll-back that has no options; no password. */
  readonly socket: string | null;
  readonly host: string | null;
  readonly port: number | null;
  readonly user: string | null;
};
/** A file or directory was, or was about to be, renamed. `birth` and `ino` tell which of the two names it has now. */
export type MoveStep = { readonly op: "move"; readonly from: string; readonly to: string; readonly birth: string; readonly ino: number };
/** A staged file or directory was put in place. */
export type PlaceStep = { readonly op: "place"; readonly from: string; readonly to: string };

export type RedisStep = StageStep | AsideStep | ReplaceStep | MoveStep | PlaceStep;

const fields: Readonly<Record<RedisStep["op"], readonly string[]>> = {
  stage: ["path"],
  aside: ["path"],
  replace: ["aside", "replicationId", "runId", "master", "setPassword", "setPlain"],
  move: ["from", "to", "birth", "ino"],
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
