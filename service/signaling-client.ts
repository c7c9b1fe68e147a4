import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import type { SignalingEvent } from "../core/actions.ts";
import type { AttemptId } from "../core/ids.ts";
import { ENVELOPE_BYTES_MAX } from "../core/limits.ts";
import type { DialAddress } from "../core/multiaddr.ts";
import type { SignalOutcome } from "../core/services.ts";
import { codeOf } from "./error-code.ts";
import {
  clampRetryAfterS,
  ipLiteral,
  isSignalContent,
  readEnvelope,
  SIGNAL_CONTENT_TYPE,
  SIGNAL_GIVE_UP_MS,
  SIGNAL_PATH,
} from "./signaling-http.ts";

export interface SignalingClientOptions {
  readonly emit: (event: SignalingEvent) => void;
  readonly postTimeoutMs?: number | undefined;
}

export interface SignalingClient {
  post(attemptId: AttemptId, address: DialAddress, envelope: Uint8Array): void;
  /** Fails all open posts, and every later one. */
  close(): void;
}

/** Posts offers. Every post ends in exactly one `event/signalAnswered`, whatever the other side does. */
export function createSignalingClient({ emit, postTimeoutMs }: SignalingClientOptions): SignalingClient {
  const timeoutMs = postTimeoutMs ?? SIGNAL_GIVE_UP_MS;
  const open = new Set<(outcome: SignalOutcome) => void>();
  let isClosed = false;
  return {
    post: (attemptId, address, envelope) => {
      let timer: NodeJS.Timeout | undefined;
      let abandon = (): void => {};
      const settle = (outcome: SignalOutcome): void => {
        if (!open.delete(settle)) return;
        clearTimeout(timer);
        abandon();
        emit({ type: "event/signalAnswered", attemptId, outcome });
      };
      open.add(settle);
      if (isClosed) {
        settle(failed("the node is stopping"));
        return;
      }
      timer = setTimeout(() => settle(failed(`no answer within ${timeoutMs / 1_000} s`)), timeoutMs);
      try {
        abandon = send(address, envelope, settle);
      } catch (error) {
        settle(failed(explain(error)));
      }
    },
    close: () => {
      isClosed = true;
      for (const settle of open) settle(failed("the node is stopping"));
    },
  };
}

/** Starts the request; `settle` may be called more than once. Returns what ends the request at any time. */
function send(
  { scheme, hostKind, host, port }: DialAddress,
  envelope: Uint8Array,
  settle: (outcome: SignalOutcome) => void,
): () => void {
  const request = (scheme === "https" ? httpsRequest : httpRequest)({
    method: "POST",
    host,
    port,
    path: SIGNAL_PATH,
    // The name is resolved to the family that the address names; `dns` leaves the choice to the system.
    family: { ip4: 4, ip6: 6, dns: 0, dns4: 4, dns6: 6 }[hostKind],
    // One connection per post, so that a pool of open ones need not be bounded.
    agent: false,
    headers: {
      "content-type": SIGNAL_CONTENT_TYPE,
      "content-length": envelope.length,
      accept: SIGNAL_CONTENT_TYPE,
    },
  });
  request.on("error", (error) => settle(failed(explain(error))));
  // Closed without an error: as after an upgrade to another protocol.
  const closed = (): void => settle(failed(INCOMPLETE));
  request.on("close", closed);
  let remoteAddress: string | undefined;
  request.on("socket", (socket) =>
    socket.once("connect", () => {
      // Asked early: a socket that was reset no longer knows it.
      remoteAddress = ipLiteral(socket.remoteAddress);
    }),
  );
  request.on("response", (response) => {
    // From here on the response says how it ends, possibly later than the request.
    request.off("close", closed);
    response.on("error", (error) => settle(failed(explain(error))));
    const early = refusalOf(response);
    if (early !== null) settle(early);
    else if (remoteAddress === undefined) settle(failed("the address of the listener is unknown"));
    else void receive(response, remoteAddress).then(settle);
  });
  request.end(envelope);
  return () => request.destroy();
}

/** The outcome of a response that holds no envelope, whatever its body says; null if it may hold one. */
function refusalOf(response: IncomingMessage): SignalOutcome | null {
  const status = response.statusCode ?? 0;
  if (status >= 400) return { tag: "refused", status, retryAfterS: retryAfterOf(response) };
  if (status >= 300) return failed("the listener redirects, which signaling does not follow");
  if (status !== 200) return failed(`the listener answered with status ${status}`);
  const isSignal = isSignalContent(response.headers["content-type"]);
  return isSignal ? null : failed(`the answer is not of type ${SIGNAL_CONTENT_TYPE}`);
}

async function receive(response: IncomingMessage, remoteAddress: string): Promise<SignalOutcome> {
  const envelope = await readEnvelope(response);
  if (envelope === "tooLong") return failed(`the answer is longer than ${ENVELOPE_BYTES_MAX} bytes`);
  if (envelope === "gone") return failed(INCOMPLETE);
  return { tag: "envelope", envelope, remoteAddress };
}

/** The other form of Retry-After, a date, would need both clocks to agree. */
function retryAfterOf({ headers }: IncomingMessage): number | null {
  const text = headers["retry-after"];
  if (text === undefined || !/^\d+$/.test(text)) return null;
  return clampRetryAfterS(Number(text));
}

const failed = (error: string): SignalOutcome => ({ tag: "failed", error });

const INCOMPLETE = "the listener closed the connection before its answer was complete";

const EXPLANATIONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused: nothing listens there",
  ECONNRESET: INCOMPLETE,
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "no route to the network",
  ENOTFOUND: "the host name does not exist",
  EAI_AGAIN: "the host name cannot be resolved at the moment",
  ETIMEDOUT: "no connection within the system's time limit",
  EPROTO: "the listener does not speak TLS",
};
/** The text ends up in logs and recordings. */
const ERROR_CHARACTERS_MAX = 200;

function explain(error: unknown): string {
  const code = codeOf(error);
  if (code.startsWith("HPE_")) return "the answer is not HTTP";
  const message = error instanceof Error ? `${code}: ${error.message}` : code;
  return EXPLANATIONS[code] ?? message.slice(0, ERROR_CHARACTERS_MAX);
}
