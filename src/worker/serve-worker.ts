import { HoldfastError, reportError, reviveError } from "../base/errors.ts";
import { unpackSecrets } from "../base/pack-secrets.ts";
import { orderSchema, protocolVersion, type WorkerLogLevel, type WorkerProgress, type WorkerReport } from "./messages.ts";

/** How often progress crosses to the daemon at most. */
const progressEveryMs = 250;

export interface WorkerPorts {
  readonly now: () => number;
  readonly progress: (progress: WorkerProgress) => void;
  readonly log: (level: WorkerLogLevel, message: string, details?: Readonly<Record<string, unknown>>) => void;
}

/** Runs one task of a kind. */
export type WorkerTask = (kind: string, input: unknown, ports: WorkerPorts, signal: AbortSignal) => Promise<unknown>;

/**
 * The worker's side: takes one order from its parent, carries it out, reports, exits. It ends when its parent does: the kernel kills it
 * (parent-death signal), and a closed channel aborts what it does.
 */
export async function serveWorker(run: WorkerTask): Promise<void> {
  const controller = new AbortController();
  process.once("disconnect", () => controller.abort(new HoldfastError("interrupted", "The daemon is gone")));
  // A cancellation comes over the channel; the signal is for whoever kills the group by hand.
  process.once("SIGTERM", () => controller.abort(new HoldfastError("cancelled", "The worker was told to end")));
  const order = await receiveStart(controller);
  let reportedAtMs = 0;
  const ports: WorkerPorts = {
    now: () => Date.now(),
    progress(progress) {
      const nowMs = performance.now();
      if (nowMs - reportedAtMs < progressEveryMs && progress.bytes !== undefined) return;
      reportedAtMs = nowMs;
      void send({ v: protocolVersion, type: "progress", progress });
    },
    log: (level, message, details) =>
      void send({ v: protocolVersion, type: "log", level, message, ...(details === undefined ? {} : { details }) }),
  };
  const report = await run(order.kind, unpackSecrets(order.input), ports, controller.signal).then(
    (result): WorkerReport => ({ v: protocolVersion, type: "done", result }),
    (error: unknown): WorkerReport => ({ v: protocolVersion, type: "failed", error: reportError(error) }),
  );
  await send(report);
  process.exit(report.type === "done" ? 0 : 1);
}

async function receiveStart(controller: AbortController): Promise<{ readonly kind: string; readonly input: unknown }> {
  const { promise, resolve } = Promise.withResolvers<{ readonly kind: string; readonly input: unknown }>();
  process.on("message", (message: unknown) => {
    const order = orderSchema.parse(message);
    if (order.type === "start") resolve(order);
    else controller.abort(reviveError(order.error));
  });
  await send({ v: protocolVersion, type: "ready" });
  return await promise;
}

/** Resolves when the message is on its way; a parent that is gone is no error here, the disconnect ends the task. */
async function send(report: WorkerReport): Promise<void> {
  await new Promise<void>((resolve) => {
    if (process.send === undefined || !process.connected) resolve();
    else process.send(report, undefined, {}, () => resolve());
  });
}
