import Table from "cli-table3";
import type { Terminal } from "./terminal.ts";

const edges = ["top", "bottom", "left", "right"].flatMap((side) => [side, `${side}-mid`, `${side}-left`, `${side}-right`]);
const noBorders = Object.fromEntries([...edges, "mid", "mid-mid"].map((name) => [name, ""]));

/**
 * Rows for whoever reads them: a person gets aligned columns under their names, a program one line per row with tabs between the
 * columns and no names.
 */
export function printTable(terminal: Terminal, head: readonly string[], rows: readonly (readonly string[])[]): void {
  if (terminal.reader === "program") {
    for (const row of rows) terminal.print(row.map((cell) => cell.replaceAll(/[\t\n]/g, " ")).join("\t"));
    return;
  }
  const table = new Table({
    head: head.map((name) => terminal.colors.dim(name)),
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0, compact: true },
    chars: { ...noBorders, middle: "  " },
  });
  for (const row of rows) table.push([...row]);
  for (const line of table.toString().split("\n")) terminal.print(line.trimEnd());
}
