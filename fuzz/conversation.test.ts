import { beforeAll, describe, expect, test } from "vitest";
import { type Tip, tipOf } from "../core/block.ts";
import type { ChannelMessage } from "../core/channels/table.ts";
import type { Hash, PeerId } from "../core/ids.ts";
import type { PoolInfo } from "../core/pools.ts";
import type { State } from "../core/state.ts";
import {
  book,
  type Conversation,
  checkAnswers,
  checkServed,
  freshConversation,
  type Speaker,
} from "./conversation.ts";
import { checkPeerBytes } from "./invariants.ts";
import { createMail } from "./mail.ts";
import { DEFAULT_CONSENSUS, headerAfter, parametersOf } from "./sim-consensus.ts";
import { createCluster } from "./simulator.ts";

/** Each law is broken on purpose, by one message more than the conversation allows (P30). */

const sender = "aa".repeat(32);
const cursor = { epoch: 1n, next: 0n };
let fetching: State;
let peerId: PeerId;
let hashes: readonly Hash[];

beforeAll(() => {
  const cluster = createCluster({ nodes: 2, seed: 1 });
  cluster.dial(0, 1);
  cluster.runUntilQuiet();
  for (const nonce of [0, 1, 2])
    cluster.submit(0, { fee: 5n * 10n ** BigInt(nonce), sender, nonce, verdict: "valid", salt: nonce });
  while (cluster.node(1).state.fetches.size < 2) cluster.runFor(1);
  fetching = cluster.node(1).state;
  peerId = cluster.identity(0).peerId;
  // The best paid one first.
  hashes = [...fetching.fetches.values()]
    .sort((a, b) => b.priority.class - a.priority.class)
    .map(({ hash }) => hash);
});

const speaker = (state: State): Speaker => ({ state, judged: new Map(), peerId, body: () => undefined });
const laterBy = (state: State, ms: number): State => ({ ...state, timeMs: state.timeMs + ms });

function says(talk: Conversation, way: "sent" | "received", wire: ChannelMessage, state = fetching) {
  return book(talk, { way, wire }, speaker(state));
}

const request = (id: number, of: readonly Hash[]): ChannelMessage => ({
  channel: "rpc",
  message: { tag: "request", id, body: { tag: "transactions", hashes: of } },
});

const permit = (seq: number): ChannelMessage => ({
  channel: "transaction",
  message: { tag: "getNext", limit: 32, window: { seq, floor: null, band: null }, resume: null },
});

const infos = (seq: number, item: PoolInfo): ChannelMessage =>
  ({
    channel: "transaction",
    message: { tag: "infos", cursor, seq, rest: null, items: [item] },
  }) as ChannelMessage;

const tips = (): { readonly genesis: Tip; readonly next: Tip } => {
  const parameters = parametersOf(DEFAULT_CONSENSUS, 0);
  const { bodyRoot, ledgerRoot } = parameters.genesis;
  const made = { slot: 1, creator: sender, bodyRoot, ledgerRoot };
  return { genesis: parameters.genesis, next: tipOf(headerAfter(parameters, parameters.genesis, made)) };
};

const tipMessage = ({ hash: _hash, ...header }: Tip): ChannelMessage => ({
  channel: "best-tip",
  message: { tag: "bestTip", header },
});

describe("P30: what may be said in a conversation", () => {
  test("requests name the greatest first, and nothing twice", () => {
    expect(hashes.length).toBeGreaterThan(1);
    expect(says(freshConversation(), "sent", request(0, hashes))).toEqual([]);
    expect(says(freshConversation(), "sent", request(0, [...hashes].reverse()))[0]).toContain(
      "after a lesser one",
    );
    const talk = freshConversation();
    says(talk, "sent", request(0, hashes));
    expect(says(talk, "sent", request(1, hashes.slice(0, 1)))[0]).toContain("asked again");
  });

  test("infos go only to whom the tip is nothing new, and none twice without a band", () => {
    const { genesis, next } = tips();
    const info = fetching.fetches.get(hashes[0] as Hash)?.announcers.get(peerId) as PoolInfo;
    const entry = { index: 7, hash: hashes[0], info };
    const { transaction } = fetching.pools;
    const entries = transaction.entries.set(hashes[0] as Hash, entry as never);
    const pools = { ...fetching.pools, transaction: { ...transaction, entries } };
    const state: State = { ...fetching, pools, chain: { ...fetching.chain, tip: next } };
    const talk = freshConversation();
    says(talk, "received", tipMessage(next), state);
    says(talk, "received", permit(0), state);
    expect(says(talk, "sent", infos(0, info), state)).toEqual([]);
    says(talk, "received", permit(1), state);
    expect(says(talk, "sent", infos(1, info), state)[0]).toContain("twice");
    const lagging = freshConversation();
    says(lagging, "received", tipMessage(genesis), state);
    says(lagging, "received", permit(0), state);
    expect(says(lagging, "sent", infos(0, info), state)[0]).toContain("behind");
  });

  test("requests are answered in time, ours and theirs", () => {
    const talk = freshConversation();
    const ours = fetching.peers.get(peerId)?.live?.rpc?.ours ?? [];
    expect(ours).toHaveLength(1);
    says(talk, "sent", request(ours[0]?.id ?? 0, hashes));
    expect(checkAnswers(talk, laterBy(fetching, 5_000), peerId)).toEqual([]);
    expect(checkAnswers(talk, laterBy(fetching, 10_000), peerId)).toHaveLength(1);
    says(talk, "received", request(0, hashes));
    expect(checkServed(talk, fetching, peerId, fetching.timeMs)).toEqual([]);
    expect(checkServed(talk, laterBy(fetching, 1_000), peerId, fetching.timeMs)).toEqual([]);
    expect(checkServed(talk, laterBy(fetching, 5_000), peerId, fetching.timeMs + 4_000)).toHaveLength(1);
    // It stood still: from then on it has time again.
    expect(checkServed(talk, laterBy(fetching, 6_000), peerId, fetching.timeMs)).toEqual([]);
  });

  test("what arrives was sent, to whom and on which channel it arrives, and once", () => {
    const mail = createMail();
    const [a, b] = [Uint8Array.of(1), Uint8Array.of(2)];
    mail.put("1 2 rpc", a);
    mail.put("1 2 rpc", b);
    expect([mail.take("1 2 rpc", Uint8Array.of(3)), mail.take("2 1 rpc", a)]).toEqual([false, false]);
    expect([mail.take("1 2 rpc", b), mail.take("1 2 rpc", b), mail.take("1 2 rpc", a)]).toEqual([
      true,
      false,
      true,
    ]);
  });

  test("what is kept of a peer is bounded (P16)", () => {
    expect(checkPeerBytes(fetching)).toEqual([]);
    const peer = fetching.peers.get(peerId);
    const grown = { ...peer, junk: "x".repeat(70_000) } as never;
    expect(checkPeerBytes({ ...fetching, peers: fetching.peers.set(peerId, grown) })).toHaveLength(1);
  });
});
