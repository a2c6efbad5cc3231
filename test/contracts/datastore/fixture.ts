import type { ErrorCode } from "../../../src/base/errors.ts";

/** A source with data, made for one test. */
export interface DatastoreSource extends AsyncDisposable {
  readonly options: unknown;
  /** The same with `optional: true`. */
  readonly optionalOptions: unknown;
  /** Changes the data so that its contents differ; the kind of change that an application makes. */
  change(): Promise<void>;
  remove(): Promise<void>;
  /** Makes the source unreadable for whom this process acts as. Undone by closing the source. */
  makeUnreadable(): Promise<void>;
  /** Text that is the same as long as nothing has touched the source: names, inodes, times, bytes. */
  fingerprint(): Promise<string>;
  /** Text that is the same when the source holds the same data, wherever it lies. */
  readData(): Promise<string>;
}

export interface DatastoreFixture {
  readonly kind: string;
  /** Makes a source of more than 1 MiB in an empty directory, closed to nobody. */
  openSource(directory: string): Promise<DatastoreSource>;
  readonly unreadableCodes: readonly ErrorCode[];
}
