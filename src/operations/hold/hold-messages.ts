import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import type { ErrorReport } from "../../base/errors.ts";
import { packSecrets, unpackSecrets } from "../../base/pack-secrets.ts";

/** To the guard. The order travels here: it may hold secrets. That the channel ends says that nobody is left to release. */
export type GuardOrder<Order = unknown> = { readonly type: "engage"; readonly order: Order } | { readonly type: "release" };

/** From the guard. */
export type GuardReport =
  /** It stands still now. `stopped`: it stood still already, so there is nothing to let go. */
  | { readonly type: "engaged"; readonly was: "running" | "stopped" }
  /** It could not be made to stand still; unless the error says otherwise it goes on. */
  | { readonly type: "failed"; readonly error: ErrorReport }
  /** Its time is over: what is made of it meanwhile is not to be used. */
  | { readonly type: "over" }
  /** It goes on, unless there is an error. `isExceeded`: its time was over. `wasDisturbed`: somebody else let it go meanwhile. */
  | {
      readonly type: "released";
      readonly heldMs: number;
      readonly isExceeded: boolean;
      readonly wasDisturbed: boolean;
      readonly error?: ErrorReport;
    };

/** One JSON text a line. */
export function sendLine(to: Writable, message: GuardOrder | GuardReport): void {
  if (!to.destroyed && !to.writableEnded) to.write(`${JSON.stringify(packSecrets(message))}\n`);
}

/** Ends when the other side does, however that comes about. */
export async function* readLines<Message extends GuardOrder | GuardReport>(from: Readable): AsyncGenerator<Message, void, undefined> {
  try {
    for await (const line of createInterface({ input: from, crlfDelay: Infinity })) yield unpackSecrets(JSON.parse(line)) as Message;
  } catch {
    // A broken channel is an ended one.
  }
}
