/** Values as the server writes them; null is SQL's NULL. */
export type Row = Readonly<Record<string, string | null>>;

/**
 * One connection to one database. Ends when the signal that it was opened with is aborted. One call at a time; a statement that fails
 * leaves it usable, a stream of `copyOut` that is left early does not.
 */
export interface SqlSession extends AsyncDisposable {
  /** The process that the other end says it is; absent where the way of the session does not tell. */
  readonly announcedPid?: string;
  /** One statement. `$1` … in it, outside of quotes, are replaced by the parameters, as text literals. */
  query(sql: string, params?: readonly (string | null)[]): Promise<readonly Row[]>;
  /** The data of `COPY … TO STDOUT`; ends normally only when the server has sent all of it. */
  copyOut(sql: string): AsyncGenerator<Uint8Array, void, undefined>;
}
