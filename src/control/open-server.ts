import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { lstat, rm } from "node:fs/promises";
import { createConnection } from "node:net";
import { errorPolicies, HoldfastError, readErrno, reportError, type ErrorReport } from "../base/errors.ts";
import { adminRoutes } from "./routes-admin.ts";
import { readRoutes } from "./routes-read.ts";
import type { ControlContext, Route } from "./route.ts";

const bodyLimitBytes = 64 << 10;

export interface ServerOptions {
  readonly path: string;
  /** Which rows of the route table this socket has at all. */
  readonly access: "read" | "admin";
  /** Group that may connect; the socket is 0660. Undefined for root alone. */
  readonly gid: number | undefined;
}

/** Serves the route table on a Unix socket until it is closed. */
export async function openControlServer(options: ServerOptions, context: ControlContext): Promise<AsyncDisposable> {
  const app = fastify({
    bodyLimit: bodyLimitBytes,
    connectionTimeout: 0,
    requestTimeout: 30_000,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    // Fastify's own handling of unknown fields would drop them silently; every schema here is strict and parsed by hand.
    return503OnClosing: true,
  });
  app.server.headersTimeout = 5_000;
  app.server.maxConnections = 64;
  app.setErrorHandler((error, _request, reply) => answerError(reply, classify(error)));
  app.setNotFoundHandler((request, reply) => answerError(reply, createNotFound(request, options.access)));
  // An empty body is an empty object.
  app.addContentTypeParser("application/json", { parseAs: "string" }, (_request, body, done) => {
    try {
      done(null, body === "" ? {} : JSON.parse(String(body)));
    } catch {
      done(new HoldfastError("usage", "The body is not JSON"));
    }
  });
  const routes = options.access === "admin" ? [...readRoutes, ...adminRoutes] : readRoutes;
  for (const route of routes) addRoute(app, route, context);
  await removeStaleSocket(options.path);
  await listen(app, options);
  return {
    async [Symbol.asyncDispose]() {
      await app.close();
      await rm(options.path, { force: true });
    },
  };
}

function addRoute(app: FastifyInstance, route: Route, context: ControlContext): void {
  app.route({
    method: route.method,
    url: `/v1${route.path}`,
    handler: async (request, reply) => {
      const gone = new AbortController();
      request.raw.socket.once("close", () => gone.abort(new HoldfastError("cancelled", "The client is gone")));
      const idempotencyKey = request.headers["idempotency-key"];
      const answer = await route.handle(context, {
        params: parsePart(route.params, request.params ?? {}, "path"),
        query: parsePart(route.query, request.query ?? {}, "query"),
        body: parsePart(route.body, request.body ?? {}, "body"),
        signal: gone.signal,
        idempotencyKey: typeof idempotencyKey === "string" ? idempotencyKey : undefined,
      });
      if (!route.stream) return await reply.send(answer ?? {});
      reply.hijack();
      await sendLines(reply, answer as AsyncIterable<unknown>, gone.signal);
      return undefined;
    },
  });
}

function parsePart(schema: Route["body"], value: unknown, part: string): unknown {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const place = issue === undefined || issue.path.length === 0 ? part : `${part}.${issue.path.join(".")}`;
  throw new HoldfastError("usage", `The request's ${place} is wrong: ${issue?.message ?? "invalid"}`);
}

/** Streams JSON lines; an error after the first byte becomes the last line. */
async function sendLines(reply: FastifyReply, lines: AsyncIterable<unknown>, signal: AbortSignal): Promise<void> {
  const { raw } = reply;
  raw.writeHead(200, { "content-type": "application/x-ndjson" });
  try {
    for await (const line of lines) {
      if (signal.aborted) return;
      raw.write(`${JSON.stringify(line)}\n`);
    }
  } catch (error) {
    raw.write(`${JSON.stringify({ error: reportError(error) })}\n`);
  } finally {
    raw.end();
  }
}

function classify(error: unknown): ErrorReport {
  if (error instanceof HoldfastError) return reportError(error);
  const status = error instanceof Error && "statusCode" in error && typeof error.statusCode === "number" ? error.statusCode : 500;
  // Fastify's own refusals: body too large, wrong media type, malformed JSON.
  if (status >= 400 && status < 500 && error instanceof Error)
    return reportError(new HoldfastError("usage", `The request was refused: ${error.message}`));
  return reportError(error);
}

function answerError(reply: FastifyReply, error: ErrorReport): FastifyReply {
  return reply.code(errorPolicies[error.code].http).send({ error });
}

function createNotFound(request: FastifyRequest, access: "read" | "admin"): ErrorReport {
  const path = request.url.split("?")[0] ?? "";
  const pattern = (route: Route): boolean => new RegExp(`^/v1${route.path.replaceAll(/:[a-z]+/gi, "[^/]+")}$`).test(path);
  if (access === "read" && adminRoutes.some((route) => route.method === request.method && pattern(route))) {
    return reportError(new HoldfastError("forbidden", `${request.method} ${path} is only on the admin socket`));
  }
  return reportError(
    new HoldfastError("unknown-name", `There is no ${request.method} ${path}`, { hint: "GET /v1/openapi.json lists what there is." }),
  );
}

/** Only a socket that refuses connections is stale; a busy daemon's socket and anything that is no socket are left alone (F9). */
async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch((error: unknown) => {
    if (readErrno(error) === "ENOENT") return undefined;
    throw error;
  });
  if (found === undefined) return;
  if (!found.isSocket())
    throw new HoldfastError("conflict", `${path} is there and is no socket`, { hint: "Move it away, or set `settings.socketPath`." });
  const answer = await new Promise<string>((resolve) => {
    const probe = createConnection(path, () => resolve("connected"));
    probe.setTimeout(2_000, () => resolve("timeout"));
    probe.once("error", (error) => resolve(readErrno(error) ?? "unknown"));
    probe.once("close", () => probe.destroy());
  });
  if (answer !== "ECONNREFUSED") throw new HoldfastError("daemon-running", `Somebody already listens on ${path} (${answer})`);
  await rm(path);
}

async function listen(app: FastifyInstance, options: ServerOptions): Promise<void> {
  const before = process.umask(options.gid === undefined ? 0o177 : 0o117);
  try {
    await app.listen({ path: options.path });
  } finally {
    process.umask(before);
  }
  if (options.gid !== undefined) {
    const { lchown } = await import("node:fs/promises");
    await lchown(options.path, process.getuid?.() ?? 0, options.gid);
  }
}
