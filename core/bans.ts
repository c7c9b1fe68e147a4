import { addressGroup, parseGroup, reachOf } from "./address.ts";
import { parsePeerId } from "./identity.ts";
import type { PeerId } from "./ids.ts";
import type { Reason } from "./reasons.ts";

/** Who is shut out: one key, or whoever comes from an address group. */
export type BanSubject =
  | { readonly tag: "key"; readonly peerId: PeerId }
  | { readonly tag: "group"; readonly group: string };

export interface Ban {
  readonly subject: BanSubject;
  /** FOREVER_MS: it does not end. */
  readonly untilMs: number;
  /** The violation, or `operator`. */
  readonly reason: Reason;
}

/** Later than any time: a number, so that it compares like one. */
export const FOREVER_MS = Number.MAX_SAFE_INTEGER;

/** How operators and files write it: the peer id, or the group as `20.30.40.0/24`. */
export const formatSubject = (subject: BanSubject): string =>
  subject.tag === "key" ? subject.peerId : subject.group;

export function parseSubject(
  text: string,
): BanSubject | { readonly tag: "malformed"; readonly detail: string } {
  const peerId = parsePeerId(text);
  if (peerId !== undefined) return { tag: "key", peerId };
  const group = parseGroup(text);
  if (group !== undefined) return { tag: "group", group };
  const [address = ""] = text.split("/", 1);
  const detail =
    reachOf(address) === undefined
      ? "expected a peer id (12D3KooW...) or an address group such as 20.30.40.0/24"
      : `address groups are IPv4 /24 and IPv6 /56: that would be ${addressGroup(address)}`;
  return { tag: "malformed", detail };
}

/** What remains of a ban, in ms, as far as the 32 bits of the wire can say it. */
export const remainingMs = (untilMs: number, timeMs: number): number =>
  Math.min(U32_MAX, Math.max(0, untilMs - timeMs));

const U32_MAX = 2 ** 32 - 1;
