import type { Terminal } from "./terminal.ts";

/** What became of one verification or drill. */
export interface Proof {
  readonly backup: string;
  readonly destination: string | null;
  readonly outcome: "ok" | "failed";
  readonly summary: string;
  /** What to do about a failure. */
  readonly hint: string | null;
}

export function printProof({ outcome, summary, hint }: Proof, terminal: Terminal): void {
  const { colors } = terminal;
  terminal.print(`${outcome === "ok" ? colors.green("ok") : colors.red("failed")}  ${summary}`);
  if (hint !== null) terminal.tell(`${colors.dim("hint:")} ${hint}`);
}
