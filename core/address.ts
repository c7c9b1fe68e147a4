import ipaddr from "ipaddr.js";

/** What an IP literal is good for. `unusable`: multicast, documentation, addresses that embed others, and so on. */
export type Reach = "public" | "local" | "unusable";

const LOCAL_RANGES: readonly string[] = [
  "loopback",
  "private",
  "uniqueLocal",
  "linkLocal",
  "carrierGradeNat",
];

const IPV4_GROUP_BITS = 24;
const IPV6_GROUP_BITS = 56;

/** The reach of an address, or undefined if the text is no IP literal: names are never resolved. */
export function reachOf(text: string): Reach | undefined {
  const address = parseIp(text);
  if (address === undefined) return undefined;
  const range = address.range();
  if (range === "unicast") return "public";
  return LOCAL_RANGES.includes(range) ? "local" : "unusable";
}

export const isLocalAddress = (text: string): boolean => reachOf(text) === "local";

export const isLoopback = (text: string): boolean => parseIp(text)?.range() === "loopback";

/** The /24 or /56 that shares one budget (3.2), in canonical text; the text itself if it is no IP literal. */
export function addressGroup(text: string): string {
  const address = parseIp(text);
  if (address === undefined) return text;
  const bits = address.kind() === "ipv4" ? IPV4_GROUP_BITS : IPV6_GROUP_BITS;
  const masked = address
    .toByteArray()
    .map((byte, index) => byte & (0xff << Math.min(8, Math.max(0, 8 * (index + 1) - bits))) & 0xff);
  return `${ipaddr.fromByteArray(masked).toString()}/${bits}`;
}

/** Where somebody is reached, and the group that it is judged by: found out once. */
export interface Place {
  readonly address: string;
  readonly group: string;
}

export const placeAt = (address: string): Place => ({ address, group: addressGroup(address) });

/** One text for all spellings of an address; the text itself if it is no IP literal. */
export const canonicalAddress = (text: string): string => parseIp(text)?.toString() ?? text;

/** @returns the canonical text of a group that is written out, `20.30.40.0/24`; undefined for anything else */
export function parseGroup(text: string): string | undefined {
  const [base = "", bits, ...others] = text.split("/");
  const address = parseIp(base);
  if (address === undefined || bits === undefined || others.length > 0) return undefined;
  return `${address.toString()}/${bits}` === addressGroup(base) ? addressGroup(base) : undefined;
}

/** Four decimal parts or a full IPv6 literal, nothing shorter; IPv4-mapped addresses are IPv4. */
function parseIp(text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  if (!ipaddr.IPv4.isValidFourPartDecimal(text) && !ipaddr.IPv6.isValid(text)) return undefined;
  return ipaddr.process(text);
}
