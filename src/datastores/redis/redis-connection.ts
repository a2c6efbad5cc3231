export type Reply = string | number | null | readonly Reply[];

/** A way to give commands to a server. Every failure is a HoldfastError, or the server's own words where no rule explains them. */
export interface RedisConnection extends AsyncDisposable {
  readonly where: string;
  /** The address that our end of the connection has; undefined for sockets and through programs. */
  readonly localAddress: string | undefined;
  call(...command: readonly string[]): Promise<Reply>;
}
