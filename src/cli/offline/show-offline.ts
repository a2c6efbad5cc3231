import { HoldfastError } from "../../base/errors.ts";
import type { VerbContext } from "../verb.ts";
import type { OfflineShowOptions } from "./options.ts";

export function showOffline(_context: VerbContext, _options: OfflineShowOptions): Promise<number> {
  throw new HoldfastError("refused", "Not there yet");
}
