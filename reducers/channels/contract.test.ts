import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { controlSchema } from "../../core/channels/control.ts";
import { rpcSchema } from "../../core/channels/rpc.ts";
import { CHANNEL_NAMES, CHANNELS, type ChannelName } from "../../core/channels/table.ts";
import { transactionSchema } from "../../core/channels/transaction.ts";
import { decode, encode } from "../../core/codec/codec.ts";
import type { Schema } from "../../core/codec/schema.ts";
import { MESSAGES } from "../../core/codec/testing.ts";
import type { AttemptId } from "../../core/ids.ts";
import { BAN_MS } from "../../core/limits.ts";
import type { Reason } from "../../core/reasons.ts";
import { brokenInvariants } from "../invariants.ts";
import {
  announce,
  closeTransport,
  control,
  dialedPeer,
  encodeSaid,
  endReason,
  getNext,
  goodbyes,
  infos,
  itemOf,
  offerFrom,
  openTransport,
  party,
  type Result,
  readyPeer,
  refloor,
  request,
  response,
  type Said,
  say,
  sayBytes,
  sayHello,
  submit,
  type TestNode,
  type TestPeer,
  testNode,
} from "../testing.ts";
import { randomOf } from "../testing-chaos.ts";

/** What every channel must hold (section 5), whatever it is for. */

const SCHEMAS: Readonly<Record<ChannelName, Schema<unknown>>> = {
  control: controlSchema as Schema<unknown>,
  transaction: transactionSchema as Schema<unknown>,
  rpc: rpcSchema as Schema<unknown>,
};

/** A right message of a peer that is ready, for mutations to start from. */
const SAMPLES: Readonly<Record<ChannelName, readonly Said[]>> = {
  control: [control({ tag: "ping", n: 7 }), control({ tag: "pong", n: 7 })],
  transaction: [getNext(0), infos(0, [itemOf("x").info])],
  rpc: [
    request(0, { tag: "transactions", hashes: [itemOf("x").info.hash] }),
    request(0, { tag: "peers" }),
    response(0, { tag: "items", found: [{ tag: "some", bytes: Uint8Array.of(1, 2, 3) }] }),
  ],
};

const ready = (): { readonly node: TestNode; readonly peer: TestPeer } => {
  const node = testNode();
  return { node, peer: readyPeer(node, "peer") };
};

function expectPunished(node: TestNode, peer: TestPeer, result: Result, reason: Reason): void {
  expect(endReason(result)).toBe(reason);
  expect(goodbyes(result.effects)).toEqual([`${reason} ${BAN_MS}`]);
  expect(result.effects.filter(({ type }) => type === "effect/close")).toHaveLength(1);
  expect(node.state.offenders.get(peer.peerId)?.bannedUntilMs).toBe(node.nowMs + BAN_MS);
  expectClean(node, peer.attemptId);
}

/** After a disconnect nothing is left but the connection that is being closed, and then nothing at all. */
function expectClean(node: TestNode, attemptId: AttemptId): void {
  const closing = node.state;
  expect(closing.attempts.get(attemptId)?.phase.tag).toBe("closing");
  expect(closing.peers.size + closing.waiting.size + closing.fetches.size).toBe(0);
  const mine = [...closing.deadlines.byName.keys()].filter(
    (name) => name.split(" ").at(-1) === `${attemptId}`,
  );
  expect(mine).toEqual([`cut ${attemptId}`]);
  closeTransport(node, attemptId);
  expect(node.state.attempts.size).toBe(0);
  const left = [...node.state.deadlines.byName.keys()].map((name) => name.split(" ")[0]);
  expect(left.filter((kind) => kind !== "replay" && kind !== "dial")).toEqual([]);
  expect(brokenInvariants(node.state)).toEqual([]);
}

describe.each(CHANNEL_NAMES)("channel contract: %s", (channel) => {
  const { bytesMax } = CHANNELS[channel];
  const schema = SCHEMAS[channel];

  test("messages survive encoding, and fit into their channel", () => {
    const of = MESSAGES.find(({ name }) => name === channel);
    if (of === undefined) throw new Error(`${channel} has a generator`);
    fc.assert(
      fc.property(of.values, (value) => {
        const bytes = encode(schema, value);
        if (bytes.length > bytesMax) return;
        expect(decode(schema, bytes, bytesMax)).toEqual({ tag: "decoded", value });
      }),
      { numRuns: 40 },
    );
  });

  test("P03, P16: 4,000 byte strings end in a message or exactly one violation, and never in a throw", () => {
    const { node, peer } = ready();
    const start = node.state;
    const random = randomOf(CHANNELS[channel].id + 1);
    const samples = SAMPLES[channel].map(encodeSaid);
    let refused = 0;
    for (let run = 0; run < 4_000; run++) {
      const bytes = mutated(samples[random(samples.length)] ?? new Uint8Array(), random);
      const { state, result } = from(node, start, (copy) => sayBytes(copy, peer.attemptId, channel, bytes));
      const decoded = decode(schema, bytes, bytesMax);
      const disconnects = result.actions.filter(({ type }) => type === "connection/disconnect");
      const isGone = state.peers.get(peer.peerId) === undefined;
      if (decoded.tag === "failed") {
        expect(endReason(result)).toBe("undecodable");
        refused += 1;
      }
      const saidGoodbye = decoded.tag === "decoded" && (decoded.value as Said["message"]).tag === "goodbye";
      expect(disconnects.length).toBe(isGone && !saidGoodbye ? 1 : 0);
      expect(goodbyes(result.effects).length).toBe(disconnects.length);
    }
    expect(refused).toBeGreaterThan(500);
  });

  test("one byte more than the channel takes is oversized, before anything is decoded", () => {
    const { node, peer } = ready();
    expectPunished(
      node,
      peer,
      sayBytes(node, peer.attemptId, channel, new Uint8Array(bytesMax + 1)),
      "oversized",
    );
    const again = ready();
    const atMost = sayBytes(again.node, again.peer.attemptId, channel, new Uint8Array(bytesMax).fill(255));
    expectPunished(again.node, again.peer, atMost, "undecodable");
  });

  test("every truncation and every extension of a right message is undecodable", () => {
    for (const said of SAMPLES[channel]) {
      const bytes = encodeSaid(said);
      const { node, peer } = ready();
      const start = node.state;
      const wrong = [
        ...Array.from({ length: bytes.length }, (_, length) => bytes.slice(0, length)),
        Uint8Array.from([...bytes, 0]),
        Uint8Array.from([...bytes, ...bytes]),
      ];
      for (const one of wrong) {
        const { result } = from(node, start, (copy) => sayBytes(copy, peer.attemptId, channel, one));
        expect(goodbyes(result.effects)).toEqual([`undecodable ${BAN_MS}`]);
      }
    }
  });

  test("a text frame is undecodable", () => {
    const { node, peer } = ready();
    const result = node.feed({ type: "event/textReceived", attemptId: peer.attemptId, channel });
    expectPunished(node, peer, result, "undecodable");
  });

  test("before Hello the same bytes close the connection, but nobody is punished for them", () => {
    const node = testNode();
    const { attemptId, peerId } = offerFrom(node, party("peer"));
    openTransport(node, attemptId);
    const result = sayBytes(node, attemptId, channel, Uint8Array.of(99));
    expect(goodbyes(result.effects)).toEqual(["undecodable 0"]);
    expect(node.state.offenders.has(peerId)).toBe(false);
    expectClean(node, attemptId);
  });

  test("after a disconnect nothing of that connection is listened to", () => {
    const { node, peer } = ready();
    sayBytes(node, peer.attemptId, channel, new Uint8Array());
    const before = node.state;
    for (const said of SAMPLES[channel]) {
      const { actions, effects } = say(node, peer.attemptId, said);
      expect([actions, effects]).toEqual([[], []]);
    }
    expect({ ...node.state, dropped: {} }).toEqual({ ...before, dropped: {} });
  });
});

/** Runs one input on a copy of a node: the node itself stays where it is. */
function from(node: TestNode, start: TestNode["state"], act: (copy: TestNode) => Result) {
  const copy = node.at(start);
  const result = act(copy);
  return { state: copy.state, result };
}

function mutated(bytes: Uint8Array, random: (below: number) => number): Uint8Array {
  const noise = (length: number) => Uint8Array.from({ length }, () => random(256));
  switch (random(5)) {
    case 0:
      return noise(random(6));
    case 1:
      return noise(random(300));
    case 2:
      return bytes.slice(0, random(bytes.length + 1));
    case 3:
      return Uint8Array.from([...bytes, ...noise(1 + random(4))]);
    default: {
      const changed = bytes.slice();
      for (let flips = 1 + random(3); flips > 0; flips--) changed[random(bytes.length)] = random(256);
      return changed;
    }
  }
}

describe("permits and limits (section 5)", () => {
  const [a, b] = [itemOf("a"), itemOf("b")];
  const CASES: readonly (readonly [string, Reason, readonly Said[]])[] = [
    ["Infos twice for one permit", "noPermit", [infos(0, [a.info]), infos(0, [b.info])]],
    ["a second GetNext while one is open", "overLimit", [getNext(0), getNext(1)]],
    ["a GetNext whose seq does not grow", "badState", [getNext(5), refloor(5)]],
    ["a Refloor whose seq falls", "badState", [refloor(3), refloor(2)]],
    ["Infos for a window that was not given", "badState", [infos(1, [a.info])]],
    ["empty Infos without a band", "badState", [infos(0, [])]],
    ["65 Refloors at once", "overLimit", Array.from({ length: 65 }, (_, seq) => refloor(seq))],
    ["a request id that skips one", "badState", [request(1, { tag: "peers" })]],
    ["a request id twice", "badState", [request(0, { tag: "peers" }), request(0, { tag: "peers" })]],
    [
      "a fifth open request",
      "overLimit",
      [0, 1, 2, 3, 4].map((id) => request(id, { tag: "transactions", hashes: [a.info.hash] })),
    ],
    ["a response to nothing", "responseMismatch", [response(0, { tag: "notFound" })]],
    [
      "a second Hello",
      "badState",
      [control({ tag: "hello", version: 1, session: "00".repeat(32), userAgent: "", channels: 1 })],
    ],
    ["65 pings at once", "overLimit", Array.from({ length: 65 }, (_, n) => control({ tag: "ping", n }))],
  ];
  test.each(CASES)("%s: %s", (_, reason, said) => {
    const { node, peer } = ready();
    for (const one of said.slice(0, -1)) {
      expect(endReason(say(node, peer.attemptId, one))).toBeUndefined();
    }
    const last = said.at(-1);
    if (last !== undefined) expectPunished(node, peer, say(node, peer.attemptId, last), reason);
  });

  test("more infos than the permit allows cannot be encoded: the bound of the codec comes first", () => {
    const { node, peer } = ready();
    const many = Array.from({ length: 33 }, (_, index) => itemOf(`many ${index}`).info);
    const bytes = encodeSaid(infos(0, many.slice(0, 32)));
    const view = new DataView(bytes.buffer);
    view.setUint32(1 + 16 + 4 + 1, 33, true);
    const longer = Uint8Array.from([...bytes, ...bytes.slice(-76)]);
    expectPunished(node, peer, sayBytes(node, peer.attemptId, "transaction", longer), "undecodable");
  });

  test("an announcement before the permit is without a permit, even if it names the right window", () => {
    const node = testNode();
    const { attemptId, peerId } = offerFrom(node, party("peer"));
    openTransport(node, attemptId);
    say(node, attemptId, infos(0, [a.info]));
    const result = sayHello(node, attemptId);
    expect(endReason(result)).toBe("noPermit");
    expect(node.state.offenders.has(peerId)).toBe(true);
  });
});

describe("close in every state leaves nothing behind", () => {
  const [a, b] = [itemOf("a"), itemOf("b", 200n)];
  const STATES: readonly (readonly [string, (node: TestNode, peer: TestPeer) => void])[] = [
    ["fresh", () => {}],
    ["permit held", (node, peer) => void say(node, peer.attemptId, getNext(0))],
    ["items requested", (node, peer) => void announce(node, peer, [a, b])],
    [
      "items verified",
      (node, peer) => {
        announce(node, peer, [a]);
        say(node, peer.attemptId, response(0, { tag: "items", found: [{ tag: "some", bytes: a.bytes }] }));
      },
    ],
    [
      "requests of the peer open",
      (node, peer) =>
        void say(node, peer.attemptId, request(0, { tag: "transactions", hashes: [a.info.hash] })),
    ],
    [
      "all slots abandoned",
      (node, peer) => {
        for (let round = 0; round < 4; round++) {
          announce(node, peer, [itemOf(`round ${round}`)]);
          for (let second = 0; second < 6; second++) {
            node.pass(1_000);
            say(node, peer.attemptId, control({ tag: "ping", n: 0 }));
          }
        }
        expect(node.state.peers.get(peer.peerId)?.live?.rpc?.blockedSinceMs).not.toBeNull();
      },
    ],
    ["ping open", (node) => void node.pass(10_500)],
    [
      "buffers full",
      (node, { attemptId }) => {
        for (const channel of CHANNEL_NAMES) node.feed({ type: "event/channelBlocked", attemptId, channel });
      },
    ],
    [
      "a newcomer probed",
      (node) => {
        offerFrom(node, party("peer"));
        for (const { id, phase } of node.state.attempts.values()) {
          if (phase.tag === "answering") closeTransport(node, id);
        }
      },
    ],
  ];

  test.each(STATES)("%s: by us, by them, by the world", (_, prepare) => {
    for (const end of ["operator", "goodbye", "lost"] as const) {
      for (const connect of [readyPeer, dialedPeer]) {
        const node = testNode();
        submit(node, [itemOf("held")]);
        const peer = connect(node, "peer");
        prepare(node, peer);
        const { attemptId, peerId } = peer;
        if (end === "lost") closeTransport(node, attemptId);
        else if (end === "goodbye") say(node, attemptId, control({ tag: "goodbye", reason: 16, banMs: 0 }));
        else node.feed({ type: "command/disconnect", requestId: 1 as never, peerId });
        expect(brokenInvariants(node.state)).toEqual([]);
        expect(node.state.peers.get(peerId)?.live ?? null).toBeNull();
        closeTransport(node, attemptId);
        node.feed({ type: "command/disconnect", requestId: 1 as never, peerId });
        node.pass(20_000);
        for (const id of node.state.attempts.keys()) closeTransport(node, id);
        const { peers, waiting, fetches, attempts, deadlines } = node.state;
        expect([peers.size, waiting.size, fetches.size, attempts.size]).toEqual([0, 0, 0, 0]);
        const kinds = new Set([...deadlines.byName.keys()].map((name) => name.split(" ")[0]));
        expect([...kinds].filter((kind) => kind !== "replay")).toEqual([]);
      }
    }
  });
});
