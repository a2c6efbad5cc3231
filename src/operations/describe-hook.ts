import type { Check, Hook } from "../config/config.ts";
import { redactText } from "../telemetry/redact.ts";

/** A command of the operator's, for people: without its variables. */
export function describeHook({ command, runAs }: Pick<Hook, "command" | "runAs">): string {
  return redactText(`${command.join(" ")}${runAs === undefined ? "" : ` (as ${runAs})`}`);
}

export function describeCheck(check: Check): string {
  switch (check.kind) {
    case "http":
      return redactText(`GET ${check.http}`);
    case "sql":
      return redactText(`${check.sql} (of ${check.datastore}${describeExpected(check)})`);
    case "command":
      return `${describeHook(check)}${check.contains === undefined ? "" : `, with ${JSON.stringify(check.contains)} in its output`}`;
  }
}

function describeExpected({ equals, atLeast, atMost }: Extract<Check, { kind: "sql" }>): string {
  if (equals !== undefined) return `: ${JSON.stringify(equals)}`;
  if (atLeast !== undefined) return `: ${atLeast} or more`;
  return atMost === undefined ? "" : `: ${atMost} or less`;
}
