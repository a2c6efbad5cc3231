import type { RunningDaemon } from "./daemon.ts";

/** Resolves with the summaries once so many runs have ended well in the daemon's log. @throws as soon as one ended otherwise */
export async function waitForRuns(
  daemon: Pick<RunningDaemon, "waitForLog" | "log">,
  { kind, job, count = 1 }: { readonly kind: string; readonly job: string; readonly count?: number },
): Promise<readonly string[]> {
  const end = `(?:${kind}) of job \\\\?"(?:${job})\\\\?" (?:ended \\w+|failed|interrupted|cancelled): `;
  await daemon.waitForLog(new RegExp(`${end.replace("(?:ended \\w+|", "(?:ended (?!ok)\\w+|")}|(?:${end}[^]*?){${count}}`));
  const ends = [...daemon.log().matchAll(new RegExp(`${end}([^\n]*)`, "g"))];
  const bad = ends.find(([text]) => !text.includes(" ended ok: "));
  if (bad !== undefined) throw new Error(`A run did not end well: ${bad[0]}`);
  return ends.map((match) => match[1] ?? "");
}
