import { describeCause, HoldfastError } from "../../base/errors.ts";
import type { RedisConnection } from "./redis-connection.ts";

/** It ends by itself when nobody renews it: a killed restore must not hold up an application. */
const pauseMs = 15_000;
const renewMs = 3_000;

/** While it is open, clients' writes wait for their answer and change nothing; nothing expires either. Closing it lets them go on. */
export interface WritePause extends AsyncDisposable {
  /** @throws restore-failed when writes may have come through since it was opened */
  assertHeld(): void;
}

/** Servers since 6.2, where our account may. Without effect elsewhere: the plan has told it. */
export async function openWritePause(connection: RedisConnection): Promise<WritePause> {
  if (!(await mayPauseWrites(connection))) return { assertHeld: () => undefined, [Symbol.asyncDispose]: () => Promise.resolve() };
  let heldUntilMs = performance.now() + pauseMs;
  await connection.call("CLIENT", "PAUSE", String(pauseMs), "WRITE");
  let failure: string | undefined;
  let renewal = Promise.resolve();
  const renew = async (): Promise<void> => {
    const startedMs = performance.now();
    await connection.call("CLIENT", "PAUSE", String(pauseMs), "WRITE");
    if (performance.now() > heldUntilMs) failure ??= "a pause ran out before it was renewed";
    heldUntilMs = startedMs + pauseMs;
  };
  const timer = setInterval(() => {
    renewal = renewal.then(renew).catch((error: unknown) => {
      failure ??= describeCause(error);
    });
  }, renewMs);
  return {
    assertHeld() {
      if (performance.now() > heldUntilMs) failure ??= "a pause ran out before it was renewed";
      if (failure === undefined) return;
      throw new HoldfastError("restore-failed", `the server at ${connection.where} could not be kept from being written to: ${failure}`);
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await renewal;
      // Where this fails the pause ends by itself.
      await connection.call("CLIENT", "UNPAUSE").catch(() => undefined);
    },
  };
}

/** Tried with a pause of no length. */
export async function mayPauseWrites(connection: RedisConnection): Promise<boolean> {
  return connection.call("CLIENT", "PAUSE", "0", "WRITE").then(
    () => true,
    () => false,
  );
}
