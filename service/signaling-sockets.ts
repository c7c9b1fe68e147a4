import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from "node:http";
import type { Socket } from "node:net";
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
  const open = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    open.add(socket);
    socket.once("close", () => {
      open.delete(socket);
      onGone(socket);
    });
    if (open.size > limits.socketsMax) makeRoom(open, new Set(busySockets()));
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

/**
 * Ends the oldest connection that is not busy. Honest requests take milliseconds to arrive, so a flood of slow ones
 * crowds out itself; if new connections were refused instead, it would crowd out the others.
 */
function makeRoom(open: Set<Socket>, busy: ReadonlySet<Socket>): void {
  for (const socket of open) {
    if (!busy.has(socket)) {
      // Its close event comes later; until then others must not take it for open.
      open.delete(socket);
      socket.destroy();
      return;
    }
  }
}
