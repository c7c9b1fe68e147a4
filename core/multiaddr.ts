import { type Component, multiaddr } from "@multiformats/multiaddr";
import { parsePeerId } from "./identity.ts";
import type { PeerId } from "./ids.ts";
import { ADDRESS_BYTES_MAX } from "./limits.ts";

/** Where, and by whom, an offer is answered over HTTP (section 2). */
export interface DialAddress {
  readonly scheme: "http" | "https";
  readonly hostKind: HostKind;
  readonly host: string;
  readonly port: number;
  readonly peerId: PeerId;
}

const HOST_KINDS = ["ip4", "ip6", "dns", "dns4", "dns6"] as const;
export type HostKind = (typeof HOST_KINDS)[number];

export type ParsedAddress =
  | { readonly tag: "address"; readonly address: DialAddress }
  | { readonly tag: "malformed"; readonly detail: string };

/** The library takes any text for a name; a URL or a log line made of it must not be able to mean anything else. */
const HOST_NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]*$/;

const EXPECTED = "expected /ip4|ip6|dns|dns4|dns6/HOST/tcp/PORT/http|https/p2p/PEER-ID";

/** Parses a dial address of a user or a peer. The detail says what is wrong and what is expected. */
export function parseMultiaddr(text: string): ParsedAddress {
  if (text.length > ADDRESS_BYTES_MAX) return malformed(`is longer than ${ADDRESS_BYTES_MAX} characters`);
  const components = componentsOf(text);
  if (components === undefined) return malformed(`is not a multiaddr; ${EXPECTED}`);
  if (components.some(({ name }) => name === "p2p-circuit")) {
    return malformed("is a relay address; this version dials over HTTP only");
  }
  const [host, tcp, scheme, p2p, ...rest] = components;
  const hostKind = HOST_KINDS.find((kind) => kind === host?.name);
  const schemeName = scheme?.name;
  if (hostKind === undefined || tcp?.name !== "tcp" || p2p?.name !== "p2p" || rest.length > 0) {
    return malformed(EXPECTED);
  }
  if (schemeName !== "http" && schemeName !== "https") return malformed(EXPECTED);
  const port = Number(tcp.value);
  if (!(port >= 1 && port <= 65_535)) return malformed("has port 0");
  if (hostKind.startsWith("dns") && !HOST_NAME.test(host?.value ?? ""))
    return malformed("has no valid host name");
  const peerId = parsePeerId(p2p.value ?? "");
  if (peerId === undefined) return malformed("does not end in the peer id of an ed25519 key (12D3KooW...)");
  return { tag: "address", address: { scheme: schemeName, hostKind, host: host?.value ?? "", port, peerId } };
}

export const formatMultiaddr = ({ scheme, hostKind, host, port, peerId }: DialAddress): string =>
  `/${hostKind}/${host}/tcp/${port}/${scheme}/p2p/${peerId}`;

const malformed = (detail: string): ParsedAddress => ({ tag: "malformed", detail });

/** The library throws several kinds of error for malformed text; all mean the same here. */
function componentsOf(text: string): readonly Component[] | undefined {
  try {
    return multiaddr(text).getComponents();
  } catch {
    return undefined;
  }
}
