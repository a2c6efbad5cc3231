import { chmod, chown, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeChatDatabase } from "./chat-database.ts";
import { applicationCommand, readExample } from "./example-config.ts";

/** The account of the bot: one that every Debian has. */
export const account = { name: "www-data", uid: 33, gid: 33 } as const;

export interface Bot {
  readonly home: string;
  readonly database: string;
  readonly backups: string;
  /** The example's config on these paths. */
  readonly config: string;
  /** Has `pm2` in its PATH: a program that starts and stops a live application and notes how it was called. */
  readonly env: Readonly<Record<string, string>>;
  readonly applicationDir: string;
  /** `USER ARGUMENTS`, one line a call. */
  readonly pm2Log: string;
}

/** The account's home with its database, below a directory that others may enter; the bot does not run yet. */
export async function makeBot(dir: string, { messages = 2_000 }: { readonly messages?: number } = {}): Promise<Bot> {
  const home = join(dir, "home/bot");
  const database = join(home, "app/sqlite.db");
  const applicationDir = join(home, "run");
  const pm2Log = join(home, "pm2.log");
  for (const path of [home, join(home, "app"), applicationDir, join(dir, "bin")]) await mkdir(path, { recursive: true });
  makeChatDatabase(database, { messages });
  await writeFile(join(applicationDir, "application.json"), JSON.stringify({ databases: [database] }));
  const pm2 = join(dir, "bin/pm2");
  const [node, program] = applicationCommand("");
  await writeFile(pm2, `#!/bin/sh\necho "$(id -un) $*" >> ${pm2Log}\nexec ${node} ${program} "$1" ${applicationDir}\n`);
  await chmod(pm2, 0o755);
  for (const path of [home, join(home, "app"), database, applicationDir]) await chown(path, account.uid, account.gid);
  const config = await readExample("parmelae", {
    replace: {
      "/home/bot": home,
      '"bot:bot"': `"${account.name}:${account.name}"`,
      "runAs: bot": `runAs: ${account.name}`,
    },
  });
  const env = { PATH: `${join(dir, "bin")}:${process.env["PATH"] ?? ""}`, HOLDFAST_TIMEZONE: "UTC" };
  return { home, database, backups: join(home, "backups"), config, env, applicationDir, pm2Log };
}

/** A command as the bot's account. */
export function asBot(command: readonly string[]): readonly string[] {
  return ["setpriv", `--reuid=${account.uid}`, `--regid=${account.gid}`, "--init-groups", "--", ...command];
}
