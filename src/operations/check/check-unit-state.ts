import { type Finding, fail, ok, warn } from "./finding.ts";
import { showUnit } from "./check-unit.ts";

/** How the service manager sees the daemon; nothing where there is none. */
export async function checkUnitState(signal: AbortSignal): Promise<readonly Finding[]> {
  const shown = await showUnit(signal);
  if (shown === undefined || shown.get("LoadState") !== "loaded") return [];
  const [active = "", sub = "", enabled = ""] = ["ActiveState", "SubState", "UnitFileState"].map((name) => shown.get(name) ?? "");
  const findings: Finding[] = [
    active === "active"
      ? ok("unit", `active (${sub})`)
      : fail("unit", `${active} (${sub})`, "systemctl status holdfast; journalctl -u holdfast"),
  ];
  if (enabled !== "enabled")
    findings.push(warn("unit", `is ${enabled}: the daemon does not start with the machine`, "systemctl enable holdfast"));
  const restarts = Number(shown.get("NRestarts") ?? 0);
  if (restarts > 0)
    findings.push(
      warn("unit", `was started again ${restarts} time${restarts === 1 ? "" : "s"} after a failure`, "journalctl -u holdfast -p warning"),
    );
  return findings;
}
