import type { Note } from "../base/note.ts";
import type { z } from "zod";

export interface ByteRange {
  readonly offset: number;
  readonly bytes: number;
}

export interface ObjectFacts {
  /** Relative, `/`-separated path in the destination. */
  readonly key: string;
  readonly bytes: number;
  /** Milliseconds since the epoch; informs only, nothing may be decided by it. */
  readonly modifiedAtMs: number;
}

export interface DestinationFacts {
  readonly summary: string;
  /** Bytes that can still be written; undefined where there is no such limit. */
  readonly freeBytes?: number;
  readonly totalBytes?: number;
  /** Device number (`stat.dev`) for the same-disk warning; undefined away from this machine. */
  readonly device?: number;
  readonly marked: boolean;
  readonly writable: boolean;
  /** For example modes wider than declared (P7). */
  readonly notes: readonly Note[];
}

/** `directory`: the objects stand in a folder NAME. `beside`: they stand side by side, the first one put is NAME itself. */
export type PublicationShape = "directory" | "beside";

/**
 * Objects that nobody sees until they are published. `put` stores all of a body, durably, or nothing. `publish` writes the manifest
 * hidden and durable, makes the objects visible, then the manifest; when it returns all of it survives a power cut.
 * Closing before `publish` removes everything that was put. A crash in between is mended by `Destination.recover`.
 */
export interface Publication extends AsyncDisposable {
  put(name: string, body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<{ readonly bytes: number }>;
  /** Reads back a hidden object, from the medium as far as that can be asked for. */
  get(name: string, range: ByteRange | undefined, signal: AbortSignal): AsyncIterable<Uint8Array>;
  publish(manifest: { readonly name: string; readonly body: Uint8Array }, signal: AbortSignal): Promise<void>;
}

export interface Recovered {
  readonly action: "rolled-forward" | "removed";
  readonly name: string;
  readonly message: string;
}

/**
 * Where backups are kept. Keys are relative `/`-separated paths without `.` and `..`. Errors are HoldfastErrors, classified by the driver
 * (destination-missing, destination-unwritable, no-space, destination-failed …). Reading needs no marker; writing and removing do.
 */
export interface Destination extends AsyncDisposable {
  readonly name: string;
  readonly kind: string;
  probe(signal: AbortSignal): Promise<DestinationFacts>;
  /**
   * What its marker says it is, the same for as long as the marker is there. Costs little, writes nothing, and keeps no thread where the
   * place does not answer. @throws destination-missing, destination-unmarked, destination-foreign
   */
  identify(signal: AbortSignal): Promise<string>;
  /**
   * @param folder key of the folder that gets the backup; made when it is not there.
   * @param name the backup's name in it; `conflict` when it exists.
   * @param id the backup's id, unique; hidden names derive from it.
   */
  openPublication(folder: string, name: string, shape: PublicationShape, id: string, signal: AbortSignal): Promise<Publication>;
  /** Whether anything has this key: a file or a folder, visible or not yet published. */
  exists(key: string, signal: AbortSignal): Promise<boolean>;
  /** Throws `backup-not-found` when there is no such object. A range that goes beyond the end is `backup-damaged`. Pieces are the reader's. */
  get(key: string, range: ByteRange | undefined, signal: AbortSignal): AsyncIterable<Uint8Array>;
  stat(key: string, signal: AbortSignal): Promise<ObjectFacts | undefined>;
  /** All visible objects below a folder, in no order. An error is thrown, never an empty list; a folder that is not there is empty. */
  list(folder: string, signal: AbortSignal): AsyncIterable<ObjectFacts>;
  /**
   * Adds whole lines, each ended by a newline, at the end of an object, durably; creates it. One call is all or nothing for readers that
   * go by whole lines and pass over lines that they cannot parse: one that a power cut tore may stay.
   */
  append(key: string, bytes: Uint8Array, signal: AbortSignal): Promise<void>;
  /** Removes an object or a whole folder, the object named like a manifest first, durably. What is not there counts as removed. */
  remove(key: string, signal: AbortSignal): Promise<void>;
  /**
   * Mends what crashes left: complete publications are rolled forward, others removed. `isActive` tells which ids are still being made;
   * those are left alone.
   */
  recover(isActive: (id: string) => boolean, signal: AbortSignal): Promise<readonly Recovered[]>;
  /** Makes (`init`) or accepts (`adopt`, keeps what is there) the place and writes its marker. */
  initialize(mode: "init" | "adopt", signal: AbortSignal): Promise<void>;
}

export interface DestinationContext {
  readonly name: string;
}

export interface DestinationSpec<Options> {
  readonly kind: string;
  readonly description: string;
  readonly options: z.ZodType<Options>;
  open(options: Options, context: DestinationContext): Promise<Destination>;
}

export interface DestinationDriver {
  readonly kind: string;
  readonly description: string;
  readonly optionsSchema: z.ZodType;
  /** Throws `config-invalid` when the options do not fit the schema. */
  configure(options: unknown): { open(context: DestinationContext): Promise<Destination> };
}
