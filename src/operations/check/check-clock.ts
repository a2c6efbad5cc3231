import { existsSync } from "node:fs";
import { findProgram } from "../../base/find-program.ts";
import { formatInstant } from "../../base/clock.ts";
import { runProgram } from "../../base/subprocess.ts";
import type { Config } from "../../config/config.ts";
import { type Finding, fail, ok, warn } from "./finding.ts";

/** No build of this program is older. */
const earliestMs = Date.UTC(2026, 0, 1);

/** A wrong clock makes wrong names, and retention that goes by age. */
export async function checkClock(config: Config, nowMs: number, signal: AbortSignal): Promise<readonly Finding[]> {
  const system = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const findings: Finding[] = [
    nowMs < earliestMs
      ? fail("clock", `it says ${formatInstant(nowMs)}, which cannot be`, "Set the clock; `timedatectl set-ntp true` keeps it right.")
      : ok("clock", formatInstant(nowMs)),
  ];
  const zones = new Set([...config.jobs.values()].map(({ timezone }) => timezone));
  for (const zone of zones.size === 0 ? [config.settings.timezone] : zones) {
    const local = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short", timeStyle: "short" }).format(nowMs);
    findings.push(
      ok("time zone", zone === system ? `${zone}: it is ${local}` : `${zone}: it is ${local} there; this machine's is ${system}`),
    );
  }
  if (await isUnsynchronized(signal)) findings.push(warn("clock", "it is not synchronised with anything", "timedatectl set-ntp true"));
  return findings;
}

async function isUnsynchronized(signal: AbortSignal): Promise<boolean> {
  if (!existsSync("/run/systemd/system") || findProgram("timedatectl") === undefined) return false;
  try {
    const { stdout } = await runProgram("timedatectl", ["show", "--property=NTPSynchronized", "--value"], { timeoutMs: 5_000 }, signal);
    return stdout.trim() === "no";
  } catch {
    signal.throwIfAborted();
    return false; // no answer is no finding
  }
}
