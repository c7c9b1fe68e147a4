import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  CHANNEL_NAMES,
  CHANNELS,
  type ChannelMessage,
  type ChannelName,
  encodeMessage,
} from "../../core/channels/table.ts";
import { decode, encode } from "../../core/codec/codec.ts";
import type { Schema } from "../../core/codec/schema.ts";
import { MESSAGES } from "../../core/codec/testing.ts";
import type { AttemptId, CheckId } from "../../core/ids.ts";
import { BAN_MS } from "../../core/limits.ts";
import { POOL_NAMES } from "../../core/pools.ts";
import type { Reason } from "../../core/reasons.ts";
import { brokenInvariants } from "../invariants.ts";
import { START_MS } from "../testing/chain.ts";
import { type Case, ROWS } from "../testing/contract.ts";
import { bring, commitmentOf, itemOf, permitOf, snarkOf, windowsOf } from "../testing/items.ts";
import { control, infos, say, sayBytes } from "../testing/messages.ts";
import { freshRequestId, party, type TestNode, testNode } from "../testing/node.ts";
import {
  closeTransport,
  dialedPeer,
  openTransport,
  readyPeer,
  sayHello,
  type TestPeer,
} from "../testing/peers.ts";
import { type Random, randomOf } from "../testing/random.ts";
import { endReason, goodbyes, type Result } from "../testing/results.ts";
import { offerFrom } from "../testing/signals.ts";

/** What every channel must hold (sections 4, 5 and 7), whatever it is for: the channel contract. */

const NOTHING = (): void => {};

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
  expect(closing.peers.size + closing.fetches.size).toBe(0);
  for (const pool of POOL_NAMES) expect(closing.waiting[pool].size).toBe(0);
  const mine = [...closing.deadlines.byName.keys()].filter(
    (name) => name.split(" ").at(-1) === `${attemptId}`,
  );
  expect(mine).toEqual([`cut ${attemptId}`]);
  closeTransport(node, attemptId);
  expect(node.state.attempts.size).toBe(0);
  expect(node.state.download?.sources.size ?? 0).toBe(0);
  expect(brokenInvariants(node.state)).toEqual([]);
}

describe.each(CHANNEL_NAMES)("channel contract: %s", (channel) => {
  const { bytesMax } = CHANNELS[channel];
  const schema = CHANNELS[channel].schema as Schema<unknown>;
  const row = ROWS[channel];

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

  test("there is a sample of every kind of message that can come first", () => {
    expect(row.samples.every((said) => said.channel === channel)).toBe(true);
    expect(new Set(row.samples.map(({ message }) => message.tag)).size).toBeGreaterThan(1);
  });

  test("P03, P16: 2,000 byte strings end in a message or exactly one violation, and never in a throw", () => {
    const { node, peer } = ready();
    const start = node.state;
    const random = randomOf(CHANNELS[channel].id + 1);
    const samples = row.samples.map(encodeMessage);
    let refused = 0;
    for (let run = 0; run < 2_000; run++) {
      const bytes = mutated(samples[random(samples.length)] ?? new Uint8Array(), random);
      const { state, result } = from(node, start, (copy) => sayBytes(copy, peer.attemptId, channel, bytes));
      const decoded = decode(schema, bytes, bytesMax);
      const disconnects = result.actions.filter(({ type }) => type === "connection/disconnect");
      const isGone = state.peers.get(peer.peerId) === undefined;
      if (decoded.tag === "failed") {
        expect(endReason(result)).toBe("undecodable");
        refused += 1;
      }
      const saidGoodbye =
        decoded.tag === "decoded" && (decoded.value as ChannelMessage["message"]).tag === "goodbye";
      expect(disconnects.length).toBe(isGone && !saidGoodbye ? 1 : 0);
      expect(goodbyes(result.effects).length).toBe(disconnects.length);
      if (run % 50 === 0) expect(brokenInvariants(state)).toEqual([]);
    }
    expect(refused).toBeGreaterThan(250);
  });

  test("one byte more than the channel takes is oversized, before anything is decoded", () => {
    const { node, peer } = ready();
    const long = sayBytes(node, peer.attemptId, channel, new Uint8Array(bytesMax + 1));
    expectPunished(node, peer, long, "oversized");
    const again = ready();
    const atMost = sayBytes(again.node, again.peer.attemptId, channel, new Uint8Array(bytesMax).fill(255));
    expectPunished(again.node, again.peer, atMost, "undecodable");
  });

  test("every truncation and every extension of a right message is undecodable", () => {
    const { node, peer } = ready();
    const start = node.state;
    for (const said of row.samples) {
      const bytes = encodeMessage(said);
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
    for (const said of row.samples) {
      const { actions, effects } = say(node, peer.attemptId, said);
      expect([actions, effects]).toEqual([[], []]);
    }
    expect({ ...node.state, dropped: {} }).toEqual({ ...before, dropped: {} });
  });

  test("on a channel that one side does not enable nothing is a message", () => {
    if (channel === "control") return;
    const node = testNode();
    const peer = readyPeer(node, "peer", { channels: 1 });
    const before = node.state;
    for (const said of row.samples) expect(say(node, peer.attemptId, said).effects).toEqual([]);
    expect({ ...node.state, dropped: {} }).toEqual({ ...before, dropped: {} });
  });

  test.each(row.violations.map((one) => [one.name, one.reason, one] as const))(
    "%s: %s",
    (_, reason, { prepare = NOTHING, said }: Case) => {
      const { node, peer } = ready();
      prepare(node, peer);
      for (const one of said.slice(0, -1)) expect(endReason(say(node, peer.attemptId, one))).toBeUndefined();
      const last = said.at(-1);
      if (last !== undefined) expectPunished(node, peer, say(node, peer.attemptId, last), reason);
    },
  );

  test.each(row.allowed.map((one) => [one.name, one] as const))(
    "no violation: %s",
    (_, { prepare = NOTHING, said }) => {
      const { node, peer } = ready();
      prepare(node, peer);
      for (const one of said) expect(endReason(say(node, peer.attemptId, one))).toBeUndefined();
      expect(brokenInvariants(node.state)).toEqual([]);
    },
  );

  test("messages before ready are kept, as many as is allowed, and processed then; one more is overLimit", () => {
    const { allowed, make } = row.early;
    const node = testNode();
    const { attemptId, peerId } = offerFrom(node, party("peer"));
    // On control Hello comes first: what can be early is what comes before the other channels are open.
    openTransport(node, attemptId, channel === "control" ? ["control"] : undefined);
    if (channel === "control") sayHello(node, attemptId);
    for (let index = 0; index < allowed; index++)
      expect(say(node, attemptId, make(index)).effects).toEqual([]);
    const full = node.at(node.state);
    const tooMany = say(full, attemptId, make(allowed));
    expect(goodbyes(tooMany.effects)).toEqual([`overLimit ${channel === "control" ? BAN_MS : 0}`]);
    expect(full.state.offenders.has(peerId)).toBe(channel === "control");
    expect(full.state.attempts.get(attemptId)?.early).toEqual([]);
    const { actions, effects } =
      channel === "control" ? openOthers(node, attemptId) : sayHello(node, attemptId);
    const received = actions.flatMap((action) => ("message" in action ? [action.message] : []));
    expect(received.filter(({ tag }) => tag !== "hello")).toHaveLength(allowed);
    expect(goodbyes(effects)).toEqual([]);
    expect(node.state.attempts.get(attemptId)?.early).toEqual([]);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  describe("close in every state leaves nothing behind", () => {
    test.each(row.states)(
      "%s: by us, by them, by the world, by a violation, by the end of the node",
      (_, prepare) => {
        for (const connect of [readyPeer, dialedPeer]) {
          const node = testNode();
          bring(node, [itemOf("held")]);
          const { attemptId, peerId } = connect(node, "peer");
          prepare(node, { ...party("peer"), attemptId });
          expect(node.state.peers.get(peerId)?.live?.attemptId).toBe(attemptId);
          for (const end of ["operator", "goodbye", "lost", "violation", "stop"] as const)
            closeBy(end, node.at(node.state), { ...party("peer"), attemptId }, channel);
        }
      },
    );
  });
});

/** Ends the connection that way, and then everything there is. */
function closeBy(
  end: "operator" | "goodbye" | "lost" | "violation" | "stop",
  node: TestNode,
  { attemptId, peerId }: TestPeer,
  channel: ChannelName,
): void {
  const requestId = freshRequestId();
  switch (end) {
    case "lost":
      closeTransport(node, attemptId);
      break;
    case "goodbye":
      say(node, attemptId, control({ tag: "goodbye", reason: 16, banMs: 0 }));
      break;
    case "operator":
      node.feed({ type: "command/disconnect", requestId, peerId });
      break;
    case "violation":
      sayBytes(node, attemptId, channel, new Uint8Array());
      break;
    case "stop":
      node.feed({ type: "command/stop" });
  }
  expect([end, brokenInvariants(node.state)]).toEqual([end, []]);
  expect(node.state.peers.get(peerId)?.live ?? null).toBeNull();
  closeTransport(node, attemptId);
  node.feed({ type: "command/disconnect", requestId, peerId });
  // What the chain was asked about a tip of this peer it answers in the end.
  node.feed({
    type: "event/headersVerified",
    checkId: 1 as CheckId,
    verdict: { tag: "notNow", detail: "late" },
  });
  for (const id of node.state.attempts.keys()) closeTransport(node, id);
  node.pass(700_000);
  const { peers, waiting, fetches, attempts, deadlines, resumes } = node.state;
  const sizes = POOL_NAMES.map((pool) => waiting[pool].size);
  expect([end, peers.size, ...sizes, fetches.size, attempts.size, resumes.size]).toEqual([
    end,
    ...Array(7).fill(0),
  ]);
  expect([end, [...deadlines.byName.keys()]]).toEqual([end, []]);
}

const openOthers = (node: TestNode, attemptId: AttemptId): Result => {
  const results = CHANNEL_NAMES.flatMap((channel) =>
    channel === "control" ? [] : [node.feed({ type: "event/channelOpened", attemptId, channel })],
  );
  const last = results.at(-1);
  if (last === undefined) throw new Error("there are other channels");
  return last;
};

/** Runs one input on a copy of a node: the node itself stays where it is. */
function from(node: TestNode, start: TestNode["state"], act: (copy: TestNode) => Result) {
  const copy = node.at(start);
  const result = act(copy);
  return { state: copy.state, result };
}

function mutated(bytes: Uint8Array, random: Random): Uint8Array {
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

describe.each(POOL_NAMES)("permits for fewer infos: %s", (pool) => {
  const make = (name: string) => {
    if (pool === "transaction") return itemOf(name);
    return pool === "snark" ? snarkOf(name) : commitmentOf(name, START_MS);
  };
  const [a, b] = [make("a").info, make("b").info];

  test("more infos than the permit is for is overLimit", () => {
    const node = testNode();
    for (let part = 0; part < 7; part++)
      for (let index = 0; index < 30; index++) bring(node, [make(`held ${part} ${index}`)]);
    const peer = readyPeer(node, "peer");
    const seq = permitOf(node, peer, pool);
    expect(windowsOf(node, peer, pool)).toHaveLength(1);
    const start = node.state;
    const said = (items: readonly (typeof a)[]) =>
      from(node, start, (copy) => say(copy, peer.attemptId, infos(seq, items, {}, pool))).result;
    expect(endReason(said([a]))).toBeUndefined();
    expect(goodbyes(said([a, b]).effects)).toEqual([`overLimit ${BAN_MS}`]);
  });

  test("more than 32 cannot be encoded: the bound of the codec comes first", () => {
    const { node, peer } = ready();
    const many = Array.from({ length: 32 }, (_, index) => make(`many ${index}`).info);
    const bytes = encodeMessage(infos(0, many, {}, pool));
    const size = (bytes.length - encodeMessage(infos(0, [], {}, pool)).length) / 32;
    new DataView(bytes.buffer).setUint32(1 + 16 + 4 + 1, 33, true);
    const longer = Uint8Array.from([...bytes, ...bytes.slice(-size)]);
    expectPunished(node, peer, sayBytes(node, peer.attemptId, pool, longer), "undecodable");
  });

  test("an announcement before the permit is without a permit, even if it names the right window", () => {
    const node = testNode();
    const { attemptId, peerId } = offerFrom(node, party("peer"));
    openTransport(node, attemptId);
    say(node, attemptId, infos(0, [a], {}, pool));
    const result = sayHello(node, attemptId);
    expect(endReason(result)).toBe("noPermit");
    expect(node.state.offenders.has(peerId)).toBe(true);
  });
});
