import Database from "better-sqlite3";
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Text that compresses about as well as an application's: words from a small vocabulary, with numbers. */
function createText(seed: number, bytes: number): string {
  let text = "";
  for (let part = 0; text.length < bytes; part += 1) {
    const digest = createHash("sha1").update(`${seed}:${part}`).digest();
    text += [...digest.subarray(0, 10)].map((byte) => words[byte % words.length]).join(" ");
    text += ` ${digest.readUInt32BE(12)} `;
  }
  return text.slice(0, bytes);
}

const words =
  "the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one you were her all she there would their we him been has when who will more no if out so said what up its about into than them can only other new some could time these two may then do".split(
    " ",
  );

/** A database of about so many bytes: rows of text, an index, some blobs that do not compress. */
export function makeDatabase(path: string, bytes: number): void {
  const database = new Database(path);
  database.exec(
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; CREATE TABLE messages (id INTEGER PRIMARY KEY, who TEXT, at INTEGER, text TEXT); CREATE TABLE blobs (id INTEGER PRIMARY KEY, body BLOB); CREATE INDEX by_who ON messages (who, at)",
  );
  const insert = database.prepare("INSERT INTO messages (who, at, text) VALUES (?, ?, ?)");
  const insertBlob = database.prepare("INSERT INTO blobs (body) VALUES (randomblob(8192))");
  const texts = Array.from({ length: 500 }, (_, seed) => createText(seed, 900));
  const rowsWanted = Math.floor(bytes / 1_400);
  const batch = 10_000;
  for (let first = 0; first < rowsWanted; first += batch) {
    database.transaction(() => {
      for (let count = first; count < Math.min(first + batch, rowsWanted); count += 1) {
        insert.run(
          `user ${count % 977}`,
          count * 37,
          `${count} ${texts[(count * 7) % texts.length] ?? ""} ${texts[(count * 13) % texts.length]?.slice(0, 150) ?? ""}`,
        );
        if (count % 40 === 0) insertBlob.run();
      }
    })();
  }
  database.pragma("wal_checkpoint(TRUNCATE)");
  database.close();
}

/** 20,000 small files and a few large ones. */
export function makeTree(path: string, smallFiles: number, largeBytes: number): void {
  const texts = Array.from({ length: 64 }, (_, seed) => createText(seed, 24_000));
  for (let count = 0; count < smallFiles; count += 1) {
    const directory = join(path, `d${Math.floor(count / 200)}`);
    if (count % 200 === 0) mkdirSync(directory, { recursive: true });
    writeFileSync(
      join(directory, `f${count}.txt`),
      `${count}\n${texts[count % texts.length]?.slice(0, 2_000 + ((count * 7919) % 20_000)) ?? ""}`,
    );
  }
  const block = createText(1, 1 << 20);
  for (let count = 0; count < 4; count += 1)
    writeFileSync(join(path, `large${count}.bin`), block.repeat(Math.max(1, Math.floor(largeBytes / 4 / block.length))));
}
