/** The demo behind scripts/quickstart: everything that it shows is done by the CLI and the daemon, as a user would. */
import Database from "better-sqlite3";
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { styleText } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));
const demo = resolve(process.env["HOLDFAST_DEMO_DIR"] ?? join(root, ".demo"));
const data = join(demo, "data");
const configPath = join(demo, "holdfast.yaml");
const databasePath = join(data, "app.db");
const holdfast = join(root, "scripts/holdfast");

const say = (text: string): void => console.log(`\n${styleText("bold", text)}`);

function makeDemo(): void {
  rmSync(demo, { recursive: true, force: true });
  mkdirSync(join(data, "uploads"), { recursive: true });
  using database = openDatabase();
  database.value.exec("PRAGMA journal_mode = WAL; CREATE TABLE messages (id INTEGER PRIMARY KEY, at TEXT NOT NULL, text TEXT NOT NULL)");
  const insert = database.value.prepare("INSERT INTO messages (at, text) VALUES (?, ?)");
  for (let count = 0; count < 5_000; count += 1) insert.run(new Date().toISOString(), `message ${count}`);
  for (const name of ["avatar", "notes", "report"]) writeFileSync(join(data, "uploads", `${name}.txt`), `${name}\n`.repeat(2_000));
  writeFileSync(
    configPath,
    `# The demo of scripts/quickstart. See config/holdfast.example.yaml for everything that there is.
settings:
  stateDir: ${demo}/state
  runtimeDir: ${demo}/run
destinations:
  local: { kind: local, path: ${demo}/backups }
datastores:
  app: { kind: sqlite, path: ${databasePath} }
  uploads: { kind: files, root: ${data}/uploads }
jobs:
  demo:
    datastores: [app, uploads]
    schedule: every 1m
    atStart: true
    atStartMinAge: 0s
    destination: local
    layout: archive
    infoFiles: [backup_info.txt]
    retention: { keepLast: 5 }
`,
  );
}

function openDatabase(): { readonly value: Database.Database } & Disposable {
  const value = new Database(databasePath);
  return { value, [Symbol.dispose]: () => value.close() };
}

/** Keeps the database busy, as an application would, until it is stopped. */
function startWriter(): NodeJS.Timeout {
  const database = new Database(databasePath, { timeout: 5_000 });
  const insert = database.prepare("INSERT INTO messages (at, text) VALUES (?, ?)");
  return setInterval(() => insert.run(new Date().toISOString(), "written while the backup runs"), 5);
}

/** Runs the CLI and shows what was typed and what it said. */
function run(...args: readonly string[]): number {
  console.log(styleText("dim", `$ holdfast ${args.join(" ")}`));
  return spawnSync(holdfast, ["--config", configPath, ...args], { stdio: ["ignore", "inherit", "inherit"] }).status ?? 1;
}

async function main(): Promise<number> {
  const once = process.argv.includes("--once");
  say(`A demo in ${demo}: a SQLite database that is being written to, and some files`);
  makeDemo();
  const writer = startWriter();
  if (run("destination", "init", "local") !== 0) return 1;

  say("The daemon starts, and with it a backup");
  const daemon = spawn(holdfast, ["--config", configPath, "daemon"], { stdio: ["ignore", "inherit", "inherit"] });
  const ended = new Promise<number>((done) => daemon.once("exit", (code) => done(code ?? 1)));
  const stop = (): boolean => daemon.kill("SIGTERM");
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  const failed = (await steps(daemon)) !== 0;
  if (once || failed) {
    clearInterval(writer);
    stop();
    const exit = await ended;
    say(failed ? "Something failed; see above." : "All of it worked: backed up, verified, proven to restore.");
    return failed || exit !== 0 ? 1 : 0;
  }
  say("The daemon goes on: a backup every minute. In another terminal:");
  for (const verb of ["status", "list", "backup demo --note 'my first'", "restore latest --plan"])
    console.log(`  ${holdfast} --config ${configPath} ${verb}`);
  console.log("\nCtrl-C ends it. Your own config: config/holdfast.example.yaml; as a system service: scripts/install");
  const exit = await ended;
  clearInterval(writer);
  return exit;
}

async function steps(daemon: ChildProcess): Promise<number> {
  if (!(await waitForBackup(daemon))) return 1;
  say("The backup");
  if (run("list") !== 0) return 1;
  say("Its verification: every byte read back from the disk");
  if (run("verify", "latest") !== 0) return 1;
  say("A restore drill: restored into a scratch place, contents compared");
  if (run("drill", "latest") !== 0) return 1;
  say("The status");
  return run("status");
}

/** Until the start-up backup is published, or the daemon has ended. */
async function waitForBackup(daemon: ChildProcess): Promise<boolean> {
  for (let tries = 0; tries < 240 && daemon.exitCode === null; tries += 1) {
    const answer = spawnSync(holdfast, ["--config", configPath, "--json", "status"], { encoding: "utf8" });
    if (answer.status === 0) {
      const status = JSON.parse(answer.stdout) as { jobs: { newestGood: unknown; lastRun: { state: string } | null }[] };
      if (status.jobs[0]?.newestGood) return true;
      if (status.jobs[0]?.lastRun?.state === "failed") return false;
    }
    await new Promise((done) => setTimeout(done, 250));
  }
  return false;
}

process.exitCode = await main();
process.exit();
