import { type RequestListener, type Server, STATUS_CODES } from "node:http";
import { isIP, type Socket } from "node:net";
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import ipaddr from "ipaddr.js";
import type { SignalingEvent } from "../core/actions.ts";
import type { RequestId } from "../core/ids.ts";
import { RETRY_AFTER_MIN_S } from "../core/limits.ts";
import type { SignalReply } from "../core/services.ts";
import { codeOf } from "./error-code.ts";
import {
  clampRetryAfterS,
  ipLiteral,
  isSignalContent,
  readEnvelope,
  SIGNAL_CONTENT_TYPE,
  SIGNAL_PATH,
} from "./signaling-http.ts";
import {
  answerClientError,
  createLimitedServer,
  DEFAULT_LIMITS,
  discardBody,
  type ServerLimits,
} from "./signaling-sockets.ts";

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** How long `close` waits until the last answers are handed to the system. */
const CLOSE_FLUSH_MS = 250;

export interface SignalingServerOptions {
  /** Must not call `reply` before it returns. */
  readonly emit: (event: SignalingEvent) => void;
  readonly listen: ListenAddress;
  readonly nextRequestId: () => RequestId;
  readonly trustedProxies: readonly string[];
  readonly limits: Partial<ServerLimits>;
}

export interface SignalingServer {
  readonly port: number;
  reply(requestId: RequestId, reply: SignalReply): void;
  close(): Promise<void>;
}

/** What a request can end in besides a reply of the core: none came in time, or nobody is left to read it. */
type Ending = SignalReply | { readonly tag: "unanswered" } | { readonly tag: "gone" };

interface Waiting {
  readonly reply: FastifyReply;
  readonly settle: (ending: Ending) => void;
}

/** `POST /pollen/1/signal`. @throws Error that says what to do if the address cannot be listened on */
export async function startSignalingServer(options: SignalingServerOptions): Promise<SignalingServer> {
  const { emit, listen, nextRequestId, trustedProxies } = options;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  for (const proxy of trustedProxies) assertAddressOrRange(proxy);
  const waiting = new Map<RequestId, Waiting>();
  let isClosing = false;

  /** Hands the envelope to the core and waits for its reply within the time that is left. */
  const ask = (reply: FastifyReply, remoteAddress: string, envelope: Uint8Array): Promise<Ending> =>
    new Promise((resolve) => {
      const requestId = nextRequestId();
      const settle = (ending: Ending): void => {
        if (!waiting.delete(requestId)) return;
        clearTimeout(timer);
        resolve(ending);
      };
      const leftMs = Math.max(0, limits.replyTimeoutMs - reply.elapsedTime);
      const timer = setTimeout(() => settle({ tag: "unanswered" }), leftMs);
      waiting.set(requestId, { reply, settle });
      emit({ type: "event/signalReceived", requestId, remoteAddress, envelope });
    });

  const busySockets = (): Socket[] => [...waiting.values()].map(({ reply }) => reply.request.socket);
  const forget = (socket: Socket): void => {
    for (const { reply, settle } of waiting.values()) {
      if (reply.request.socket === socket) settle({ tag: "gone" });
    }
  };
  const app = createApp(trustedProxies, (handler) =>
    createLimitedServer(handler, limits, busySockets, forget),
  );
  app.post(SIGNAL_PATH, async (request, reply) => {
    if (!isSignalContent(request.headers["content-type"])) return refuse(reply, 415);
    const body = await readEnvelope(request.raw);
    if (body === "tooLong") return refuse(reply, 413);
    const remoteAddress = clientAddress(request);
    if (body === "gone" || remoteAddress === undefined) return end(reply, { tag: "gone" });
    if (isClosing) return end(reply, { tag: "unanswered" });
    return end(reply, await ask(reply, remoteAddress, body));
  });
  const port = await listenOn(app, listen);
  return {
    port,
    reply: (requestId, reply) => waiting.get(requestId)?.settle(reply),
    close: async () => {
      isClosing = true;
      const flushed = [...waiting.values()].map(({ reply, settle }) => {
        const finished = new Promise((resolve) => reply.raw.once("finish", resolve).once("close", resolve));
        settle({ tag: "unanswered" });
        return finished;
      });
      await within(CLOSE_FLUSH_MS, Promise.all(flushed));
      await app.close();
    },
  };
}

function assertAddressOrRange(proxy: string): void {
  if (isIP(proxy) !== 0 || ipaddr.isValidCIDR(proxy)) return;
  throw new Error(`trusted proxy "${proxy}" is neither an IP address nor a range such as 10.0.0.0/8`);
}

/** Routes, CORS and errors: everything that does not depend on what is asked. */
function createApp(
  trustedProxies: readonly string[],
  serverFactory: (handler: RequestListener) => Server,
): FastifyInstance {
  const app = Fastify({
    serverFactory,
    trustProxy: trustedProxies.length > 0 && [...trustedProxies],
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    clientErrorHandler: answerClientError,
    frameworkErrors: (_error, _request, reply) => refuse(reply, 400),
  });
  // The handler reads bodies itself, since it counts while it reads.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", (_request, _payload, done) => done(null));
  app.addHook("onRequest", (request, reply, done) => {
    // Browsers dial too, from pages of any origin.
    if (isSignalPath(request)) {
      reply.headers({ "access-control-allow-origin": "*", "access-control-expose-headers": "retry-after" });
    }
    done();
  });
  app.addHook("onSend", (request, reply, _payload, done) => {
    discardBody(request.raw, reply.raw);
    done();
  });
  app.options(SIGNAL_PATH, (_request, reply) =>
    reply
      .code(204)
      .headers({
        "access-control-allow-methods": "POST",
        "access-control-allow-headers": "content-type",
        "access-control-max-age": "86400",
      })
      .send(),
  );
  app.setNotFoundHandler((request, reply) =>
    isSignalPath(request) ? refuse(reply.header("allow", "POST, OPTIONS"), 405) : refuse(reply, 404),
  );
  app.setErrorHandler((error, _request, reply) => refuse(reply, statusOf(error)));
  return app;
}

const isSignalPath = ({ url }: FastifyRequest): boolean => url.split("?", 1)[0] === SIGNAL_PATH;

const statusOf = (error: unknown): number =>
  error instanceof Error && "statusCode" in error && error.statusCode === 415 ? 415 : 500;

/**
 * The address of the client: the socket's, or behind trusted proxies the last hop that is none of them. If that
 * one is no IP literal, the proxy that passed it on stands for it.
 */
const clientAddress = (request: FastifyRequest): string | undefined =>
  (request.ips ?? [request.socket.remoteAddress]).map(ipLiteral).findLast((address) => address !== undefined);

function end(reply: FastifyReply, ending: Ending): FastifyReply {
  switch (ending.tag) {
    case "envelope":
      return reply.type(SIGNAL_CONTENT_TYPE).send(Buffer.from(ending.envelope));
    case "undecodable":
      return refuse(reply, 400);
    case "rateLimited":
      return refuse(reply, 429, ending.retryAfterS);
    case "halfOpenFull":
      return refuse(reply, 503, ending.retryAfterS);
    case "unanswered":
      return refuse(reply, 503, RETRY_AFTER_MIN_S);
    case "gone":
      return reply.hijack();
  }
}

/** The status in words is all that a client learns. */
function refuse(reply: FastifyReply, status: number, retryAfterS?: number): FastifyReply {
  if (retryAfterS !== undefined) reply.header("retry-after", clampRetryAfterS(retryAfterS));
  return reply.code(status).type("text/plain; charset=utf-8").send(`${STATUS_CODES[status]}\n`);
}

async function listenOn(app: FastifyInstance, { host, port }: ListenAddress): Promise<number> {
  try {
    await app.listen({ host, port });
  } catch (error) {
    await app.close();
    throw new Error(explainListen(host, port, codeOf(error)), { cause: error });
  }
  const address = app.server.address();
  return typeof address === "object" && address !== null ? address.port : port;
}

function explainListen(host: string, port: number, code: string): string {
  const explanations: Readonly<Record<string, string>> = {
    EADDRINUSE: `port ${port} on ${host} is in use; stop the other process or choose another with --listen`,
    EACCES: `port ${port} on ${host} is reserved for the superuser; choose one above 1023 with --listen`,
    EADDRNOTAVAIL: `${host} (port ${port}) is not an address of this machine; choose another with --listen`,
    ENOTFOUND: `${host} (port ${port}) is not a known host; give an IP address of this machine with --listen`,
  };
  return (
    explanations[code] ?? `cannot listen on port ${port} of ${host} (${code}); choose another with --listen`
  );
}

async function within(timeoutMs: number, done: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  await Promise.race([done, late]);
  clearTimeout(timer);
}
