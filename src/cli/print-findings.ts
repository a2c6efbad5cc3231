import type { Finding } from "../operations/check/finding.ts";
import type { Terminal } from "./terminal.ts";

/** One line a finding: `warn  destination nas: … (what to do)`. */
export function printFindings(findings: readonly Finding[], terminal: Terminal): void {
  const { colors } = terminal;
  const words = { ok: colors.green("ok"), warn: colors.yellow("warn"), fail: colors.red("FAIL") };
  const pads = { ok: "    ", warn: "  ", fail: "  " };
  for (const { level, what, detail, hint } of findings) {
    const oneLine = [`${what}: ${detail}`, ...(hint === undefined ? [] : [`(${hint})`])].join(" ").replaceAll(/\s*\n\s*/g, "; ");
    terminal.print(`${words[level]}${pads[level]}${oneLine}`);
  }
}

/** `3 ok, 1 warning, 0 failures`. */
export function countFindings(findings: readonly Finding[]): string {
  const count = (level: Finding["level"]): number => findings.filter((finding) => finding.level === level).length;
  const [warnings, failures] = [count("warn"), count("fail")];
  return `${count("ok")} ok, ${warnings} warning${warnings === 1 ? "" : "s"}, ${failures} failure${failures === 1 ? "" : "s"}`;
}
