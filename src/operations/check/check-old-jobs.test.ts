import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import type { Config } from "../../config/config.ts";
import { checkOldJobs } from "./check-old-jobs.ts";

const config = {
  datastores: new Map([["memory", { name: "memory", kind: "sqlite", options: { path: "/srv/duck/duck_memory.db" }, optional: false }]]),
} as unknown as Config;

test("old cron jobs and timers that do the same work are named with file and line, without their passwords", async () => {
  const root = mkdtempSync(join(tmpdir(), "cron-"));
  try {
    const files = {
      "etc/crontab":
        "# backup at night\nSHELL=/bin/sh\n0 3 * * * root /usr/local/bin/duck-backup.sh\n17 * * * * root run-parts /etc/cron.hourly\n",
      "etc/cron.d/duck": "5 4 * * * duck cp /srv/duck/duck_memory.db /backup/\n",
      "etc/cron.daily/dump": "#!/bin/sh\nPGPASSWORD=hunter2 pg_dump crm > /tmp/x\necho done\n",
      "etc/cron.daily/dpkg": "#!/bin/sh\nexec /usr/libexec/dpkg/dpkg-db-backup\n",
      "var/spool/cron/crontabs/duck": "@daily sqlite3 duck_memory.db .dump\n@daily /usr/bin/true\n",
      "etc/systemd/system/old.service": "[Unit]\nDescription=Some backup\n[Service]\nExecStart=/opt/old-backup\n",
      "etc/systemd/system/holdfast.service": "[Service]\nExecStart=/opt/holdfast backup\n",
      "etc/systemd/system/other.conf": "backup\n",
    };
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    const findings = await checkOldJobs(config, root);
    assert.deepEqual(
      findings.map(({ detail }) => detail.split(" ")[0]),
      [
        "/etc/crontab:3",
        "/etc/cron.d/duck:1",
        "/etc/cron.daily/dump:2",
        "/var/spool/cron/crontabs/duck:1",
        "/etc/systemd/system/old.service:4",
      ],
    );
    assert.match(findings[1]?.detail ?? "", /names \/srv\/duck\/duck_memory\.db/);
    assert.equal(JSON.stringify(findings).includes("hunter2"), false);
    assert.deepEqual(await checkOldJobs(config, join(root, "nowhere")), []);
  } finally {
    rmSync(root, { recursive: true });
  }
});
