import { execFileSync } from "node:child_process";
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { mib, sum, type Case } from "./compare.ts";
import { makeDatabase, makeTree } from "./make-inputs.ts";

const restored = ["staging", "swapping", "removing what was put aside"];

/** @param scale 1 for 1 GiB */
export function createSqliteCase(directory: string, scale: number): Case {
  const database = join(directory, "big.db");
  const target = join(directory, "raw");
  makeDatabase(database, scale * 2 ** 30);
  return {
    name: `SQLite ${mib(statSync(database).size)}, zstd:3`,
    job: "sqlite",
    datastore: { name: "big", kind: "sqlite", options: { path: database } },
    rawBackup: `rm -rf ${target}; mkdir ${target}; sqlite3 ${database} ".backup ${target}/b.db"; sha256sum ${target}/b.db >${target}/sum & zstd -q -3 -T0 -c ${target}/b.db | tee >(sha256sum >${target}/sum2) >${target}/b.zst; wait; sync ${target}/b.zst; rm ${target}/b.db`,
    rawRestore: `rm -f ${target}/r.db; zstd -q -d -c ${target}/b.zst | tee >(sha256sum >${target}/sum3) >${target}/r.db; sync ${target}/r.db; sqlite3 ${target}/r.db "PRAGMA integrity_check" >/dev/null; rm ${target}/r.db`,
    comparable: ({ took, result }) =>
      sum(took, ["copying", "storing", "publishing"]) - (result.manifest?.members[0]?.contents.facts["checkMs"] ?? 0),
    // The raw side checks its copy too.
    restored: ({ took }) => sum(took, [...restored, "comparing"]),
  };
}

/** @param scale 1 for 20,004 files */
export function createTreeCase(directory: string, scale: number): Case {
  const tree = join(directory, "tree");
  const target = join(directory, "raw");
  mkdirSync(tree);
  makeTree(tree, scale * 20_000, scale * (260 << 20));
  // What the raw restore replaces.
  execFileSync("cp", ["-a", tree, join(directory, "there")]);
  const bytes = Number(execFileSync("du", ["-sb", tree], { encoding: "utf8" }).split("\t")[0]);
  return {
    name: `tree of ${scale * 20_000 + 4} files, ${mib(bytes)}, zstd:3`,
    job: "tree",
    datastore: { name: "tree", kind: "files", options: { root: tree } },
    rawBackup: `rm -rf ${target}; mkdir ${target}; tar --format=posix --xattrs --acls --sparse -cf - -C ${tree} . | tee >(sha256sum >${target}/sum) | zstd -q -3 -T0 -c | tee >(sha256sum >${target}/sum2) >${target}/t.zst; sync ${target}/t.zst`,
    rawRestore: `mkdir ${target}/new; zstd -q -d -c ${target}/t.zst | tee >(sha256sum >${target}/sum3) | tar -xf - --xattrs --acls -C ${target}/new; sync -f ${target}/new; mv ${directory}/there ${target}/old; mv ${target}/new ${directory}/there; rm -rf ${target}/old`,
    comparable: ({ took }) => sum(took, ["read", "storing", "publishing"]),
    restored: ({ took }) => sum(took, restored),
  };
}
