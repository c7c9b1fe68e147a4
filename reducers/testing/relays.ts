import type { DiscoveryMessage } from "../../core/channels/discovery.ts";
import type { ExchangeMessage } from "../../core/channels/exchange.ts";
import type { Effect } from "../../core/effects.ts";
import type { Config } from "../../core/state.ts";
import { brokenInvariants } from "../invariants.ts";
import { discovery, exchange, say } from "./messages.ts";
import { party, type TestNode, testNode } from "./node.ts";
import { readyPeer, type TestPeer } from "./peers.ts";
import { effectOf, type Result, sentOn } from "./results.ts";
import { continueDial, envelopeAround } from "./signals.ts";

// Dialers, relays and listeners of 7.1 and 7.2, as the node under test meets them.

/** A node whose invariants are looked at after every input. */
export const relayNode = (changes: Partial<Config> = {}): TestNode =>
  testNode(changes, "us", (input, { state }) => {
    const broken = brokenInvariants(state);
    if (broken.length > 0) throw new Error(`after ${input.type}: ${broken.join("; ")}`);
  });

/** Live peers in addresses of their own. */
export const peersNamed = (node: TestNode, names: readonly string[]): readonly TestPeer[] =>
  names.map((name, index) => readyPeer(node, name, { remoteAddress: `20.${index}.0.1` }));

export const onDiscovery = (node: TestNode, { attemptId }: TestPeer, message: DiscoveryMessage): Result =>
  say(node, attemptId, discovery(message));

export const onExchange = (node: TestNode, { attemptId }: TestPeer, message: ExchangeMessage): Result =>
  say(node, attemptId, exchange(message));

/** The relay names somebody, who takes our offer: the transport comes next. */
export function takenOffer(node: TestNode, relay: TestPeer, name: string) {
  const who = party(name);
  const { effects } = onDiscovery(node, relay, { tag: "discovered", target: who.publicKey });
  const { attemptId } = effectOf(effects, "effect/createOffer");
  const sealed = continueDial(node, attemptId, effects, "awaitingReply");
  continueDial(node, attemptId, onDiscovery(node, relay, { tag: "answer", reply: ENVELOPE }).effects);
  return { ...who, attemptId, sealed };
}

/** What was said to a peer on the two channels. */
export const relayed = (
  effects: readonly Effect[],
  { attemptId }: TestPeer,
): readonly (DiscoveryMessage | ExchangeMessage)[] =>
  sentOn(effects, attemptId).flatMap(({ channel, message }) =>
    channel === "signaling/discovery" || channel === "signaling/exchange" ? [message] : [],
  );

export const tagsTo = (effects: readonly Effect[], peer: TestPeer): readonly string[] =>
  relayed(effects, peer).map(({ tag }) => tag);

/** Whose content means nothing to the node that carries it. */
export const ENVELOPE = envelopeAround(Uint8Array.of(1, 2, 3));
export const OTHER_ENVELOPE = envelopeAround(Uint8Array.of(4, 5));
