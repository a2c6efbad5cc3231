import { unlink } from "node:fs/promises";
import { HoldfastError } from "../../base/errors.ts";
import type { SwapStep } from "../contract.ts";
import type { Identity } from "../../base/identity.ts";
import type { SqliteOptions } from "./options.ts";
import { createNameBeside } from "./replace-file.ts";
import { removeDatabase } from "./remove-database.ts";
import { runChild } from "./run-child.ts";

/** Where and how a database is written into while applications have it open. */
export interface LiveTarget {
  readonly path: string;
  readonly identity: Identity | null;
  readonly options: Pick<SqliteOptions, "busyTimeoutMs" | "maxHoldMs" | "maxDurationMs">;
}

/**
 * Copies the live database to a file beside it, then overwrites it with the staged copy in one transaction.
 * @param damaged `tell`: a present database that cannot be written into, because it is damaged or is none, is left as it is
 */
export async function replaceLive(
  staged: string,
  target: LiveTarget,
  damaged: "fail" | "tell",
  record: (step: SwapStep) => Promise<void>,
  signal: AbortSignal,
): Promise<"replaced" | "damaged"> {
  const { path, identity, options } = target;
  const { busyTimeoutMs, maxHoldMs, maxDurationMs } = options;
  const aside = createNameBeside(path, "aside");
  await record({ op: "copy-aside", path, aside });
  const request = {
    op: "snapshot",
    path,
    copy: aside,
    busyTimeoutMs,
    maxHoldMs,
    maxDurationMs,
    integrity: "quick",
    countRows: "all",
  } as const;
  const snapshot = await runChild(request, { identity }, signal).catch((error: unknown) => {
    const code = error instanceof HoldfastError ? error.code : "internal";
    if (damaged === "tell" && ["source-corrupt", "source-encrypted", "source-empty"].includes(code)) return undefined;
    throw error;
  });
  if (damaged === "tell" && snapshot?.contents.digests["integrity"] !== "ok") {
    await removeDatabase(aside);
    return "damaged";
  }
  const cookie = await runChild({ op: "read-cookie", path, busyTimeoutMs }, { identity }, signal);
  const { uid, gid, user } = identity ?? { uid: null, gid: null, user: null };
  await record({ op: "overwrite", path, aside, cookie, staged, uid, gid, user });
  await runChild({ op: "overwrite", path, copy: staged, busyTimeoutMs }, { identity }, signal);
  await record({ op: "overwritten", path, aside });
  await unlink(staged);
  return "replaced";
}
