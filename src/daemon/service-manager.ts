import { openNotifyTransport, type NotifyFields, type NotifyTransport } from "./notify-transport.ts";

/**
 * Tells the service manager how things stand (sd_notify); nothing without one. Nothing here throws: a daemon that cannot speak to its
 * service manager still makes backups, and the manager's own time limits notice the silence.
 */
export interface ServiceManager extends AsyncDisposable {
  /** The start, or a reload, is over. */
  ready(status: string): Promise<void>;
  /** One line for `systemctl status`. */
  status(text: string): Promise<void>;
  reloading(): Promise<void>;
  stopping(): Promise<void>;
  /** The start, reload or stop that is going on may take this much longer, counted from now. */
  extendTimeout(byMs: number): Promise<void>;
  /** Signs of life from the event loop, thrice per watchdog period: a loop that hangs is silent, and the service is restarted. */
  startWatchdog(): void;
}

const maxStatusChars = 500;

export async function openServiceManager(env: Readonly<Record<string, string | undefined>>): Promise<ServiceManager> {
  const path = env["NOTIFY_SOCKET"];
  const transport = path === undefined || path === "" ? undefined : await openNotifyTransport(path);
  return createServiceManager(transport, readWatchdogMs(env));
}

function createServiceManager(transport: NotifyTransport | undefined, watchdogMs: number | undefined): ServiceManager {
  let watchdog: NodeJS.Timeout | undefined;
  const send = async (fields: NotifyFields): Promise<void> => {
    await transport?.send(fields).catch(() => undefined);
  };
  return {
    ready: (status) => send({ READY: "1", STATUS: formatStatus(status) }),
    status: (text) => send({ STATUS: formatStatus(text) }),
    reloading: () => send({ RELOADING: "1", MONOTONIC_USEC: String(process.hrtime.bigint() / 1000n) }),
    stopping: () => send({ STOPPING: "1", STATUS: "Stopping" }),
    extendTimeout: (byMs) => send({ EXTEND_TIMEOUT_USEC: String(Math.ceil(byMs) * 1000) }),
    startWatchdog() {
      if (watchdogMs === undefined || watchdog !== undefined) return;
      const beat = (): void => void send({ WATCHDOG: "1" });
      beat();
      watchdog = setInterval(beat, watchdogMs / 3).unref();
    },
    [Symbol.asyncDispose]: async () => {
      clearInterval(watchdog);
      transport?.[Symbol.dispose]();
      return await Promise.resolve();
    },
  };
}

/** The watchdog period, when it is meant for this process. */
function readWatchdogMs(env: Readonly<Record<string, string | undefined>>): number | undefined {
  const microseconds = Number(env["WATCHDOG_USEC"]);
  const forUs = env["WATCHDOG_PID"] === undefined || env["WATCHDOG_PID"] === String(process.pid);
  return forUs && Number.isFinite(microseconds) && microseconds > 0 ? microseconds / 1000 : undefined;
}

/** A line end would begin another field. */
function formatStatus(text: string): string {
  const line = text.replaceAll(/\s+/g, " ").trim();
  return line.length > maxStatusChars ? `${line.slice(0, maxStatusChars)}…` : line;
}
