import type { Destination } from "../../../src/destinations/contract.ts";

/** One place that a destination keeps, as a test sees it. Closing it removes it. */
export interface DestinationPlace extends AsyncDisposable {
  /** A handle on the place under this name; handles are independent, like those of two processes. */
  open(name: string): Promise<Destination>;
  /** Takes the marker away, as when a disk is not mounted and its mount point is left. */
  unmark(): Promise<void>;
  /** Takes the whole place away. */
  vanish(): Promise<void>;
  /** An object that no Holdfast wrote. */
  plant(key: string, body: string): Promise<void>;
  /** Everything that takes space in the place, hidden things too, without the marker. */
  listEverything(): Promise<readonly string[]>;
}

/** What a test does to a place. Undefined where the kind of destination cannot have the fault. */
export interface DestinationFaults {
  /** A place in which about this many bytes fit. */
  readonly openSmallPlace: ((bytes: number) => Promise<DestinationPlace>) | undefined;
  /** Makes an initialised place read-only until the returned function is called. */
  readonly makeReadOnly: ((place: DestinationPlace) => Promise<() => Promise<void>>) | undefined;
}

export interface DestinationFixture {
  /** An empty place, not yet initialised. */
  openPlace(): Promise<DestinationPlace>;
  readonly faults: DestinationFaults;
}
