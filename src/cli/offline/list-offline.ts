import { HoldfastError } from "../../base/errors.ts";
import type { VerbContext } from "../verb.ts";
import type { OfflineListOptions } from "./options.ts";

export function listOffline(_context: VerbContext, _options: OfflineListOptions): Promise<number> {
  throw new HoldfastError("refused", "Not there yet");
}
