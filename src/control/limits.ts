/** What one socket takes from its clients. Times in milliseconds. */
export interface ControlLimits {
  /** From the connection, or the end of the last answer, to the end of the headers. */
  readonly headersMs: number;
  /** To the end of the body. */
  readonly requestMs: number;
  /** How often slow connections are looked for. */
  readonly checkMs: number;
  /** A connection on which nothing moves in either direction, and a stream that is not read, is closed after this. */
  readonly stallMs: number;
  /** A stream with nothing to say says an empty line this often. */
  readonly heartbeatMs: number;
  readonly headerBytes: number;
  readonly bodyBytes: number;
  readonly jsonDepth: number;
  readonly connections: number;
}

export const defaultLimits: ControlLimits = {
  headersMs: 5_000,
  requestMs: 30_000,
  checkMs: 1_000,
  stallMs: 60_000,
  heartbeatMs: 15_000,
  headerBytes: 8 << 10,
  bodyBytes: 64 << 10,
  jsonDepth: 16,
  connections: 64,
};
