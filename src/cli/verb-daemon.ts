import type { Verb } from "./verb.ts";

export const daemonVerb: Verb = {
  name: "daemon",
  help: {
    daemon: "none",
    exits: { 0: "it was told to end and did", 5: "another daemon already works with this state directory" },
    json: "nothing; its log goes to standard error, in the format that settings.logFormat names",
    examples: ["holdfast --config ./holdfast.yaml daemon"],
  },
  define(command, run) {
    command.description("Run the daemon in the foreground until it is told to end (systemd does this)").action(() =>
      run(async ({ loadConfig, program }) => {
        const { runDaemon } = await import("../daemon/run-daemon.ts");
        await runDaemon({ config: await loadConfig(), program, loadConfig });
        return 0;
      }),
    );
  },
};
