import { systemClock } from "../base/clock.ts";
import { describeDuration } from "../base/parse-duration.ts";
import { HoldfastError } from "../base/errors.ts";
import type { Config } from "../config/config.ts";
import { checkLeftovers, checkScratches } from "../operations/check/check-leftovers.ts";
import { checkSockets } from "../operations/check/check-sockets.ts";
import { checkSqlite } from "../operations/check/check-sqlite.ts";
import { checkState } from "../operations/check/check-state.ts";
import { checkUnitState } from "../operations/check/check-unit-state.ts";
import { fail, type Finding, ok, warn } from "../operations/check/finding.ts";
import { findingOfError } from "../operations/check/finding-of-error.ts";
import { runChecks } from "../operations/check/run-checks.ts";
import type { Status } from "../operations/read-status.ts";
import { countFindings, printFindings } from "./print-findings.ts";
import type { VerbContext } from "./verb.ts";

/** Looks at everything that may keep Holdfast from its work, tells what it finds, and gives the exit status. */
export async function examineInstallation(context: VerbContext): Promise<number> {
  const { terminal, signal, program } = context;
  const config = await context.loadConfig();
  const { settings } = config;
  const findings: Finding[] = [
    ok("versions", `Holdfast ${program.version}, Node ${process.versions.node}`),
    checkSqlite(),
    ...(await askDaemon(context, config)),
    ...(await checkUnitState(signal)),
    ...(await checkSockets(settings)),
    ...(await lookAtState(config)),
    ...(await checkLeftovers(settings, systemClock.now())),
    ...checkScratches(settings, systemClock.now()),
    ...(await runChecks(config, signal)),
  ];
  if (terminal.json === "json") terminal.printJson({ findings });
  else {
    printFindings(findings, terminal);
    terminal.tell(countFindings(findings));
  }
  return findings.some(({ level }) => level === "fail") ? 1 : 0;
}

async function lookAtState({ settings }: Config): Promise<readonly Finding[]> {
  try {
    return await checkState(settings);
  } catch (error) {
    return [findingOfError("fail", `state directory ${settings.stateDir}`, error)];
  }
}

/** What the daemon says of itself. */
async function askDaemon({ connect, program, signal }: VerbContext, config: Config): Promise<readonly Finding[]> {
  let status: Status;
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(10_000)]);
    status = await (await connect()).send<Status>({ method: "GET", path: "/status" }, limit);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof HoldfastError && error.code === "forbidden") return [findingOfError("warn", "daemon", error)];
    return [findingOfError("fail", "daemon", error)];
  }
  const upMs = systemClock.now() - Date.parse(status.startedAt);
  const missing = [...config.jobs.keys()].filter((name) => !status.jobs.some(({ job }) => job === name));
  return [
    ok("daemon", `answers, version ${status.version}, up for ${describeDuration(Math.max(1000, Math.round(upMs / 1000) * 1000))}`),
    ...(status.version === program.version
      ? []
      : [warn("daemon", `runs ${status.version}, this is ${program.version}`, "systemctl restart holdfast")]),
    ...(missing.length === 0 ? [] : [warn("daemon", `does not know ${missing.join(", ")}`, "holdfast reload")]),
    ...status.unfinishedRestores.map((text) => fail("restore", text, "holdfast status")),
    ...status.pauses.map((text) => warn("pause", text, "holdfast resume")),
    ...status.jobs.flatMap(({ job, state, problems }) =>
      problems.map((problem) => (state === "failed" ? fail : warn)(`job ${job}`, problem)),
    ),
    ...status.problems
      .filter((text) => !status.unfinishedRestores.includes(text) && !status.jobs.some(({ job }) => text.startsWith(`${job}: `)))
      .map((text) => warn("daemon", text)),
  ];
}
