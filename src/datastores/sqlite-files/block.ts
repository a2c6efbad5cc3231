const word = new Int32Array(new SharedArrayBuffer(4));

/** Blocks the whole process: for a process of its own only, between two calls of SQLite that leave no room for a timer. */
export function blockFor(milliseconds: number): void {
  Atomics.wait(word, 0, 0, milliseconds);
}
