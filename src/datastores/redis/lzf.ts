/** Decompresses LZF, the compression of strings in RDB files. Undefined when the bytes are none, or give another length. */
export function decompressLzf(packed: Uint8Array, plainBytes: number): Buffer | undefined {
  // Three bytes can give 264 at most: a length beyond that is a lie, and must not make us ask for the memory.
  if (plainBytes > (packed.length + 1) * 264) return undefined;
  const out = Buffer.alloc(plainBytes);
  let from = 0;
  let to = 0;
  while (from < packed.length) {
    const control = packed[from] ?? 0;
    from += 1;
    if (control < 32) {
      const count = control + 1;
      if (from + count > packed.length || to + count > plainBytes) return undefined;
      out.set(packed.subarray(from, from + count), to);
      from += count;
      to += count;
      continue;
    }
    let count = control >> 5;
    if (count === 7) {
      count += packed[from] ?? 0;
      from += 1;
    }
    if (from >= packed.length) return undefined;
    let source = to - ((control & 31) << 8) - (packed[from] ?? 0) - 1;
    from += 1;
    count += 2;
    if (source < 0 || to + count > plainBytes) return undefined;
    // Byte by byte: source and target may overlap, which repeats a pattern.
    for (; count > 0; count -= 1, source += 1, to += 1) out[to] = out[source] ?? 0;
  }
  return to === plainBytes ? out : undefined;
}
