import { isIP } from "node:net";
import { isLoopback } from "../core/address.ts";
import type { Hex } from "../core/bytes.ts";
import type { PeerId } from "../core/ids.ts";
import { PEERS_MAX_DEFAULT, TRANSACTION_CAPACITY_DEFAULT } from "../core/limits.ts";
import { type DialAddress, formatMultiaddr, type HostKind } from "../core/multiaddr.ts";
import { type AdmissionLimits, type Config, DEFAULT_ADMISSION } from "../core/state.ts";
import type { EmbeddedChain } from "./chain/chain.ts";
import { TEST_ACCOUNTS } from "./chain/genesis.ts";
import { USER_AGENT } from "./version.ts";

/** What a node is told at its start, except its key. */
export interface NodeSettings {
  /** Where offers are answered; null for a node that only dials. Port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number } | null;
  readonly peers: readonly DialAddress[];
  readonly peersMax: number;
  /** With fewer it asks its peers for others. */
  readonly peersMin: number;
  /** What all connections may send together, in messages; null: no limit. */
  readonly uploadBytesPerSecond: number | null;
  readonly admission: AdmissionLimits;
  readonly trustedProxies: readonly string[];
  /** Transactions the pool holds at most. */
  readonly capacity: number;
  /** Duration of a slot, ms. Nodes that do not agree on it are on different chains. */
  readonly slotMs: number;
  /** Start of slot 0, ms since the Unix epoch. Nodes that do not agree on it are on different chains. */
  readonly genesisMs: number;
  /** The test account that makes blocks; null: this node makes none. */
  readonly produce: AccountChoice | null;
  /** What this node asks for each piece of SNARK work; null: it makes none. */
  readonly workFee: bigint | null;
  /** A directory of its own for what is streamed to this node; null: that is kept in memory. */
  readonly streams: string | null;
  /** The file in which bans are kept; null: they end with the process. */
  readonly bans: string | null;
  /** The file in which addresses of others are kept; null: they are forgotten with the process. */
  readonly addresses: string | null;
  /** A new directory for the recording of this run. */
  readonly record: string | null;
}

/** A test account by its number, or the one derived from the peer id. */
export type AccountChoice = number | "drawn";

/** A node that listens nowhere, and what the protocol says of the rest. */
export const DEFAULT_SETTINGS: NodeSettings = {
  listen: null,
  peers: [],
  peersMax: PEERS_MAX_DEFAULT,
  peersMin: PEERS_MAX_DEFAULT / 2,
  uploadBytesPerSecond: null,
  admission: DEFAULT_ADMISSION,
  trustedProxies: [],
  capacity: TRANSACTION_CAPACITY_DEFAULT,
  slotMs: 3_000,
  genesisMs: Date.UTC(2026, 0, 1),
  produce: null,
  workFee: null,
  streams: null,
  bans: null,
  addresses: null,
  record: null,
};

/** `--admission-per-ip N` (3.2): a burst of N per IP and per group, N/16 per second, N/2 half-open per group. */
export const admissionPerIp = (burst: number): AdmissionLimits => ({
  ...DEFAULT_ADMISSION,
  ip: { burst, perSecond: burst / 16 },
  group: { burst, perSecond: burst / 16 },
  halfOpenPerGroupMax: Math.max(1, Math.floor(burst / 2)),
});

/** The account that produces is the one that is paid for work, too. @returns null for a node that does neither */
export function accountNumber(
  { produce, workFee }: Pick<NodeSettings, "produce" | "workFee">,
  publicKey: Hex,
): number | null {
  if (produce === null && workFee === null) return null;
  if (typeof produce === "number") return produce;
  return Number.parseInt(publicKey.slice(0, ACCOUNT_DIGITS), 16) % TEST_ACCOUNTS;
}

export function configOf(
  { peersMax, peersMin, admission, capacity, produce, workFee }: NodeSettings,
  { peerId, publicKeyHex }: { readonly peerId: PeerId; readonly publicKeyHex: Hex },
  { chainId, parameters }: EmbeddedChain,
  listen: string | null,
): Config {
  return {
    peerId,
    publicKey: publicKeyHex,
    chainId,
    userAgent: USER_AGENT,
    listen,
    peersMax,
    peersMin,
    allowPrivateCandidates: false,
    admission,
    chain: parameters,
    capacity,
    produces: produce !== null,
    workFee,
  };
}

/** A node that is reached over loopback talks over loopback: it then needs no other network. */
export function bindAddressOf({ listen, peers }: NodeSettings): string | undefined {
  const hosts = [...(listen === null ? [] : [listen.host]), ...peers.map(({ host }) => host)];
  const isLocal = hosts.length > 0 && hosts.every((host) => host === "localhost" || isLoopback(host));
  return isLocal ? LOOPBACK : undefined;
}

/** A wildcard is no address others can dial: they are told the loopback one, and the operator knows the rest. */
export function listenAddress(
  listen: NodeSettings["listen"],
  port: number | null,
  peerId: PeerId,
): string | null {
  if (listen === null || port === null) return null;
  const host =
    listen.host === "0.0.0.0" || listen.host === "localhost"
      ? LOOPBACK
      : listen.host === "::"
        ? "::1"
        : listen.host;
  return formatMultiaddr({
    scheme: "http",
    hostKind: HOST_KINDS[isIP(host)] ?? "dns",
    host,
    port,
    peerId,
  });
}

const LOOPBACK = "127.0.0.1";
const HOST_KINDS: Readonly<Record<number, HostKind>> = { 4: "ip4", 6: "ip6" };
/** 32 bits of a key are as random as all of it. */
const ACCOUNT_DIGITS = 8;
