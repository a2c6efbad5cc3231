import type { ErrorCode } from "../../../src/base/errors.ts";
import { listLeftovers } from "../../support/datastore.ts";

/** A source with data, made for one test. */
export interface DatastoreSource extends AsyncDisposable {
  readonly options: unknown;
  /** The same with `optional: true`. */
  readonly optionalOptions: unknown;
  /** Where a dump by `options` needs no staging directory: options by which it does, or its check. */
  readonly stagingOptions?: unknown;
  /** What Holdfast has left where the data lies, when that is no directory of the test. */
  listLeftovers?(): Promise<readonly string[]>;
  /** Changes the data so that its contents differ; the kind of change that an application makes. */
  change(): Promise<void>;
  remove(): Promise<void>;
  /** Makes the source unreadable for whom this process acts as. Undone by closing the source. */
  makeUnreadable(): Promise<void>;
  /** Text that is the same as long as nothing has touched the source: names, inodes, times, bytes. */
  fingerprint(): Promise<string>;
  /** Text that is the same when the source holds the same data, wherever it lies. */
  readData(): Promise<string>;
  /** The same of what a snapshot keeps, where that is not all of it. */
  readSnapshotData?(): Promise<string>;
  /** Of a driver that declares parts. */
  readonly parts?: PartsSource;
}

/** A part of a source, and all else in it. */
export interface PartsSource {
  readonly names: readonly string[];
  /** Text that is the same as long as the part, or all else, holds the same data. */
  readPart(): string;
  readRest(): string;
  /** Changes both. */
  change(): void;
}

export interface DatastoreFixture {
  readonly kind: string;
  /** Makes a source of more than 1 MiB in an empty directory, closed to nobody. */
  openSource(directory: string): Promise<DatastoreSource>;
  /** When a restore first makes something beside the target: while it reads the backup (by default), or when it has read all of it. */
  readonly staging?: "after-reading";
  readonly unreadableCodes: readonly ErrorCode[];
}

/** Everything that Holdfast has left beside a source. */
export async function findLeftovers(source: DatastoreSource, directory: string): Promise<readonly string[]> {
  return [...listLeftovers(directory), ...((await source.listLeftovers?.()) ?? [])];
}
