import type { z } from "zod";
import type { Core } from "../operations/core.ts";

/** What a handler may use. */
export interface ControlContext {
  readonly core: Core;
  /** Loads the config anew: all of it is in force when this resolves, or nothing has changed. */
  readonly reload: (signal: AbortSignal) => Promise<{ readonly changed: boolean }>;
}

export interface RouteRequest<Params, Query, Body> {
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  /** Aborted when the client is gone. */
  readonly signal: AbortSignal;
  /** `Idempotency-Key` header. */
  readonly idempotencyKey: string | undefined;
}

/**
 * One row of the route table. `read` routes are on both sockets, `admin` ones on the admin socket alone. A handler that returns an async
 * iterable answers with a stream of JSON lines.
 */
export interface Route {
  readonly method: "GET" | "POST" | "DELETE";
  /** With `:name` parameters, below /v1. */
  readonly path: string;
  readonly access: "read" | "admin";
  readonly summary: string;
  /** What comes back when it went well, for people. */
  readonly answer: string;
  readonly params: z.ZodType;
  readonly query: z.ZodType;
  readonly body: z.ZodType;
  /** Of the answer, or of each line of a stream; undefined where nobody has written it down yet. */
  readonly response: z.ZodType | undefined;
  readonly stream: boolean;
  handle(context: ControlContext, request: RouteRequest<unknown, unknown, unknown>): Promise<unknown>;
}

interface RouteSpec<Params, Query, Body> {
  readonly method: Route["method"];
  readonly path: string;
  readonly access: Route["access"];
  readonly summary: string;
  /** The summary by default. */
  readonly answer?: string;
  readonly params: z.ZodType<Params>;
  readonly query: z.ZodType<Query>;
  readonly body: z.ZodType<Body>;
  readonly response?: z.ZodType;
  readonly stream?: "json-lines";
  handle(context: ControlContext, request: RouteRequest<Params, Query, Body>): Promise<unknown>;
}

/** Ties a handler to its schemas: what reaches it has been parsed by them. */
export function defineRoute<Params, Query, Body>(spec: RouteSpec<Params, Query, Body>): Route {
  return {
    ...spec,
    answer: spec.answer ?? spec.summary,
    response: spec.response,
    stream: spec.stream !== undefined,
    handle: (context, request) => spec.handle(context, request as RouteRequest<Params, Query, Body>),
  };
}
