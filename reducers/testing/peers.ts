import { assert } from "../../core/assert.ts";
import { CHANNEL_BITS, CHANNEL_NAMES, CHANNELS, type ChannelName } from "../../core/channels/table.ts";
import { peerPublicKey } from "../../core/identity.ts";
import type { AttemptId, PeerId } from "../../core/ids.ts";
import { control, say } from "./messages.ts";
import { type Party, party, type TestNode } from "./node.ts";
import type { Result } from "./results.ts";
import { dialTo, FINGERPRINT, type OfferOptions, offerFrom, PUBLIC_IP } from "./signals.ts";

// From an attempt that connects to a ready peer, and to its end (section 4).

export interface TestPeer extends Party {
  readonly attemptId: AttemptId;
}

export interface PeerOptions extends OfferOptions {
  /** Of its Hello. */
  readonly channels?: number;
  /** Where the transport finds it. */
  readonly selected?: string;
}

/** Bits of all channels but these. */
export const channelsWithout = (...names: readonly ChannelName[]): number =>
  names.reduce((bits, name) => bits & ~(1 << CHANNELS[name].id), CHANNEL_BITS);

/** A peer that announces no tips has an open gate (7.4): what is between it and its infos is only the permit. */
export const WITHOUT_TIPS: PeerOptions = { channels: channelsWithout("best-tip") };

/** Where the transport finds a peer: no two keys share an address group, unless a test says so. */
export function ownAddress(peerId: PeerId | null): string {
  if (peerId === null) return PUBLIC_IP;
  const [high, low] = [0, 2].map((at) => Number.parseInt(peerPublicKey(peerId).slice(at, at + 2), 16));
  return `50.${high}.${low}.7`;
}

/** The transport of an attempt in `connecting` is up and these channels are open. */
export function openTransport(
  node: TestNode,
  attemptId: AttemptId,
  channels: readonly ChannelName[] = CHANNEL_NAMES,
  remoteAddress: string = ownAddress(node.state.attempts.get(attemptId)?.peerId ?? null),
): void {
  node.feed({ type: "event/connected", attemptId, fingerprint: FINGERPRINT, remoteAddress });
  for (const channel of channels) node.feed({ type: "event/channelOpened", attemptId, channel });
}

export function sayHello(node: TestNode, attemptId: AttemptId, channels: number = CHANNEL_BITS): Result {
  const session = node.state.attempts.get(attemptId)?.session ?? "";
  return say(node, attemptId, control({ tag: "hello", version: 1, session, userAgent: "peer", channels }));
}

/** A live peer that dialed us. */
export const readyPeer = (node: TestNode, name: string, options: PeerOptions = {}): TestPeer =>
  connect(node, offerFrom(node, party(name), options), options);

/** A live peer that we dialed. */
export const dialedPeer = (node: TestNode, name: string, options: PeerOptions = {}): TestPeer =>
  connect(node, dialTo(node, party(name)), options);

function connect(
  node: TestNode,
  { attemptId, publicKey, peerId }: TestPeer,
  { channels, selected }: PeerOptions,
): TestPeer {
  openTransport(node, attemptId, CHANNEL_NAMES, selected);
  sayHello(node, attemptId, channels);
  assert(node.state.peers.get(peerId)?.live?.attemptId === attemptId, "the peer is ready");
  return { attemptId, publicKey, peerId };
}

export const liveOf = (node: TestNode, { peerId }: Party) => node.state.peers.get(peerId)?.live ?? undefined;

export const closeTransport = (node: TestNode, attemptId: AttemptId): Result =>
  node.feed({ type: "event/connectionClosed", attemptId, error: null });
