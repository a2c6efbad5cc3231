import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { once } from "node:events";
import { createServer } from "node:http";
import type { Socket } from "node:net";
import { errorPolicies, HoldfastError, reportError, type ErrorReport } from "../base/errors.ts";
import { defaultLimits, type ControlLimits } from "./limits.ts";
import { listenOnPath } from "./listen.ts";
import { parseBody } from "./parse-body.ts";
import { ReplyMemory } from "./reply-memory.ts";
import { privateRoutes, allRoutes } from "./route-table.ts";
import type { ControlContext, Route } from "./route.ts";
import { sendLines } from "./send-lines.ts";

/** Of the whole interface; a change that old clients cannot live with raises it together with the `/v1` of the paths. */
const apiVersion = 1;
/** How long answers may take to leave when the server is closed. */
const closingMs = 2_000;
const rememberedReplies = 1_000;
const maxKeyChars = 200;
/** A backup may be named by its path. */
const maxParamChars = 4_096;

export interface ServerOptions {
  readonly path: string;
  /** Which rows of the route table this socket has at all. */
  readonly access: "read" | "admin";
  /** Group that may connect; the socket is 0660. Undefined for root alone. */
  readonly gid: number | undefined;
  readonly limits?: Partial<ControlLimits>;
}

/** Serves the route table on a Unix socket until it is closed. */
export async function openControlServer(options: ServerOptions, context: ControlContext): Promise<AsyncDisposable> {
  const limits = { ...defaultLimits, ...options.limits };
  const closing = new AbortController();
  const headers = { "holdfast-version": context.core.version, "holdfast-api": String(apiVersion) };
  const app = createApp(options.access, limits, headers);
  const surroundings: Surroundings = { context, limits, replies: new ReplyMemory(rememberedReplies), closing: closing.signal };
  for (const route of allRoutes) if (options.access === "admin" || route.access === "read") addRoute(app, route, surroundings);
  await app.ready();
  await listenOnPath(app.server, options.path, options.gid);
  return {
    async [Symbol.asyncDispose]() {
      closing.abort(new HoldfastError("daemon-unreachable", "The daemon is being stopped"));
      const closed = once(app.server, "close");
      app.server.close();
      app.server.closeIdleConnections();
      // Last lines may leave; nobody holds up the end.
      const limit = setTimeout(() => app.server.closeAllConnections(), closingMs);
      await closed;
      clearTimeout(limit);
      await app.close();
    },
  };
}

function createApp(access: ServerOptions["access"], limits: ControlLimits, headers: Readonly<Record<string, string>>): FastifyInstance {
  const app = fastify({
    bodyLimit: limits.bodyBytes,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: maxParamChars },
    frameworkErrors: (error, _request, reply) => void answerError((reply as FastifyReply).headers(headers), classify(error)),
    clientErrorHandler: (error, socket) => refuseConnection(error, socket, headers),
    serverFactory: (handler) => {
      const server = createServer(
        {
          maxHeaderSize: limits.headerBytes,
          headersTimeout: limits.headersMs,
          requestTimeout: limits.requestMs,
          connectionsCheckingInterval: limits.checkMs,
          keepAliveTimeout: limits.headersMs,
        },
        handler,
      );
      server.maxConnections = limits.connections;
      server.setTimeout(limits.stallMs);
      return server;
    },
  });
  app.setErrorHandler((error, _request, reply) => answerError(reply, classify(error)));
  app.setNotFoundHandler((request, reply) => answerError(reply, createNotFound(request, access)));
  app.addHook("onRequest", (_request, reply, done) => {
    for (const [name, value] of Object.entries(headers)) reply.raw.setHeader(name, value);
    // One request, one connection, for whoever may change something: nothing waits behind it and nothing is pipelined.
    if (access === "admin") reply.raw.setHeader("connection", "close");
    done();
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "string" }, (_request, body, done) => {
    try {
      done(null, parseBody(String(body), limits.jsonDepth));
    } catch (error) {
      done(error as Error);
    }
  });
  return app;
}

interface Surroundings {
  readonly context: ControlContext;
  readonly limits: ControlLimits;
  readonly replies: ReplyMemory;
  /** Aborted when the server ends: streams end with their next line. */
  readonly closing: AbortSignal;
}

function addRoute(app: FastifyInstance, route: Route, { context, limits, replies, closing }: Surroundings): void {
  app.route({
    method: route.method,
    url: `/v1${route.path}`,
    handler: async (request, reply) => {
      const gone = new AbortController();
      reply.raw.once("close", () => gone.abort(new HoldfastError("cancelled", "The client is gone")));
      const signal = AbortSignal.any([gone.signal, closing]);
      const idempotencyKey = readIdempotencyKey(request);
      const parts = {
        params: parsePart(route.params, request.params ?? {}, "path"),
        query: parsePart(route.query, request.query ?? {}, "query"),
        body: parsePart(route.body, request.body ?? {}, "body"),
      };
      const handle = (): Promise<unknown> => route.handle(context, { ...parts, signal, idempotencyKey });
      if (route.stream) {
        const lines = ((await handle()) as AsyncIterable<unknown>)[Symbol.asyncIterator]();
        // What fails before there is anything to say fails like every other request.
        const first = await lines.next();
        reply.hijack();
        await sendLines(reply.raw, first, lines, limits, signal);
        return undefined;
      }
      const remembered = idempotencyKey !== undefined && route.method !== "GET";
      const fingerprint = JSON.stringify([route.method, route.path, parts]);
      return await reply.send((remembered ? await replies.answer(idempotencyKey, fingerprint, handle) : await handle()) ?? {});
    },
  });
}

function readIdempotencyKey(request: FastifyRequest): string | undefined {
  const key = request.headers["idempotency-key"];
  if (key === undefined) return undefined;
  if (typeof key === "string" && key !== "" && key.length <= maxKeyChars) return key;
  throw new HoldfastError("usage", `The header Idempotency-Key must have 1 to ${maxKeyChars} characters`);
}

function parsePart(schema: Route["body"], value: unknown, part: string): unknown {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  // Who misspells a required field hears of the misspelling first.
  const issue = parsed.error.issues.find(({ code }) => code === "unrecognized_keys") ?? parsed.error.issues[0];
  const place = issue === undefined || issue.path.length === 0 ? part : `${part}.${issue.path.join(".")}`;
  throw new HoldfastError("usage", `The request's ${place} is wrong: ${issue?.message ?? "invalid"}`, {
    hint: "GET /v1/openapi.json describes every request.",
  });
}

function classify(error: unknown): ErrorReport {
  if (error instanceof HoldfastError) return reportError(error);
  const status = error instanceof Error && "statusCode" in error && typeof error.statusCode === "number" ? error.statusCode : 500;
  // Fastify's own refusals: body too large, wrong media type, malformed path.
  if (status >= 400 && status < 500 && error instanceof Error)
    return reportError(new HoldfastError("usage", `The request was refused: ${error.message}`));
  return reportError(error);
}

function answerError(reply: FastifyReply, error: ErrorReport): FastifyReply {
  return reply.code(errorPolicies[error.code].http).send({ error });
}

/** What is no HTTP, too large in its headers, or too slow. */
function refuseConnection(error: NodeJS.ErrnoException, socket: Socket, headers: Readonly<Record<string, string>>): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, message] =
    error.code === "ERR_HTTP_REQUEST_TIMEOUT"
      ? ["408 Request Timeout", "The request did not come in time"]
      : error.code === "HPE_HEADER_OVERFLOW"
        ? ["431 Request Header Fields Too Large", "The request's headers are too large"]
        : ["400 Bad Request", "The request is no HTTP/1.1"];
  const body = JSON.stringify({ error: reportError(new HoldfastError("usage", message)) });
  const all = { ...headers, "content-type": "application/json", "content-length": String(Buffer.byteLength(body)), connection: "close" };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status}\r\n${lines.join("")}\r\n${body}`, () => socket.destroy());
}

function createNotFound(request: FastifyRequest, access: ServerOptions["access"]): ErrorReport {
  const path = request.url.split("?")[0] ?? "";
  if (access === "read" && privateRoutes.some((route) => route.method === request.method && matchesPath(route, path))) {
    return reportError(
      new HoldfastError("forbidden", `${request.method} ${path} is only on the admin socket`, {
        hint: "The admin socket is for root and the members of its group; see `settings.socketPath`.",
      }),
    );
  }
  return reportError(
    new HoldfastError("unknown-name", `There is no ${request.method} ${path}`, { hint: "GET /v1/openapi.json lists what there is." }),
  );
}

/** Segment by segment: a path is the client's, so no pattern is made of it or run over it. */
function matchesPath(route: Route, path: string): boolean {
  const wanted = `/v1${route.path}`.split("/");
  const given = path.split("/");
  return wanted.length === given.length && wanted.every((segment, place) => segment.startsWith(":") || segment === given[place]);
}
