import { HoldfastError } from "../../base/errors.ts";
import type { VerbContext } from "../verb.ts";
import type { OfflineVerifyOptions } from "./options.ts";

export function verifyOffline(_context: VerbContext, _options: OfflineVerifyOptions): Promise<number> {
  throw new HoldfastError("refused", "Not there yet");
}
