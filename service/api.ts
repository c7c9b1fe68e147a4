import type { RequestListener, Server } from "node:http";
import { isIP, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import Fastify, { type FastifyInstance, type FastifyRequest } from "fastify";
import type { Logger } from "pino";
import { assertSameSite } from "./api/guard.ts";
import { Problem, rawProblem, sendProblem } from "./api/problem.ts";
import { addRoutes, RESOURCES } from "./api/routes.ts";
import { systemClock } from "./clock.ts";
import { codeOf } from "./error-code.ts";
import { type ListenAddress, listenOn } from "./listen.ts";
import type { RunningNode } from "./node.ts";
import { createLimitedServer, DEFAULT_LIMITS, discardBody, type ServerLimits } from "./signaling-sockets.ts";

export interface ApiOptions {
  readonly node: RunningNode;
  /** Port 0 takes a free one. */
  readonly listen: ListenAddress;
  readonly log: Logger;
  readonly limits?: Partial<ServerLimits>;
}

export interface Api {
  /** `http://HOST:PORT` */
  readonly url: string;
  readonly port: number;
  /** Open requests may still be answered for CLOSE_FLUSH_MS. Idempotent. */
  close(): Promise<void>;
}

/** A transaction in hexadecimal with room to spare. */
const BODY_BYTES_MAX = 65_536;

const API_LIMITS: ServerLimits = {
  ...DEFAULT_LIMITS,
  socketsMax: 64,
  // A monitor asks for the status again and again.
  requestsPerSocketMax: 10_000,
};

/** How long `close` waits for answers that are on their way. */
const CLOSE_FLUSH_MS = 250;
const CLOSE_POLL_MS = 5;
/** Longer than any path that means something: what is too long is malformed, and said to be. */
const PARAMETER_CHARACTERS_MAX = 16_384;

/**
 * The operator API of one node on its own listener. It has no password: whoever reaches it controls the node.
 * @throws Error of the system, with its code, if the address cannot be listened on
 */
export async function startApi({ node, listen, log, limits }: ApiOptions): Promise<Api> {
  const open = new Set<FastifyRequest>();
  const busySockets = (): Socket[] => Array.from(open, ({ socket }) => socket);
  const forget = (socket: Socket): void => {
    for (const request of open) if (request.socket === socket) open.delete(request);
  };
  const app = createApp(listen.host, log, (handler) =>
    createLimitedServer(handler, { ...API_LIMITS, ...limits }, busySockets, forget),
  );
  app.addHook("onRequest", (request, _reply, done) => {
    open.add(request);
    done();
  });
  app.addHook("onResponse", (request, _reply, done) => {
    open.delete(request);
    done();
  });
  addRoutes(app, node, systemClock());
  const port = await listenOn(app, listen);
  return {
    url: urlOf(listen.host, port),
    port,
    close: async () => {
      const deadlineMs = performance.now() + CLOSE_FLUSH_MS;
      while (open.size > 0 && performance.now() < deadlineMs) await pause(CLOSE_POLL_MS);
      await app.close();
    },
  };
}

function createApp(
  listenHost: string,
  log: Logger,
  serverFactory: (handler: RequestListener) => Server,
): FastifyInstance {
  const app = Fastify({
    serverFactory,
    bodyLimit: BODY_BYTES_MAX,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: PARAMETER_CHARACTERS_MAX },
    clientErrorHandler: answerClientError,
    frameworkErrors: (error, _request, reply) => sendProblem(reply, "malformed", error.message),
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, (_request, bytes, done) => {
    const text = decodeUtf8(bytes as Buffer);
    if (text === undefined) done(new Problem("malformed", "the body is not UTF-8"));
    else done(null, text);
  });
  app.addHook("onRequest", (request, reply, done) => {
    reply.headers({ "cache-control": "no-store", "x-content-type-options": "nosniff" });
    try {
      assertSameSite(request.headers, listenHost);
      if (request.method === "POST") assertJson(request);
    } catch (error) {
      done(error as Problem);
      return;
    }
    done();
  });
  app.addHook("onSend", (request, reply, _payload, done) => {
    discardBody(request.raw, reply.raw);
    done();
  });
  app.setNotFoundHandler((request, reply) => {
    const [path = ""] = request.url.split("?", 1);
    const resource = RESOURCES.find((each) => each.path.test(path));
    if (resource === undefined) return sendProblem(reply, "notFound", "the API has no such path");
    reply.header("allow", resource.allow);
    return sendProblem(reply, "wrongMethod", `this path allows only ${resource.allow}`);
  });
  app.setErrorHandler((error, request, reply) => {
    if (error instanceof Problem) return sendProblem(reply, error.kind, error.message);
    const status = error instanceof Error && "statusCode" in error ? error.statusCode : 500;
    if (status === 413)
      return sendProblem(reply, "tooLong", `a body may have at most ${BODY_BYTES_MAX} bytes`);
    if (status === 415) return sendProblem(reply, "notJson", "the content type must be application/json");
    if (status === 400) return sendProblem(reply, "malformed", (error as Error).message);
    log.error({ err: error, method: request.method, url: request.url.slice(0, 256) }, "a request failed");
    return sendProblem(reply, "bug", "see the log of the node");
  });
  return app;
}

function assertJson({ url, headers }: FastifyRequest): void {
  const [path = ""] = url.split("?", 1);
  const isPosted = RESOURCES.some((each) => each.path.test(path) && each.allow.includes("POST"));
  const essence = headers["content-type"]?.split(";", 1)[0]?.trim().toLowerCase();
  if (isPosted && essence !== "application/json") {
    throw new Problem("notJson", "the content type must be application/json");
  }
}

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** What cannot be parsed as HTTP, or does not come in time, ends the connection. */
function answerClientError(error: Error, socket: Socket): void {
  if (socket.writable && socket.bytesWritten === 0) {
    const [status, detail] = CLIENT_ERRORS[codeOf(error)] ?? [400, "not an HTTP request"];
    socket.write(rawProblem(status, detail));
  }
  socket.destroySoon();
}

const CLIENT_ERRORS: Readonly<Record<string, readonly [number, string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, "the request did not come in time"],
  HPE_HEADER_OVERFLOW: [431, "the headers are too long"],
};

function urlOf(host: string, port: number): string {
  const reachable = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  return `http://${isIP(reachable) === 6 ? `[${reachable}]` : reachable}:${port}`;
}
