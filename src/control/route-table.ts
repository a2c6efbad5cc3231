import { z } from "zod";
import { watchEvents } from "../operations/watch-events.ts";
import { createOpenApi } from "./openapi.ts";
import { defineRoute, type Route } from "./route.ts";
import { adminRoutes } from "./routes-admin.ts";
import { readRoutes } from "./routes-read.ts";
import { scratchRoutes } from "./routes-scratch.ts";

const none = z.strictObject({});

/** The one route table. The admin socket has all of it, the read-only one the rows with the access `read`. */
export const allRoutes: readonly Route[] = [
  ...readRoutes,
  ...adminRoutes,
  ...scratchRoutes,
  defineRoute({
    method: "GET",
    path: "/events",
    access: "read",
    summary: "What happens, as it happens: JSON lines until the client goes away",
    answer: "Lines of the types hello, task, run, progress and heartbeat; a reader that is too slow gets a last line of type dropped",
    params: none,
    query: none,
    body: none,
    response: z.object({ type: z.enum(["hello", "task", "run", "progress", "heartbeat", "dropped"]), at: z.iso.datetime() }),
    stream: "json-lines",
    handle: ({ core }, { signal }) => Promise.resolve(watchEvents(core, signal)),
  }),
  defineRoute({
    method: "GET",
    path: "/openapi.json",
    access: "read",
    summary: "This document",
    answer: "The OpenAPI document of this interface",
    params: none,
    query: none,
    body: none,
    handle: ({ core }) => Promise.resolve(createOpenApi(allRoutes, core.version)),
  }),
];

/** What the read-only socket does not have. */
export const privateRoutes: readonly Route[] = allRoutes.filter(({ access }) => access === "admin");
