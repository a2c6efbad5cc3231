import { HoldfastError } from "../../base/errors.ts";
import type { VerbContext } from "../verb.ts";
import type { OfflineRebuildOptions } from "./options.ts";

export function rebuildOffline(_context: VerbContext, _options: OfflineRebuildOptions): Promise<number> {
  throw new HoldfastError("refused", "Not there yet");
}
