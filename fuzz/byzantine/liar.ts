import { sha256 } from "@noble/hashes/sha2.js";
import type { Event } from "../../core/actions.ts";
import { ascii, concatBytes, toHex } from "../../core/bytes.ts";
import { itemHash } from "../../core/hash.ts";
import type { AttemptId, Hash } from "../../core/ids.ts";
import type { Rejection } from "../../core/reasons.ts";
import type { Crypto, Services, Transport } from "../../core/services.ts";
import { createChain, DEFAULT_CHAIN, type SimChain } from "../sim-chain.ts";
import { createCrypto } from "../sim-crypto.ts";
import type { Host, Later } from "../sim-host.ts";
import { encodeTransaction } from "../sim-items.ts";
import { createNode, type SimNode } from "../sim-node.ts";
import type { ChainHost } from "../sim-parts.ts";
import { createRandom } from "../sim-random.ts";
import { createStreams } from "../sim-streams.ts";
import type { Cluster } from "../simulator.ts";
import type { Behaviour, Liar } from "./behaviour.ts";
import { type OpenLine, openLine } from "./line.ts";

/** The process of a liar, in the place of the cluster's node of this index. */
export interface LiarProcess extends Liar {
  readonly behaviours: readonly Behaviour[];
  readonly rejections: readonly Rejection[];
  readonly notes: ReadonlyMap<string, number>;
  readonly dial: (to: number) => void;
  readonly leave: () => void;
}

export interface LiarOptions {
  readonly index: number;
  readonly seed: number;
  readonly behaviours: readonly Behaviour[];
  /** How far its clock is ahead, ms. */
  readonly skewMs?: number;
}

const SERVICE_MS = [0, 3] as const;
/** A signal lie is posted when the sound connection is there, which it must not harm. */
const POSTS_AFTER_MS = [2_000, 6_000] as const;

/**
 * Takes the place of a node of the cluster: its own process ends before it has said anything, and another with the same
 * key and address begins, which is no part of the cluster. So whoever looks at the living nodes sees the honest ones.
 */
export function createLiar(
  cluster: Cluster,
  { index, seed, behaviours, skewMs = 0 }: LiarOptions,
): LiarProcess {
  const { clock, network, vault, web } = cluster;
  const { config } = cluster.node(index).state;
  cluster.kill(index);
  const identity = cluster.identity(index);
  const random = createRandom(seed);
  const lines = new Map<AttemptId, OpenLine>();
  const notes = new Map<string, number>();
  const rejections: Rejection[] = [];
  let chain: SimChain | undefined;
  let transport: Transport | undefined;
  let heard: Host | undefined;

  const later: Later = (run) =>
    clock.after(random.between(...SERVICE_MS), () => (node.isAlive() ? run() : undefined));

  const node: SimNode = createNode({
    index,
    life: 1,
    address: cluster.node(index).address,
    config,
    seed: toHex(sha256(ascii(`liar ${seed}`))),
    clock,
    skewMs,
    observer: {
      before: () => {},
      after: (_node, _input, { actions }) => {
        for (const action of actions) {
          if (action.type === "connection/ready") lineOf(action.attemptId)?.act();
        }
      },
    },
    services: (host, answer) => {
      const { address, isAlive, isFrozen } = host;
      heard = { index, life: 1, address, isAlive, isFrozen, give: hear };
      const raw = network.transportOf(heard);
      transport = raw;
      const chainHost: ChainHost = {
        node: index,
        publicKey: identity.publicKey,
        parameters: config.chain,
        nowMs: () => clock.nowMs,
        between: random.between,
        after: (delayMs, run) => clock.after(delayMs, () => (host.isAlive() ? run() : undefined)),
        later,
        give: host.give,
        received: (root) => streams.received(root),
      };
      const own = createChain(chainHost, { ...DEFAULT_CHAIN, isGullible: () => true });
      chain = own;
      const streams = createStreams(later, host.give, own.provide);
      return {
        transport: {
          ...raw,
          send: (attemptId, channel, bytes) => {
            const line = lineOf(attemptId);
            if (line === undefined) raw.send(attemptId, channel, bytes);
            else line.send(channel, bytes);
          },
        },
        signaling: web.signalingOf(host),
        crypto: forging(createCrypto(identity, vault, later, host.give)),
        chain: own,
        streams,
        operator: { answer },
      } satisfies Services;
    },
  });

  function lineOf(attemptId: AttemptId): OpenLine | undefined {
    const peerId = node.state.attempts.get(attemptId)?.peerId ?? null;
    const to = cluster.nodes.findIndex(({ state }) => state.config.peerId === peerId);
    if (to < 0 || transport === undefined) return undefined;
    const lies = behaviours.filter((behaviour) => behaviour.place === "connection");
    const line = lines.get(attemptId) ?? openLine(liar, transport, to, attemptId, lies);
    lines.set(attemptId, line);
    return line;
  }

  function forging(crypto: Crypto): Crypto {
    return {
      ...crypto,
      seal: (attemptId, label, unsigned, prefix, recipient) => {
        const lie = behaviours.find(
          (behaviour) => behaviour.place === "attempt" && behaviour.label === label,
        );
        if (lie?.place !== "attempt") {
          crypto.seal(attemptId, label, unsigned, prefix, recipient);
          return;
        }
        liar.note("forged");
        const signed = lie.forge(liar, unsigned);
        const kind = label === "pollen/offer/1" ? "offer" : "answer";
        const envelope = vault.seal(kind, recipient, concatBytes(prefix, signed));
        later(() => node.give({ type: "event/signalSealed", attemptId, signed, envelope }));
      },
    };
  }

  function hear(event: Event): void {
    const line = event.type === "event/message" ? lineOf(event.attemptId) : undefined;
    if (event.type !== "event/message" || line === undefined) {
      node.give(event);
      return;
    }
    const bytes = line.receive(event.channel, event.bytes);
    if (bytes !== null) node.give({ ...event, bytes });
  }

  const liar: LiarProcess = {
    index,
    cluster,
    random,
    identity,
    behaviours,
    notes,
    rejections,
    node: () => node,
    get chain() {
      if (chain === undefined) throw new Error("a node makes its services when it is made");
      return chain;
    },
    submit: (transaction) => {
      const bytes = encodeTransaction(transaction);
      node.command((requestId) => ({ type: "command/submit", requestId, pool: "transaction", bytes }));
      return itemHash(bytes) as Hash;
    },
    noteRejection: (rejection) => void rejections.push(rejection),
    note: (name) => notes.set(name, (notes.get(name) ?? 0) + 1),
    dial: (to) => {
      const address = cluster.addressOf(to);
      node.command((requestId) => ({ type: "command/dial", requestId, address }));
      for (const behaviour of behaviours) {
        if (behaviour.place !== "signal") continue;
        clock.after(random.between(...POSTS_AFTER_MS), () => behaviour.post(liar, to), "background");
      }
    },
    leave: () => {
      node.kill();
      if (heard !== undefined) network.vanish(heard);
    },
  };
  if (heard !== undefined) web.listen(heard, cluster.addressOf(index).port);
  return liar;
}
