/**
 * The candidate that was probably meant by `name`, for "did you mean": spelling first (case, `-` and `_` do not count, two swapped
 * letters are one mistake), else the only candidate that contains it. Undefined when nothing is near enough to be worth saying.
 */
export function findClosest(name: string, candidates: Iterable<string>): string | undefined {
  const wanted = fold(name);
  if (wanted === "") return undefined;
  const containing: string[] = [];
  let closest: string | undefined;
  let least = Math.max(1, Math.floor(wanted.length / 3)) + 1;
  for (const candidate of candidates) {
    const folded = fold(candidate);
    const distance = measureDistance(wanted, folded, least);
    if (distance < least) [closest, least] = [candidate, distance];
    if (wanted.length >= 3 && folded.includes(wanted)) containing.push(candidate);
  }
  return closest ?? (containing.length === 1 ? containing[0] : undefined);
}

function fold(name: string): string {
  return name
    .slice(0, 100)
    .toLowerCase()
    .replaceAll(/[-_\s]/g, "");
}

/** Edit distance with swaps (optimal string alignment); anything of `limit` or more may be answered by `limit`. */
function measureDistance(left: string, right: string, limit: number): number {
  if (Math.abs(left.length - right.length) >= limit) return limit;
  let beforeLast: number[] = [];
  let last = Array.from({ length: right.length + 1 }, (_, column) => column);
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const differs = left[row - 1] === right[column - 1] ? 0 : 1;
      let cost = Math.min((last[column] ?? limit) + 1, (current[column - 1] ?? limit) + 1, (last[column - 1] ?? limit) + differs);
      if (row > 1 && column > 1 && left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1]) {
        cost = Math.min(cost, (beforeLast[column - 2] ?? limit) + 1);
      }
      current.push(cost);
    }
    [beforeLast, last] = [last, current];
  }
  return last[right.length] ?? limit;
}
