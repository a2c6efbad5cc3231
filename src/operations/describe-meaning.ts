import { createHash } from "node:crypto";
import { HoldfastError } from "../base/errors.ts";
import { createPlainCopy } from "../config/config-copy.ts";
import type { Config } from "../config/config.ts";
import { findDatastore } from "./find-config.ts";

/** SHA-256 of a datastore's kind and options, by which a change is known; a new password changes nothing. */
export function describeMeaning(config: Config, datastore: string): string {
  const { kind, options } = findDatastore(config, datastore);
  return createHash("sha256")
    .update(JSON.stringify(createPlainCopy({ kind, options })))
    .digest("hex");
}

/** What was planned, confirmed and locked must be what is done. @throws conflict */
export function assertMeaning(config: Config, datastore: string, meant: string | undefined): void {
  if (meant === undefined || meant === describeMeaning(config, datastore)) return;
  throw new HoldfastError("conflict", `The config of "${datastore}" has changed since this restore was asked for; nothing was touched`, {
    hint: "Look at its plan again, then ask for it again.",
  });
}
