/**
 * Bytes that are to be stored.
 * - `file`: a private staged copy, whole and immutable until the dump is asked for the next entry; its descriptor may be handed to a child process.
 * - `stream`: produced while it is read; may be opened once, its size is unknown until it has ended. Ending the iteration early
 *   stops whatever produces it. A producer that fails throws from the iteration: a stream that ends normally is complete.
 */
export type ByteSource =
  | { readonly kind: "file"; readonly path: string; readonly bytes: number }
  | { readonly kind: "stream"; readonly open: (signal: AbortSignal) => AsyncIterable<Uint8Array> };
