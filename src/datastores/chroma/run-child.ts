import { fileURLToPath } from "node:url";
import { askChild, type ChildSettings } from "../sqlite-files/ask-child.ts";
import type { ChildOperation, ChildResults } from "./child-protocol.ts";

/** Source and compiled program lie side by side with this file and share its extension. */
const childPath = fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "./child.ts" : "./child.js", import.meta.url));

/** Performs one operation in a process of its own. Its failure is a HoldfastError whose message is the reason alone. */
export async function runChild<Operation extends ChildOperation>(
  operation: Operation,
  settings: ChildSettings,
  signal: AbortSignal,
): Promise<ChildResults[Operation["op"]]> {
  return (await askChild(childPath, operation, settings, signal)) as ChildResults[Operation["op"]];
}
