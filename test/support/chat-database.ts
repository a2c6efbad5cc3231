import Database from "better-sqlite3";

const words =
  "the a to and i you it of in that is my for me on do with not be have this what was but so we are just like at can if about know your how they there out think all get when really one would up good now go time because some will people more here then been see make want from something could yes today no maybe tomorrow bread tea remember weather ducks pond feeding birthday grandmother bicycle kitchen window quiet thunder umbrella recipe cinnamon library afternoon station garden letter piano winter holiday neighbour photograph mountain river friend question answer story dream memory colour music language".split(
    " ",
  );
const capitalize = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** A conversation as people have it, in the tables that such bots keep; the same for the same seed. */
export function makeChatDatabase(path: string, { messages, seed = 1 }: { readonly messages: number; readonly seed?: number }): void {
  const database = new Database(path);
  database.pragma("journal_mode = wal");
  database.exec(`
    create table messages (id integer primary key, channel text not null, author text not null, at text not null, text text not null);
    create index messages_by_channel on messages (channel, at);
    create table memories (id integer primary key, about text not null, text text not null, weight real not null);
    create table facts (id integer primary key, subject text not null, fact text not null);
  `);
  let state = seed;
  const random = (below: number): number => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((state / 2_147_483_648) * below);
  };
  // Frequent words are frequent: the square makes the first ones likelier.
  const word = (): string => words[Math.floor((random(10_000) / 10_000) ** 2 * words.length)] ?? "";
  const sentence = (): string => `${capitalize(Array.from({ length: 5 + random(14) }, word).join(" "))}.`;
  const text = (): string => Array.from({ length: 1 + random(4) }, sentence).join(" ");
  const addMessage = database.prepare("insert into messages (channel, author, at, text) values (?, ?, ?, ?)");
  const addMemory = database.prepare("insert into memories (about, text, weight) values (?, ?, ?)");
  const addFact = database.prepare("insert into facts (subject, fact) values (?, ?)");
  database.transaction(() => {
    for (let number = 0; number < messages; number += 1) {
      const at = new Date(1_760_000_000_000 + number * 47_000 + random(40_000)).toISOString();
      addMessage.run(`channel-${random(12)}`, `user-${100_000 + random(60)}`, at, text());
      if (number % 10 === 0) addMemory.run(`user-${100_000 + random(60)}`, sentence(), random(1000) / 1000);
      if (number % 25 === 0) addFact.run(word(), sentence());
    }
  })();
  database.close();
}
