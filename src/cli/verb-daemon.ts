import { runDaemon } from "../daemon/run-daemon.ts";
import type { Verb } from "./verb.ts";

export const daemonVerb: Verb = {
  name: "daemon",
  define(command, run) {
    command.description("Run the daemon in the foreground until it is told to end (systemd does this)").action(() =>
      run(async ({ loadConfig, program }) => {
        await runDaemon({ config: await loadConfig(), program, loadConfig });
        return 0;
      }),
    );
  },
};
