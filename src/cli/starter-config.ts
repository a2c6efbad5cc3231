import { join, resolve } from "node:path";

/**
 * The directory with the schema and the examples that came with this program. An installed program names its version by the link that an
 * upgrade moves on, for the version's own directory goes away one day.
 */
const shippedDir = resolve(import.meta.dirname, "../../config").replace(/\/versions\/[^/]+\/config$/, "/current/config");

/** What `holdfast init` writes: valid as it is, and safe, because nothing is active but a place to keep backups. */
export const starterConfig = `# yaml-language-server: $schema=${join(shippedDir, "holdfast.schema.json")}
#
# The config of Holdfast. Everything that there is, and whole installations in \`examples\` beside it:
#   ${join(shippedDir, "holdfast.example.yaml")}
# After a change: \`holdfast check\`, then \`systemctl reload holdfast\`. A config with any error is refused as a whole.

# Where backups are kept. \`holdfast destination init local\` makes the place. Better on another disk than the data.
destinations:
  local:
    kind: local
    path: /var/backups/holdfast

# What is protected. Take the # away and put in your own paths.
datastores:
#  app:
#    kind: sqlite
#    path: /srv/app/app.db
#  uploads:
#    kind: files
#    root: /srv/app/uploads

# When, to where, and for how long.
jobs:
#  nightly:
#    datastores: [app, uploads]
#    schedule: daily                   # 02:00; or a cron expression, or "every 6h"
#    destination: local
#    layout: archive                   # one tar file; or directory, or file
#    infoFiles: [backup_info.txt]
#    # Without retention everything is kept. The last verified backup always stays.
#    retention: { keepLast: 7, keepWeekly: 4, keepMonthly: 12 }
#    verify: weekly                    # read all backups again
#    drill: monthly                    # restore the newest into a scratch place and compare
#    restore:
#      stop: [{ unit: app.service }]
#      start: [{ unit: app.service }]
#      check: [{ http: "http://localhost:8080/health" }]
#    notify: [ops]

# Who is told of failures, and of backups that do not come. \`holdfast notify-test ops\` tries it.
notify:
#  ops:
#    kind: command                     # the message is on its standard input
#    command: [/usr/bin/mail, -s, Holdfast, root]
`;
