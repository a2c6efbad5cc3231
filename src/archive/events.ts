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
  /** It is being removed, the manifest first: without a manifest these objects, relative to its folder, are what an interruption left. */
  z.object({ at: z.iso.datetime(), event: z.literal("removing"), objects: z.array(z.string()) }),
]);

/** A fact about a backup that came after its publication. */
export type BackupEvent = z.infer<typeof eventSchema>;

/** What the events of a backup add up to. */
export interface BackupMarks {
  readonly pinned: string | null;
  readonly verifiedAt: string | null;
  readonly drilledAt: string | null;
  readonly drillMs: number | null;
  /** Why the last verification failed, or else the last drill; null when a later one of the same sort succeeded. */
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
  // Each of the two finds what the other does not: only its own success takes its failure back.
  let unverified: string | null = null;
  let undrilled: string | null = null;
  const start: BackupMarks = {
    pinned: null,
    verifiedAt: publishedAt,
    drilledAt: null,
    drillMs: null,
    damaged: null,
    accepted: null,
    notes: [],
  };
  const marks = events.reduce<BackupMarks>((sum, event) => {
    switch (event.event) {
      case "pinned":
        return { ...sum, pinned: event.reason };
      case "unpinned":
        return { ...sum, pinned: null };
      case "verified":
        unverified = null;
        return { ...sum, verifiedAt: event.at };
      case "drilled":
        undrilled = null;
        return { ...sum, drilledAt: event.at, drillMs: event.tookMs };
      case "drill-failed":
        undrilled = event.reason;
        return sum;
      case "damaged":
        unverified = event.reason;
        return sum;
      case "accepted":
        return { ...sum, accepted: event.reason };
      case "note":
        return { ...sum, notes: [...sum.notes, event.text] };
      case "copied":
      case "removing":
        return sum;
    }
  }, start);
  return { ...marks, damaged: unverified ?? undrilled };
}
