import { z } from "zod";

const eventSchema = z.discriminatedUnion("event", [
  z.object({ at: z.iso.datetime(), event: z.literal("pinned"), reason: z.string() }),
  z.object({ at: z.iso.datetime(), event: z.literal("unpinned") }),
  z.object({ at: z.iso.datetime(), event: z.literal("verified"), tookMs: z.number() }),
  z.object({ at: z.iso.datetime(), event: z.literal("drilled"), tookMs: z.number(), datastores: z.array(z.string()) }),
  z.object({ at: z.iso.datetime(), event: z.literal("drill-failed"), reason: z.string() }),
  z.object({ at: z.iso.datetime(), event: z.literal("damaged"), reason: z.string() }),
  z.object({ at: z.iso.datetime(), event: z.literal("accepted"), reason: z.string() }),
  z.object({ at: z.iso.datetime(), event: z.literal("copied"), destination: z.string() }),
  z.object({ at: z.iso.datetime(), event: z.literal("note"), text: z.string() }),
]);

/** A fact about a backup that came after its publication. */
export type BackupEvent = z.infer<typeof eventSchema>;

/** What the events of a backup add up to. */
export interface BackupMarks {
  readonly pinned: string | null;
  readonly verifiedAt: string | null;
  readonly drilledAt: string | null;
  readonly drillMs: number | null;
  /** Why the last verification or drill failed; null when a later one succeeded. */
  readonly damaged: string | null;
  readonly accepted: string | null;
  readonly notes: readonly string[];
}

export function formatEvent(event: BackupEvent): string {
  return `${JSON.stringify(eventSchema.parse(event))}\n`;
}

/** Reads an events file. A torn last line (a crash while it was appended) and events of later versions are passed over. */
export function parseEvents(text: string): readonly BackupEvent[] {
  return text.split("\n").flatMap((line) => {
    try {
      const parsed = eventSchema.safeParse(JSON.parse(line));
      return parsed.success ? [parsed.data] : [];
    } catch {
      return [];
    }
  });
}

/** @param publishedAt when it was published: a backup is read back before that, so it counts as verified then */
export function foldEvents(events: readonly BackupEvent[], publishedAt: string): BackupMarks {
  const start: BackupMarks = { pinned: null, verifiedAt: publishedAt, drilledAt: null, drillMs: null, damaged: null, accepted: null, notes: [] };
  return events.reduce<BackupMarks>((marks, event) => {
    switch (event.event) {
      case "pinned":
        return { ...marks, pinned: event.reason };
      case "unpinned":
        return { ...marks, pinned: null };
      case "verified":
        return { ...marks, verifiedAt: event.at, damaged: null };
      case "drilled":
        return { ...marks, drilledAt: event.at, drillMs: event.tookMs };
      case "drill-failed":
      case "damaged":
        return { ...marks, damaged: event.reason };
      case "accepted":
        return { ...marks, accepted: event.reason };
      case "note":
        return { ...marks, notes: [...marks.notes, event.text] };
      case "copied":
        return marks;
    }
  }, start);
}
