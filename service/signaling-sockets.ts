import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from "node:http";
import type { Socket } from "node:net";
import { addressGroup } from "../core/address.ts";
import { codeOf } from "./error-code.ts";
import { SIGNAL_GIVE_UP_MS } from "./signaling-http.ts";

export interface ServerLimits {
  /** From the head of a request to its answer. */
  readonly replyTimeoutMs: number;
  /** From the first byte of a request, or from the opening of the connection, to the end of its head. */
  readonly headTimeoutMs: number;
  /** From the first byte of a request to the last of its body. */
  readonly requestTimeoutMs: number;
  /** How often the two time-outs above are looked at: by this much a request may exceed them. */
  readonly checkIntervalMs: number;
  /** Between two requests on a connection. */
  readonly idleTimeoutMs: number;
  readonly socketsMax: number;
  readonly requestsPerSocketMax: number;
}

export const DEFAULT_LIMITS: ServerLimits = {
  replyTimeoutMs: SIGNAL_GIVE_UP_MS,
  headTimeoutMs: 5_000,
  // With the interval a body is cut after the 10 s of 3.1.
  requestTimeoutMs: 9_500,
  checkIntervalMs: 500,
  idleTimeoutMs: 5_000,
  // Four times the half-open connections (3.2): what is beyond those is refused at once.
  socketsMax: 256,
  // Pipelined requests are handled side by side; no dialer needs more than a few.
  requestsPerSocketMax: 16,
};

/**
 * An HTTP server that no client can hold for longer, or more of, than the limits say. A socket is busy while a
 * request of it is before the core.
 */
export function createLimitedServer(
  handler: RequestListener,
  limits: ServerLimits,
  busySockets: () => readonly Socket[],
  onGone: (socket: Socket) => void,
): Server {
  const server = createServer(
    {
      headersTimeout: limits.headTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      connectionsCheckingInterval: limits.checkIntervalMs,
      keepAliveTimeout: limits.idleTimeoutMs,
    },
    handler,
  );
  server.maxRequestsPerSocket = limits.requestsPerSocketMax;
  // While the core thinks, nothing moves on the socket; afterwards this cuts clients that do not read.
  server.timeout = limits.replyTimeoutMs + limits.idleTimeoutMs;
  const crowd = createCrowd();
  server.on("connection", (socket: Socket) => {
    const leave = crowd.enter(socket);
    socket.once("close", () => {
      leave();
      onGone(socket);
    });
    if (crowd.size() > limits.socketsMax) crowd.makeRoom(new Set(busySockets()));
  });
  return server;
}

/**
 * For an answer that precedes the end of the body. If the socket were closed now, the system would reset it for the
 * bytes still under way, and the client would see the reset instead of the answer. So it stays open, whatever the
 * client asked for, until the body has ended, is cut for its time, or has become too much.
 */
export function discardBody(raw: IncomingMessage, response: ServerResponse): void {
  if (!hasBody(raw) || raw.readableEnded) return;
  const isLast = !response.shouldKeepAlive;
  let left = DISCARDED_BYTES_MAX;
  response.setHeader("connection", "keep-alive");
  raw.on("data", (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) raw.socket.destroy();
  });
  raw.once("end", () => {
    if (isLast) raw.socket.destroySoon();
  });
}

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;

/** What cannot be parsed, or does not come in time, ends the connection; what was answered before stays readable. */
export function answerClientError(error: Error, socket: Socket): void {
  if (socket.writable && socket.bytesWritten === 0) {
    const status = CLIENT_ERRORS[codeOf(error)] ?? 400;
    const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}`;
    socket.write(`${head}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  }
  socket.destroySoon();
}

const CLIENT_ERRORS: Readonly<Record<string, number>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 408,
  HPE_HEADER_OVERFLOW: 431,
};

/** Of a refused body this much is still read, and thrown away. */
const DISCARDED_BYTES_MAX = 1_048_576;

/** The open connections, by the group of their address. */
interface Crowd {
  size(): number;
  /** @returns what ends its stay, any number of times */
  enter(socket: Socket): () => void;
  /**
   * Ends the oldest connection that is not busy, of the group that has the most. So a flood crowds out itself, slow or
   * silent: if new connections were refused instead, or the oldest of all were ended, it would crowd out the others.
   */
  makeRoom(busy: ReadonlySet<Socket>): void;
}

function createCrowd(): Crowd {
  /** Oldest first, groups as well as their sockets. */
  const groups = new Map<string, Set<Socket>>();
  let size = 0;

  function leave(group: string, socket: Socket): void {
    const sockets = groups.get(group);
    if (sockets?.delete(socket) !== true) return;
    size -= 1;
    if (sockets.size === 0) groups.delete(group);
  }

  return {
    size: () => size,
    enter: (socket) => {
      const group = addressGroup(socket.remoteAddress ?? "");
      groups.set(group, (groups.get(group) ?? new Set()).add(socket));
      size += 1;
      return () => leave(group, socket);
    },
    makeRoom: (busy) => {
      let chosen: { readonly group: string; readonly socket: Socket; readonly among: number } | undefined;
      for (const [group, sockets] of groups) {
        if (sockets.size <= (chosen?.among ?? 0)) continue;
        const socket = oldestIdle(sockets, busy);
        if (socket !== undefined) chosen = { group, socket, among: sockets.size };
      }
      if (chosen === undefined) return;
      // Its close event comes later; until then others must not take it for open.
      leave(chosen.group, chosen.socket);
      chosen.socket.destroy();
    },
  };
}

function oldestIdle(sockets: ReadonlySet<Socket>, busy: ReadonlySet<Socket>): Socket | undefined {
  for (const socket of sockets) if (!busy.has(socket)) return socket;
  return undefined;
}
