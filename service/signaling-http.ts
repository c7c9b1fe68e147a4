import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import ipaddr from "ipaddr.js";
import {
  ENVELOPE_BYTES_MAX,
  RETRY_AFTER_MAX_S,
  RETRY_AFTER_MIN_S,
  SIGNAL_REPLY_TIMEOUT_MS,
} from "../core/limits.ts";

// What both ends of a signaling request agree on (3.1).
export const SIGNAL_PATH = "/pollen/1/signal";
export const SIGNAL_CONTENT_TYPE = "application/octet-stream";

/** Either end gives up this much before SIGNAL_REPLY_TIMEOUT_MS, so that its answer or event is still in time. */
export const SIGNAL_GIVE_UP_MS = SIGNAL_REPLY_TIMEOUT_MS - 500;

/** True for the content type of signals, in any case and with any parameters. */
export const isSignalContent = (contentType: string | undefined): boolean =>
  contentType?.split(";", 1)[0]?.trim().toLowerCase() === SIGNAL_CONTENT_TYPE;

/**
 * The body of a request or response. It is copied into one piece of memory as it comes: thousands of chunks of one
 * byte each would cost far more than their bytes. "gone": the other side left, or was cut, before the end.
 */
export function readEnvelope(message: IncomingMessage): Promise<Uint8Array | "tooLong" | "gone"> {
  const announced = Number(message.headers["content-length"] ?? 0);
  if (announced > ENVELOPE_BYTES_MAX) return Promise.resolve("tooLong");
  return new Promise((resolve) => {
    // The parser takes no more than was announced, if anything was.
    const bytes = new Uint8Array(announced > 0 ? announced : ENVELOPE_BYTES_MAX);
    let length = 0;
    const take = (chunk: Buffer): void => {
      if (length + chunk.length > bytes.length) {
        message.off("data", take);
        resolve("tooLong");
        return;
      }
      bytes.set(chunk, length);
      length += chunk.length;
    };
    message.on("data", take);
    message.once("end", () => resolve(bytes.slice(0, length)));
    message.once("error", () => resolve("gone"));
    message.once("close", () => resolve("gone"));
  });
}

/**
 * The canonical text of an IP literal: IPv4 mapped into IPv6 becomes IPv4, and a zone is dropped, as it means
 * something on this machine only. Undefined for everything else.
 */
export function ipLiteral(address: string | undefined): string | undefined {
  const [literal = ""] = (address ?? "").split("%", 1);
  return isIP(literal) === 0 ? undefined : ipaddr.process(literal).toString();
}

/** Whole seconds within the bounds of a Retry-After. */
export const clampRetryAfterS = (seconds: number): number =>
  Math.min(Math.max(Math.ceil(seconds), RETRY_AFTER_MIN_S), RETRY_AFTER_MAX_S);
