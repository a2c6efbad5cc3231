import { chown } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { SwapStep } from "../contract.ts";
import { beginSwap, type RestoreArea } from "../trees/restore-area.ts";
import { makeMissing, moveEntry, readInode, syncAll } from "../trees/swap-steps.ts";
import { listStoreDirectories, storeParts } from "./store-places.ts";

/**
 * Puts a database's directories aside into an area, and those that lie in `new` of it in their place; without `new` it puts aside only.
 * A server must not run: between two renames there is half of a database.
 */
export async function swapStore(
  store: {
    readonly data: string;
    readonly database: string;
    readonly area: RestoreArea;
    /** Of directories that the data directory lacks. */
    readonly owner: { readonly uid: number; readonly gid: number };
  },
  record: (step: SwapStep) => Promise<void>,
): Promise<void> {
  const { data, database, area, owner } = store;
  const staged = join(area.path, "new");
  const steps: SwapStep[] = [];
  const keep = async (step: SwapStep): Promise<void> => {
    await record(step);
    steps.push(step);
  };
  await beginSwap(area, keep);
  for (const [index, target] of listStoreDirectories(data, database).entries()) {
    const part = storeParts[index] ?? "";
    const move = (op: "aside" | "place", from: string, to: string): Promise<void> =>
      moveEntry({ op, area: area.path, from: Buffer.from(from), to: Buffer.from(to) }, keep);
    if (readInode(target) !== undefined) await move("aside", target, join(area.path, `old-${part}`));
    if (readInode(staged) === undefined) continue;
    if (readInode(dirname(target)) === undefined) {
      await makeMissing(dirname(target), area.path, keep);
      await chown(dirname(target), owner.uid, owner.gid);
    }
    await move("place", join(staged, part, database), target);
  }
  await syncAll(steps);
}
