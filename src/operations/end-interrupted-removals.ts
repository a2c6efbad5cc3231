import type { Destination } from "../destinations/contract.ts";
import type { Core } from "./core.ts";
import { finishRemovals } from "./remove-backups.ts";

/** Ends what removals a crash left half-way, and notes that it was us, before the catalog is compared with the destination. */
export async function endInterruptedRemovals(
  core: Pick<Core, "catalog" | "clock" | "log">,
  destination: Destination,
  signal: AbortSignal,
): Promise<void> {
  const ended = await finishRemovals(destination, signal);
  for (const { folder, name } of ended) {
    core.log.warn(`The removal of ${name} had been interrupted; it is finished`);
    const known = core.catalog.backups
      .find({ destination: destination.name })
      .find((backup) => backup.folder === folder && backup.name === name);
    if (known === undefined) continue;
    core.catalog.backups.remove(destination.name, known.id);
    core.catalog.audit.record({
      atMs: core.clock.now(),
      actor: "retention",
      action: "backup.removed",
      subject: name,
      outcome: "ok",
      details: { id: known.id, destination: destination.name, reasons: ["its removal had been interrupted"] },
    });
  }
}
