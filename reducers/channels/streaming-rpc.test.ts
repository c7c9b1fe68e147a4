import { describe, expect, test } from "vitest";
import type { StreamingMessage } from "../../core/channels/streaming-rpc.ts";
import type { Effect } from "../../core/effects.ts";
import type { AttemptId } from "../../core/ids.ts";
import {
  BAN_MS,
  IGNORED_BURST,
  STALLED_AFTER_MS,
  STREAM_IDLE_MS,
  STREAM_OPEN_TIMEOUT_MS,
  STREAM_OUTSTANDING_MAX,
  STREAM_REQUESTS_BURST,
  STREAM_REQUESTS_PER_SECOND,
} from "../../core/limits.ts";
import { brokenInvariants } from "../invariants.ts";
import { freshRequestId, party, type TestNode, testNode } from "../testing/node.ts";
import {
  channelsWithout,
  closeTransport,
  liveOf,
  openTransport,
  readyPeer,
  sayHello,
  type TestPeer,
} from "../testing/peers.ts";
import { effectOf, effectsOf, endReason, goodbyes, type Result } from "../testing/results.ts";
import { offerFrom } from "../testing/signals.ts";
import { chunk, keptAlive, sayStream, snapshotOf, streamedTo } from "../testing/streams.ts";

const SNAPSHOT = snapshotOf("served", 40);
const { root, manifest } = SNAPSHOT;
const OTHER = snapshotOf("other", 3);

const request = (id: number): StreamingMessage => ({ tag: "request", id, root });
const next = (id: number, from: number, count: number): StreamingMessage => ({
  tag: "next",
  id,
  from,
  count,
});
const cancel = (id: number): StreamingMessage => ({ tag: "cancel", id });

interface Bench {
  readonly node: TestNode;
  readonly peer: TestPeer;
  readonly say: (message: StreamingMessage) => Result;
  /** The service answers. */
  readonly opened: (id?: number) => Result;
  readonly loaded: (index: number, id?: number) => Result;
}

function bench(): Bench {
  const node = testNode({}, "us", (_input, { state }) => expect(brokenInvariants(state)).toEqual([]));
  const peer = readyPeer(node, "peer");
  const { attemptId } = peer;
  return {
    node,
    peer,
    say: (message) => sayStream(node, attemptId, message),
    opened: (streamId = 0) => node.feed({ type: "event/streamOpened", attemptId, streamId, manifest }),
    loaded: (index, streamId = 0) => {
      const loadedChunk = { data: Uint8Array.of(index), proof: [] };
      return node.feed({ type: "event/chunkLoaded", attemptId, streamId, index, chunk: loadedChunk });
    },
  };
}

/** A stream of 40 chunks is open. */
function open(): Bench {
  const made = bench();
  made.say(request(0));
  made.opened();
  return made;
}

const loads = (effects: readonly Effect[]): readonly number[] =>
  effectsOf(effects, "effect/loadChunk").map(({ index }) => index);

const sent = ({ effects }: Result, attemptId: AttemptId): readonly string[] =>
  streamedTo(effects, attemptId).map((message) =>
    message.tag === "chunk" ? `chunk ${message.index}` : message.tag,
  );

const servedOf = ({ node, peer }: Bench) => liveOf(node, peer)?.streaming?.theirs;

describe("streaming rpc: serving", () => {
  test("a Request is looked up, its Manifest sent, and each permitted chunk, one after the other", () => {
    const { say, opened, loaded, peer } = bench();
    const asked = say(request(0));
    expect(effectOf(asked.effects, "effect/openStream")).toMatchObject({ streamId: 0, root });
    expect(sent(asked, peer.attemptId)).toEqual([]);
    expect(streamedTo(opened().effects, peer.attemptId)).toEqual([{ tag: "manifest", id: 0, manifest }]);
    const permitted = say(next(0, 3, 3));
    expect(loads(permitted.effects)).toEqual([3]);
    for (const index of [3, 4, 5]) {
      const result = loaded(index);
      expect(streamedTo(result.effects, peer.attemptId)).toEqual([chunk(0, index)]);
      expect(loads(result.effects)).toEqual(index < 5 ? [index + 1] : []);
    }
  });

  test("chunks are sent in the order of the permits, and may be asked for again", () => {
    const { say, loaded } = open();
    say(next(0, 37, 3));
    say(next(0, 0, 2));
    say(next(0, 37, 1));
    expect([37, 38, 39, 0, 1, 37].map((index) => loads(loaded(index).effects))).toEqual([
      [38],
      [39],
      [0],
      [1],
      [37],
      [],
    ]);
  });

  test("what is not kept is answered None, and the next Request has the next id", () => {
    const { node, peer, say, opened } = bench();
    const { attemptId } = peer;
    say(request(0));
    const { effects } = node.feed({
      type: "event/streamOpened",
      attemptId,
      streamId: 0,
      manifest: null,
    });
    expect(streamedTo(effects, attemptId)).toEqual([{ tag: "manifest", id: 0, manifest: null }]);
    expect([...node.state.deadlines.byName.keys()].filter((name) => name.startsWith("stream"))).toEqual([]);
    expect(effectOf(say(request(1)).effects, "effect/openStream").streamId).toBe(1);
    expect(sent(opened(1), attemptId)).toEqual(["manifest"]);
  });

  test("beyond a burst of 16, Requests that cost us a ledger each are answered None until 5 s have passed (P26)", () => {
    const { node, peer, say } = bench();
    const { attemptId } = peer;
    const openings = (result: Result): number => effectsOf(result.effects, "effect/openStream").length;
    let id = 0;
    for (; id < STREAM_REQUESTS_BURST; id++) {
      expect(openings(say(request(id)))).toBe(1);
      say(cancel(id));
    }
    for (; id < 100; id++) {
      const refused = say(request(id));
      expect(refused.effects.map(({ type }) => type)).toEqual(["effect/send"]);
      expect(streamedTo(refused.effects, attemptId)).toEqual([{ tag: "manifest", id, manifest: null }]);
      expect(liveOf(node, peer)?.streaming?.theirs).toBeNull();
    }
    node.pass(1_000 / STREAM_REQUESTS_PER_SECOND);
    expect(openings(say(request(id)))).toBe(1);
    say(cancel(id));
    expect(openings(say(request(id + 1)))).toBe(0);
    // Each peer has its own.
    const other = readyPeer(node, "other");
    expect(openings(sayStream(node, other.attemptId, request(0)))).toBe(1);
  });

  test("ends with the requester's Cancel, and everything the service still says of it is dropped", () => {
    const { node, say, opened, loaded } = open();
    say(next(0, 0, 2));
    const { effects } = say(cancel(0));
    expect(effectOf(effects, "effect/closeStream").streamId).toBe(0);
    expect([loaded(0), opened()].flatMap((result) => result.effects)).toEqual([]);
    expect(node.state.dropped).toMatchObject({ "event/chunkLoaded": 1, "event/streamOpened": 1 });
  });

  test("what the service says of another stream or chunk is dropped", () => {
    const { say, loaded, opened } = open();
    say(cancel(0));
    say(request(1));
    expect(opened(0).actions).toEqual([]);
    opened(1);
    say(next(1, 4, 2));
    expect([loaded(4, 0), loaded(5, 1)].flatMap(({ actions }) => actions)).toEqual([]);
    expect(loaded(4, 1).actions).toHaveLength(1);
  });

  test("a chunk that cannot be read any more ends the stream with our Cancel", () => {
    const { node, peer, say } = open();
    const { attemptId } = peer;
    say(next(0, 0, 2));
    const lost = node.feed({ type: "event/chunkLoaded", attemptId, streamId: 0, index: 0, chunk: null });
    expect(sent(lost, attemptId)).toEqual(["cancel"]);
    expect(effectOf(lost.effects, "effect/closeStream").streamId).toBe(0);
    expect(say(next(0, 5, 1)).effects).toEqual([]);
  });

  test("while the transport is full nothing is loaded; what was on its way is still sent", () => {
    const { node, peer, say, loaded } = open();
    const { attemptId } = peer;
    say(next(0, 0, 4));
    node.feed({ type: "event/channelBlocked", attemptId, channel: "streaming-rpc" });
    const held = loaded(0);
    expect([sent(held, attemptId), loads(held.effects)]).toEqual([["chunk 0"], []]);
    expect(loads(say(next(0, 8, 2)).effects)).toEqual([]);
    const drained = node.feed({ type: "event/channelDrained", attemptId, channel: "streaming-rpc" });
    expect(loads(drained.effects)).toEqual([1]);
  });

  test("another channel that is full does not matter", () => {
    const { node, peer, say } = open();
    node.feed({ type: "event/channelBlocked", attemptId: peer.attemptId, channel: "rpc" });
    expect(loads(say(next(0, 0, 1)).effects)).toEqual([0]);
  });

  test("a peer that asks for nothing is cancelled after 30 s, counted from what it was sent last", () => {
    const { node, peer, say, loaded } = open();
    const { attemptId } = peer;
    expect(streamedTo(keptAlive(node, [peer], STREAM_IDLE_MS - 1), attemptId)).toEqual([]);
    say(next(0, 0, 1));
    loaded(0);
    expect(streamedTo(keptAlive(node, [peer], STREAM_IDLE_MS - 1), attemptId)).toEqual([]);
    const effects = keptAlive(node, [peer], 1);
    expect(streamedTo(effects, attemptId)).toEqual([cancel(0)]);
    expect(effectOf(effects, "effect/closeStream").streamId).toBe(0);
    expect(say(next(0, 1, 1)).effects).toEqual([]);
    expect(effectsOf(say(request(1)).effects, "effect/openStream")).toHaveLength(1);
  });

  test("a peer that waits for us is not idle", () => {
    const made = open();
    const { node, peer, say, loaded } = made;
    say(next(0, 0, 1));
    keptAlive(node, [peer], 3 * STREAM_IDLE_MS);
    expect(servedOf(made)?.permitted).toEqual([0]);
    loaded(0);
    keptAlive(node, [peer], 2 * STREAM_IDLE_MS);
    expect(servedOf(made)).toBeNull();
  });

  test("what takes too long to open is answered None before the peer calls it a timeout", () => {
    const { node, peer, say, opened } = bench();
    say(request(0));
    const effects = keptAlive(node, [peer], STREAM_OPEN_TIMEOUT_MS);
    expect(streamedTo(effects, peer.attemptId)).toEqual([{ tag: "manifest", id: 0, manifest: null }]);
    expect(effectOf(effects, "effect/closeStream").streamId).toBe(0);
    expect(opened().actions).toEqual([]);
    expect(STREAM_OPEN_TIMEOUT_MS).toBeLessThan(STREAM_IDLE_MS);
  });

  test("a full transport that stays full is stalled, and nothing of the stream is left", () => {
    const { node, peer, say, loaded } = open();
    const { attemptId } = peer;
    say(next(0, 0, 16));
    node.feed({ type: "event/channelBlocked", attemptId, channel: "streaming-rpc" });
    loaded(0);
    const effects = node.pass(STALLED_AFTER_MS);
    expect(goodbyes(effects)).toEqual(["stalled 0"]);
    expect(effectOf(effects, "effect/closeStream").streamId).toBe(0);
    expect([...node.state.deadlines.byName.keys()].filter((name) => name.startsWith("stream"))).toEqual([]);
  });

  test.each(["Goodbye", "connection lost", "violation"])("the end of the connection closes it: %s", (how) => {
    const { node, peer, say } = open();
    const { attemptId } = peer;
    say(next(0, 0, 16));
    const { effects } =
      how === "connection lost"
        ? closeTransport(node, attemptId)
        : how === "violation"
          ? say(next(0, 0, 16))
          : node.feed({ type: "command/disconnect", requestId: freshRequestId(), peerId: peer.peerId });
    expect(effectsOf(effects, "effect/closeStream")).toEqual([
      { type: "effect/closeStream", attemptId, streamId: 0 },
    ]);
    expect([...node.state.deadlines.byName.keys()].filter((name) => name.startsWith("stream"))).toEqual([]);
  });

  test("a node that stops cancels before it says Goodbye", () => {
    const { node, peer, say } = open();
    say(next(0, 0, 3));
    const { effects } = node.feed({ type: "command/stop" });
    const said = effectsOf(effects, "effect/send").map(({ message }) => message.tag);
    expect(said).toEqual(["cancel", "goodbye"]);
    expect(effectsOf(effects, "effect/closeStream")).toHaveLength(1);
    expect(liveOf(node, peer)).toBeUndefined();
  });

  test("nothing is served on a channel that the peer does not use", () => {
    const node = testNode();
    const peer = readyPeer(node, "peer", { channels: channelsWithout("streaming-rpc") });
    expect(liveOf(node, peer)?.streaming).toBeNull();
    expect(sayStream(node, peer.attemptId, request(0)).actions.map(({ type }) => type)).toEqual([
      "event/message",
    ]);
  });

  test("what means nothing is ignored as long as it is no flood", () => {
    const node = testNode();
    const silent = readyPeer(node, "silent", { channels: channelsWithout("streaming-rpc") });
    const done = readyPeer(node, "done");
    sayStream(node, done.attemptId, request(0));
    sayStream(node, done.attemptId, cancel(0));
    for (const peer of [silent, done]) {
      for (let count = 0; count < IGNORED_BURST; count++) sayStream(node, peer.attemptId, cancel(0));
      expect(liveOf(node, peer)).toBeDefined();
      expect(endReason(sayStream(node, peer.attemptId, cancel(0)))).toBe("overLimit");
    }
  });

  test("a Request that overtakes the Hello is answered after it", () => {
    const node = testNode();
    const { attemptId } = offerFrom(node, party("peer"));
    openTransport(node, attemptId);
    expect(sayStream(node, attemptId, request(0)).effects).toEqual([]);
    const { effects } = sayHello(node, attemptId);
    expect(effectOf(effects, "effect/openStream")).toMatchObject({ attemptId, streamId: 0, root });
  });
});

type Outcome = "ok" | "ignored" | "overLimit" | "badState" | "undecodable";

/** How a stream that the peer asked for may stand, and what each of its messages then is. */
const SERVING: readonly (readonly [string, (made: Bench) => void, Readonly<Record<string, Outcome>>])[] = [
  [
    "never opened",
    () => undefined,
    { request0: "ok", request1: "badState", next0: "badState", cancel0: "badState" },
  ],
  [
    "opening",
    ({ say }) => say(request(0)),
    {
      request0: "overLimit",
      request1: "overLimit",
      next0: "badState",
      next1: "badState",
      cancel0: "ok",
      cancel1: "badState",
    },
  ],
  [
    "open",
    ({ say, opened }) => {
      say(request(0));
      opened();
    },
    {
      request0: "overLimit",
      request1: "overLimit",
      next0: "ok",
      next1: "badState",
      cancel0: "ok",
      cancel1: "badState",
      all: "ok",
      none: "undecodable",
      oneTooMany: "overLimit",
      last: "ok",
      beyond: "overLimit",
      farBeyond: "overLimit",
    },
  ],
  [
    "with one chunk outstanding",
    ({ say, opened }) => {
      say(request(0));
      opened();
      say(next(0, 0, 1));
    },
    { request1: "overLimit", allButOne: "ok", all: "overLimit", next0: "ok", cancel0: "ok" },
  ],
  [
    "with all 16 outstanding",
    ({ say, opened }) => {
      say(request(0));
      opened();
      say(next(0, 0, 16));
    },
    { next0: "overLimit", cancel0: "ok", request1: "overLimit" },
  ],
  [
    "ended by None",
    ({ node, peer: { attemptId }, say }) => {
      say(request(0));
      node.feed({ type: "event/streamOpened", attemptId, streamId: 0, manifest: null });
    },
    {
      request0: "badState",
      request1: "ok",
      next0: "ignored",
      next1: "badState",
      cancel0: "ignored",
      cancel1: "badState",
      none: "undecodable",
      oneTooMany: "ignored",
    },
  ],
  [
    "ended by the peer's Cancel",
    ({ say, opened }) => {
      say(request(0));
      opened();
      say(next(0, 0, 4));
      say(cancel(0));
    },
    { request0: "badState", request1: "ok", next0: "ignored", beyond: "ignored", cancel0: "ignored" },
  ],
  [
    "ended by our Cancel",
    ({ node, peer, say, opened }) => {
      say(request(0));
      opened();
      keptAlive(node, [peer], STREAM_IDLE_MS);
    },
    { request0: "badState", request1: "ok", next0: "ignored", cancel0: "ignored", cancel1: "badState" },
  ],
];

const MESSAGES: Readonly<Record<string, StreamingMessage>> = {
  request0: request(0),
  request1: { tag: "request", id: 1, root: OTHER.root },
  next0: next(0, 5, 1),
  next1: next(1, 0, 1),
  allButOne: next(0, 5, 15),
  all: next(0, 5, STREAM_OUTSTANDING_MAX),
  oneTooMany: next(0, 5, STREAM_OUTSTANDING_MAX + 1),
  last: next(0, 39, 1),
  beyond: next(0, 39, 2),
  farBeyond: next(0, 2 ** 32 - 1, 1),
  none: next(0, 0, 1),
  cancel0: cancel(0),
  cancel1: cancel(1),
};

describe("streaming rpc: what a peer that is served may say", () => {
  const cases = SERVING.flatMap(([state, reach, outcomes]) =>
    Object.entries(outcomes).map(([name, outcome]) => [state, name, outcome, reach] as const),
  );
  test.each(cases)("stream %s: %s is %s", (_state, name, outcome, reach) => {
    const made = bench();
    const { node, peer } = made;
    reach(made);
    const message = MESSAGES[name];
    if (message === undefined) throw new Error(`${name} is a message`);
    // A count of 0 cannot be encoded.
    const result = name === "none" ? sayNone(node, peer) : made.say(message);
    if (outcome === "ok" || outcome === "ignored") {
      expect(endReason(result)).toBeUndefined();
      expect(liveOf(node, peer)).toBeDefined();
      if (outcome === "ignored") expect(result.effects).toEqual([]);
    } else {
      expect(endReason(result)).toBe(outcome);
      expect(goodbyes(result.effects)).toEqual([`${outcome} ${BAN_MS}`]);
    }
  });
});

/** `next(0, 0, 0)`. */
const sayNone = (node: TestNode, { attemptId }: TestPeer): Result =>
  node.feed({
    type: "event/message",
    attemptId,
    channel: "streaming-rpc",
    bytes: Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, 0, 0),
  });
