import type { TaskPorts } from "../../operations/setup.ts";
import { ProgressTeller, type ProgressLine } from "../tell-progress.ts";
import type { Terminal } from "../terminal.ts";

/** Lets an operation that runs in this process speak to the terminal. */
export function createRunPorts(terminal: Terminal): TaskPorts {
  const teller = new ProgressTeller(terminal);
  const datastores = new Map<string, ProgressLine>();
  return {
    now: () => Date.now(),
    progress({ phase, datastore = null, bytes = null, totalBytes = null }) {
      const line = { phase, datastore, bytes, totalBytes };
      if (datastore !== null) datastores.set(datastore, line);
      teller.show(line, [...datastores.values()]);
    },
    log: (level, message) => terminal.tell(level === "info" ? message : `${level === "warn" ? "warning" : level}: ${message}`),
  };
}
