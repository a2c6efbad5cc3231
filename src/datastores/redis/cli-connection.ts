import { HoldfastError } from "../../base/errors.ts";
import { runProgram } from "../../base/subprocess.ts";
import { wrapCommand, type OuterCommand } from "../via.ts";
import type { RedisConnection, Reply } from "./redis-connection.ts";
import { createReplyError } from "./reply-error.ts";
import { describeEndpoint, type Endpoint } from "./endpoint.ts";
import { explainRedisError } from "./explain-error.ts";

const commandMs = 120_000;

/** `redis-cli` as it is to be run for a server; the password goes by the environment. */
export function createCliCommand({ place, user, password, tls, via }: Endpoint, args: readonly string[]): OuterCommand {
  const connection = [
    ...("socket" in place ? ["-s", place.socket] : ["-h", place.host, "-p", String(place.port)]),
    ...(user === undefined ? [] : ["--user", user]),
    ...(tls === undefined ? [] : ["--tls"]),
    ...(tls?.ca === undefined ? [] : ["--cacert", tls.ca]),
    ...(tls?.cert === undefined ? [] : ["--cert", tls.cert]),
    ...(tls?.key === undefined ? [] : ["--key", tls.key]),
    ...(tls?.serverName === undefined ? [] : ["--sni", tls.serverName]),
  ];
  return wrapCommand(via, {
    program: "redis-cli",
    args: [...connection, ...args],
    ...(password === undefined ? {} : { secrets: { REDISCLI_AUTH: password } }),
  });
}

/** A connection for each command: `redis-cli`, run where the server is. Commands go through its standard input: some hold secrets. */
export function openCliConnection(endpoint: Endpoint, signal: AbortSignal): RedisConnection {
  const where = describeEndpoint(endpoint);
  const { program, args, env, cwd } = createCliCommand(endpoint, ["--no-raw"]);
  return {
    where,
    localAddress: undefined,
    async call(...command) {
      const input = `${command.map(quoteArgument).join(" ")}\n`;
      const options = { env, input, timeoutMs: commandMs, accept: [0, 1], ...(cwd === undefined ? {} : { cwd }) };
      try {
        const { stdout, stderr, exitCode } = await runProgram(program, args, options, signal);
        const answer = stdout.trim();
        if (answer === "" && (exitCode !== 0 || stderr !== "")) throw new HoldfastError("tool-failed", stderr.trim());
        return parseCliReply(answer);
      } catch (error) {
        throw explainRedisError(error, where);
      }
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** As `redis-cli` reads it. */
function quoteArgument(text: string): string {
  const escaped = text
    .replaceAll(/["\\]/g, String.raw`\$&`)
    .replaceAll("\n", String.raw`\n`)
    .replaceAll("\r", String.raw`\r`);
  return `"${escaped}"`;
}

/** What `redis-cli --no-raw` prints: strings in quotes, numbered lists. @throws ReplyError with the server's words for an error reply */
export function parseCliReply(printed: string): Reply {
  const list = /^\d+\) /.test(printed);
  return list ? printed.split("\n").map((line) => parseScalar(line.replace(/^\s*\d+\) /, ""))) : parseScalar(printed);
}

function parseScalar(printed: string): Reply {
  if (printed.startsWith("(error) ")) throw createReplyError(printed.slice("(error) ".length));
  if (printed === "(nil)" || printed === "(empty array)") return null;
  const integer = /^\(integer\) (-?\d+)$/.exec(printed);
  if (integer !== null) return Number(integer[1]);
  if (!printed.startsWith('"')) return printed;
  return printed.slice(1, -1).replaceAll(/\\(x[0-9a-f]{2}|.)/g, (_, code: string) => unescape(code));
}

const escapes: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", a: "\u0007", b: "\b" };

function unescape(code: string): string {
  return code.length === 3 ? String.fromCharCode(Number.parseInt(code.slice(1), 16)) : (escapes[code] ?? code);
}
