import { setTimeout as delay } from "node:timers/promises";
import { describeCause, HoldfastError } from "../../base/errors.ts";
import { runOutside } from "../../base/outside-program.ts";
import type { StateQuestion } from "../../config/config.ts";
import { redactText } from "../../telemetry/redact.ts";
import { describeHook } from "../describe-hook.ts";

/** `changing`: it starts, stops or reloads at this moment. `unknown`: nothing of this name has ever run, or it has another name. */
export type ServiceState = "running" | "paused" | "stopped" | "changing" | "unknown";

/** How often a service is asked again that is changing. */
const askAgainMs = 200;

export interface Standing {
  readonly state: ServiceState;
  /**
   * When it was last started, as it tells it: another one later means that it was started in between, though it stands the same. It says
   * nothing of a pause that was lifted and made again. Undefined where nobody knows: compose and commands do not tell it, and systemd
   * forgets a unit that stands still unless something wants it, as it is with one that is enabled.
   */
  readonly since: string | undefined;
}

/**
 * How a service stands now. What cannot be asked is an error, and never taken for stopped: a copy of it would be taken for a good one.
 * @throws hook-failed
 */
export async function askStanding(question: StateQuestion, signal: AbortSignal): Promise<Standing> {
  try {
    const ask = { ...question, background: "stays", name: "holdfast-hook", output: "captured" } as const;
    return readStanding(question, await runOutside(ask, signal));
  } catch (error) {
    const exitCode = error instanceof HoldfastError ? error.details?.["exitCode"] : undefined;
    if (question.answer === "status" && (exitCode === 1 || exitCode === 3)) return { state: "stopped", since: undefined };
    const why = redactText(describeCause(error));
    throw new HoldfastError("hook-failed", `Whether it runs cannot be asked with \`${describeHook(question)}\`: ${why}`, {
      cause: error,
      hint: "Run it by hand; correct the datastore's `service`. `holdfast check` asks the same.",
    });
  }
}

/** @throws hook-failed */
export async function askState(question: StateQuestion, signal: AbortSignal): Promise<ServiceState> {
  return (await askStanding(question, signal)).state;
}

/** As `askStanding`, of a service that changes when it has come to rest, or else `changing` after so long. */
export async function askSettled(question: StateQuestion, waitMs: number, signal: AbortSignal): Promise<Standing> {
  const untilMs = performance.now() + waitMs;
  for (;;) {
    const standing = await askStanding(question, signal);
    if (standing.state !== "changing" || performance.now() > untilMs) return standing;
    await delay(askAgainMs, undefined, { signal });
  }
}

export async function askSettledState(question: StateQuestion, waitMs: number, signal: AbortSignal): Promise<ServiceState> {
  return (await askSettled(question, waitMs, signal)).state;
}

/** Unknown to Docker: nothing of it runs, but it is no answer to say so of a name that may be wrong, so its client fails. */
const containerStates: Readonly<Record<string, ServiceState>> = {
  running: "running",
  paused: "paused",
  exited: "stopped",
  created: "stopped",
  dead: "stopped",
};

function readStanding({ answer }: StateQuestion, output: string): Standing {
  if (answer === "status") return { state: "running", since: undefined };
  if (answer === "unit") return readUnit(output);
  if (answer === "container") {
    const [, state = "", since = ""] = /^(\S*)\s*(.*)$/s.exec(output.trim()) ?? [];
    return { state: containerStates[state] ?? "changing", since: since === "" ? undefined : since };
  }
  return { state: readCompose(output), since: undefined };
}

function readCompose(output: string): ServiceState {
  const found = [...output.matchAll(/"State"\s*:\s*"(\w+)"/g)].map(([, state = ""]) => containerStates[state] ?? "changing");
  // Compose says nothing of what it has not made yet, nor of what it has made under another project's name.
  const [first = "unknown"] = found;
  return found.every((state) => state === first) ? first : found.includes("running") ? "running" : "changing";
}

function readUnit(output: string): Standing {
  const read = (name: string): string => new RegExp(`^${name}=(.*)$`, "m").exec(output)?.[1]?.trim() ?? "";
  const loaded = read("LoadState");
  if (loaded !== "loaded" && loaded !== "masked") throw new HoldfastError("tool-failed", `systemd does not have this unit (${loaded})`);
  const startedAt = read("InactiveExitTimestampMonotonic");
  return { state: readActivity(read("ActiveState"), read("FreezerState")), since: /^0*$/.test(startedAt) ? undefined : startedAt };
}

function readActivity(active: string, frozen: string): ServiceState {
  if (active === "active") {
    return frozen === "" || frozen === "running" ? "running" : frozen === "frozen" ? "paused" : "changing";
  }
  return active === "inactive" || active === "failed" ? "stopped" : "changing";
}
