import type { TaskPorts } from "../../operations/setup.ts";
import type { Terminal } from "../terminal.ts";

/** Lets an operation that runs in this process speak to the terminal. */
export function createRunPorts(terminal: Terminal): TaskPorts {
  return {
    now: () => Date.now(),
    progress: ({ phase, datastore }) => terminal.status(`${phase}${datastore === undefined ? "" : ` ${datastore}`}`),
    log: (level, message) => terminal.tell(level === "info" ? message : `${level === "warn" ? "warning" : level}: ${message}`),
  };
}
