/** The part of a destination that reading a backup needs. */
export interface ObjectSource {
  get(key: string, range: { readonly offset: number; readonly bytes: number } | undefined, signal: AbortSignal): AsyncIterable<Uint8Array>;
  stat(key: string, signal: AbortSignal): Promise<{ readonly bytes: number } | undefined>;
}
