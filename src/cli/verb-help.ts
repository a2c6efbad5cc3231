/** The part of a verb's help that commander knows nothing of. */
export interface VerbHelp {
  /** Exit statuses besides the ones that every verb has; 0 is among them where success needs a word. */
  readonly exits?: Readonly<Record<number, string>>;
  /** `none`: it never asks the daemon, so exit status 8 is not among its own. */
  readonly daemon?: "none";
  /** The shape of what --json prints. Fields may be added, never taken away. */
  readonly json: string;
  readonly examples: readonly string[];
}

const common: Readonly<Record<number, string>> = { 0: "done", 1: "failed", 2: "wrong call or config" };

export function formatVerbHelp({ exits = {}, daemon, json, examples }: VerbHelp): string {
  const all = { ...common, ...(daemon === "none" ? {} : { 8: "no daemon answers" }), ...exits };
  return [
    "",
    "Exit statuses:",
    ...Object.entries(all).map(([status, meaning]) => `  ${status}  ${meaning}`),
    "",
    "With --json:",
    ...wrapText(json, 96).map((line) => `  ${line}`),
    "",
    `Example${examples.length === 1 ? "" : "s"}:`,
    ...examples.map((example) => `  ${example}`),
  ].join("\n");
}

function wrapText(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
