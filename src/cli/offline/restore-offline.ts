import { HoldfastError } from "../../base/errors.ts";
import type { VerbContext } from "../verb.ts";
import type { OfflineRestoreOptions } from "./options.ts";

export function restoreOffline(_context: VerbContext, _options: OfflineRestoreOptions): Promise<number> {
  throw new HoldfastError("refused", "Not there yet");
}
