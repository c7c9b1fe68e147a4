import { describe, expect, test } from "vitest";
import type { StreamingMessage } from "../../core/channels/streaming-rpc.ts";
import type { Effect } from "../../core/effects.ts";
import type { AttemptId, Hash } from "../../core/ids.ts";
import {
  BAN_MS,
  STREAM_BYTES_MAX,
  STREAM_IDLE_MS,
  STREAM_KEEP_MS,
  STREAM_NEXT_MIN,
  STREAM_OUTSTANDING_MAX,
  STREAM_PATIENCE_MS,
  STREAM_TIMEOUT_MS,
} from "../../core/limits.ts";
import { chunksIn, chunksOf, runOf } from "../../core/streams.ts";
import { brokenInvariants } from "../invariants.ts";
import { bannedUntil } from "../penalties.ts";
import { type TestNode, testNode } from "../testing/node.ts";
import { channelsWithout, closeTransport, liveOf, readyPeer, type TestPeer } from "../testing/peers.ts";
import { effectOf, effectsOf, endReason, goodbyes, type Result } from "../testing/results.ts";
import {
  chunk,
  keptAlive,
  proposing,
  rootOf,
  sayStream,
  snapshotOf,
  stored,
  streamedTo,
} from "../testing/streams.ts";

const SNAPSHOT = snapshotOf("wanted", 80);
const { root, manifest } = SNAPSHOT;
const [A, B, C] = ["a", "b", "c"];

interface Fetching {
  readonly node: TestNode;
  readonly peers: readonly TestPeer[];
  /** What happened when the download began. */
  readonly begun: Result;
}

const checked = (): TestNode =>
  testNode({}, "us", (_input, { state }) => expect(brokenInvariants(state)).toEqual([]));

/** A download from these peers has begun; the Requests have left. */
function fetching(names: readonly string[] = [A], wanted: Hash = root): Fetching {
  const start = checked();
  const peers = names.map((name) => readyPeer(start, name));
  const { node, result } = proposing(start, { type: "stream/fetch", root: wanted });
  return { node, peers, begun: result };
}

/** All of them have sent their Manifest. */
function serving(...names: readonly string[]): Fetching {
  const made = fetching(names);
  for (const { attemptId } of made.peers)
    sayStream(made.node, attemptId, { tag: "manifest", id: 0, manifest });
  return made;
}

function first({ peers }: Fetching): TestPeer {
  const [peer] = peers;
  if (peer === undefined) throw new Error("there is a peer");
  return peer;
}

/** The peer sends a chunk, and the service finds it in order. */
function bring(node: TestNode, { attemptId }: TestPeer, index: number, id = 0): readonly Effect[] {
  const said = sayStream(node, attemptId, chunk(id, index));
  expect(effectOf(said.effects, "effect/storeChunk")).toMatchObject({ attemptId, streamId: id });
  return node.feed(stored(attemptId, id, root, index)).effects;
}

/** `from+count` of each Next, and the tags of everything else. */
const told = (effects: readonly Effect[], { attemptId }: TestPeer): readonly string[] =>
  streamedTo(effects, attemptId).map((message) =>
    message.tag === "next" ? `${message.from}+${message.count}` : `${message.tag} ${message.id}`,
  );

const permittedOf = (node: TestNode, { peerId }: TestPeer): readonly number[] =>
  node.state.download?.sources.get(peerId)?.permitted ?? [];

const streamWakes = ({ state }: TestNode): readonly string[] =>
  [...state.deadlines.byName.keys()].filter((name) => name.startsWith("stream"));

const discards = (effects: readonly Effect[]): readonly Hash[] =>
  effectsOf(effects, "effect/discardStream").map((effect) => effect.root);

describe("streams: who is asked for what", () => {
  test("every live peer that has the channel is asked, and once", () => {
    const start = checked();
    const peers = [readyPeer(start, A), readyPeer(start, B)];
    const without = readyPeer(start, C, { channels: channelsWithout("streaming-rpc") });
    const { node, result } = proposing(start, { type: "stream/fetch", root });
    for (const peer of peers) {
      expect(streamedTo(result.effects, peer.attemptId)).toEqual([{ tag: "request", id: 0, root }]);
    }
    expect(told(result.effects, without)).toEqual([]);
    const again = proposing(node, { type: "stream/fetch", root: snapshotOf("other", 1).root });
    expect([again.result.effects, again.node.state.download?.root]).toEqual([[], root]);
  });

  test("different chunks are asked of each, and more when four of its chunks were verified", () => {
    const made = fetching([A, B]);
    const { node, peers } = made;
    const nexts = peers.map((peer) =>
      told(sayStream(node, peer.attemptId, { tag: "manifest", id: 0, manifest }).effects, peer),
    );
    expect(nexts).toEqual([["0+16"], ["16+16"]]);
    const [a, b] = peers;
    if (a === undefined || b === undefined) throw new Error("two peers");
    expect([0, 1, 2, 3].map((index) => told(bring(node, a, index), a))).toEqual([[], [], [], ["32+4"]]);
    expect([16, 17, 18, 19].map((index) => told(bring(node, b, index), b))).toEqual([[], [], [], ["36+4"]]);
    expect(told(bring(node, a, 4), a)).toEqual([]);
    expect(STREAM_NEXT_MIN).toBe(4);
  });

  test("a permit is renewed when its chunk was verified, not when it arrived (law 2)", () => {
    const made = serving(A);
    const { node } = made;
    const peer = first(made);
    const arrived = Array.from({ length: STREAM_OUTSTANDING_MAX }, (_, index) =>
      sayStream(node, peer.attemptId, chunk(0, index)),
    );
    expect(arrived.flatMap(({ effects }) => told(effects, peer))).toEqual([]);
    const verified = [3, 0, 7, 1, 2, 4].map((index) =>
      told(node.feed(stored(peer.attemptId, 0, root, index)).effects, peer),
    );
    expect(verified).toEqual([[], [], [], ["16+4"], [], []]);
  });

  test("what is left over goes out in the pieces it is in", () => {
    const made = serving(A, B);
    const { node, peers } = made;
    const [a, b] = peers;
    if (a === undefined || b === undefined) throw new Error("two peers");
    for (const index of [0, 2, 5]) bring(node, a, index);
    closeTransport(node, a.attemptId);
    for (const index of [16, 17, 18]) bring(node, b, index);
    expect(told(bring(node, b, 19), b)).toEqual(["1+1", "3+2", "6+1"]);
  });

  test("after the last chunk everybody is sent Cancel, and the bytes stay with the service", () => {
    const made = serving(A, B);
    const { node, peers } = made;
    const effects = finish(made);
    for (const peer of peers)
      expect(told(effects, peer).filter((said) => said === "cancel 0")).toHaveLength(1);
    expect(node.state.download).toBeNull();
    expect(discards(effects)).toEqual([]);
    expect(streamWakes(node)).toEqual([]);
    for (const peer of peers) expect(liveOf(node, peer)).toBeDefined();
  });

  test("a stream of no bytes is one empty chunk", () => {
    const nothing = { size: 0n, merkleRoot: manifest.merkleRoot };
    const made = fetching([A], rootOf(nothing));
    const { node } = made;
    const peer = first(made);
    const said = sayStream(node, peer.attemptId, { tag: "manifest", id: 0, manifest: nothing });
    expect(told(said.effects, peer)).toEqual(["0+1"]);
    sayStream(node, peer.attemptId, { tag: "chunk", id: 0, index: 0, data: new Uint8Array(), proof: [] });
    node.feed(stored(peer.attemptId, 0, rootOf(nothing), 0));
    expect(node.state.download).toBeNull();
  });

  test("the last chunk counts what it has", () => {
    const short = { size: 120_017n, merkleRoot: manifest.merkleRoot };
    const { node, peers } = fetching([A], rootOf(short));
    const attemptId = peers[0]?.attemptId ?? (0 as AttemptId);
    sayStream(node, attemptId, { tag: "manifest", id: 0, manifest: short });
    sayStream(node, attemptId, chunk(0, 2));
    node.feed(stored(attemptId, 0, rootOf(short), 2));
    expect(node.state.download).toMatchObject({ stored: 1, storedBytes: 17 });
  });

  test("progress is in the state", () => {
    const made = serving(A);
    const { node } = made;
    for (const index of [0, 1, 2]) bring(node, first(made), index);
    expect(node.state.download).toMatchObject({
      root,
      startedMs: made.node.nowMs,
      manifest,
      chunks: 80,
      stored: 3,
      storedBytes: 180_000,
    });
  });
});

describe("streams: who is left", () => {
  test("nobody to ask: it fails at once, and nothing is kept", () => {
    const { node, begun } = fetching([]);
    expect(node.state.download).toBeNull();
    expect(discards(begun.effects)).toEqual([root]);
    expect(streamWakes(node)).toEqual([]);
  });

  test("None of all: the same, and without blame; a peer that comes later is asked as long as one is left", () => {
    const made = fetching([A, B]);
    const { node, peers } = made;
    const [a, b] = peers;
    if (a === undefined || b === undefined) throw new Error("two peers");
    sayStream(node, a.attemptId, { tag: "manifest", id: 0, manifest: null });
    const late = readyPeer(node, C);
    expect(node.state.download?.sources.has(late.peerId)).toBe(true);
    for (const { attemptId } of [b, late])
      sayStream(node, attemptId, { tag: "manifest", id: 0, manifest: null });
    expect(node.state.download).toBeNull();
    for (const peer of [a, b, late]) expect(liveOf(node, peer)).toBeDefined();
    expect(node.state.offenders.size).toBe(0);
  });

  test("a peer that leaves loses its permits to the others, and may come back", () => {
    const made = serving(A, B);
    const { node, peers } = made;
    const [a, b] = peers;
    if (a === undefined || b === undefined) throw new Error("two peers");
    for (const index of [16, 17, 18, 19]) bring(node, b, index);
    const before = permittedOf(node, b);
    closeTransport(node, a.attemptId);
    expect(chunksIn(node.state.download?.missing ?? runOf(0, 0))).toBe(80 - 4 - before.length);
    for (const index of [20, 21, 22]) bring(node, b, index);
    expect(told(bring(node, b, 23), b)).toEqual(["0+4"]);
    const back = readyPeer(node, A);
    expect(node.state.download?.sources.get(back.peerId)).toMatchObject({ streamId: 0, isServing: false });
    expect(node.state.offenders.size).toBe(0);
  });

  test("a peer without it is asked again on its next connection, not before", () => {
    const made = fetching([A, B]);
    const { node, peers } = made;
    const [a] = peers;
    if (a === undefined) throw new Error("two peers");
    sayStream(node, a.attemptId, { tag: "manifest", id: 0, manifest: null });
    expect(node.state.download?.sources.has(a.peerId)).toBe(false);
    closeTransport(node, a.attemptId);
    readyPeer(node, A);
    expect(node.state.download?.sources.has(a.peerId)).toBe(true);
  });

  test("another try goes on where the first one ended", () => {
    const made = serving(A);
    const { node } = made;
    for (const index of [0, 1, 2, 3, 5]) bring(node, first(made), index);
    const { effects } = closeTransport(node, first(made).attemptId);
    expect(node.state.download).toMatchObject({ isActive: false, stored: 5 });
    expect(discards(effects)).toEqual([]);
    expect(streamWakes(node)).toEqual(["stream keep"]);
    const back = readyPeer(node, B);
    expect(node.state.download?.sources.size).toBe(0);
    const resumed = proposing(node, { type: "stream/fetch", root });
    expect(told(resumed.result.effects, back)).toEqual(["request 0"]);
    const said = sayStream(resumed.node, back.attemptId, { tag: "manifest", id: 0, manifest });
    expect(told(said.effects, back)).toEqual(["4+1", "6+15"]);
  });

  test("what was received is kept for a while, and not longer", () => {
    const made = serving(A);
    const { node } = made;
    bring(node, first(made), 0);
    closeTransport(node, first(made).attemptId);
    expect(discards(node.pass(STREAM_KEEP_MS - 1))).toEqual([]);
    expect(discards(node.pass(1))).toEqual([root]);
    expect(node.state.download).toBeNull();
  });

  test("another root makes room for itself", () => {
    const made = serving(A, B);
    const { peers } = made;
    bring(made.node, first(made), 0);
    for (const { attemptId } of peers) closeTransport(made.node, attemptId);
    const other = snapshotOf("other", 3).root;
    const peer = readyPeer(made.node, C);
    const { node, result } = proposing(made.node, { type: "stream/fetch", root: other });
    expect(discards(result.effects)).toEqual([root]);
    expect(told(result.effects, peer)).toEqual(["request 0"]);
    expect([node.state.download?.root, node.state.download?.stored]).toEqual([other, 0]);
  });

  test("abandoned: everybody is told, what is here stays for a while; used: it is thrown away", () => {
    const made = serving(A);
    bring(made.node, first(made), 0);
    sayStream(made.node, first(made).attemptId, chunk(0, 1));
    const { node, result } = proposing(made.node, { type: "stream/abandon", root });
    expect(told(result.effects, first(made))).toEqual(["cancel 0"]);
    expect(node.state.download).toMatchObject({ isActive: false, stored: 1 });
    expect(streamWakes(node)).toEqual(["stream keep"]);
    // What was being verified still counts.
    node.feed(stored(first(made).attemptId, 0, root, 1));
    expect(node.state.download).toMatchObject({ isActive: false, stored: 2 });
    const used = serving(A);
    finish(used);
    expect(discards(proposing(used.node, { type: "stream/abandon", root }).result.effects)).toEqual([root]);
    const early = fetching([A]);
    const gone = proposing(early.node, { type: "stream/abandon", root });
    expect([gone.node.state.download, discards(gone.result.effects)]).toEqual([null, [root]]);
  });

  test("complete while nobody wanted it: the next who does has it at once", () => {
    const made = serving(A);
    const { node } = made;
    for (let index = 0; index < 64; index++) bring(node, first(made), index);
    for (let index = 64; index < 80; index++) sayStream(node, first(made).attemptId, chunk(0, index));
    const given = proposing(node, { type: "stream/abandon", root }).node;
    for (let index = 64; index < 80; index++) given.feed(stored(first(made).attemptId, 0, root, index));
    expect(given.state.download).toMatchObject({ isActive: false, stored: 80 });
    const { node: done, result } = proposing(given, { type: "stream/fetch", root });
    expect([done.state.download, result.effects]).toEqual([null, []]);
    expect(streamWakes(done)).toEqual([]);
  });

  test("a node that stops tells everybody and keeps nothing", () => {
    const made = serving(A, B);
    const { node } = made;
    bring(node, first(made), 0);
    const { effects } = node.feed({ type: "command/stop" });
    for (const peer of made.peers) expect(told(effects, peer)).toEqual(["cancel 0"]);
    expect([node.state.download, discards(effects), streamWakes(node)]).toEqual([null, [root], []]);
    const late = proposing(node, { type: "stream/fetch", root });
    expect([late.node.state.download, late.result.effects]).toEqual([null, []]);
  });
});

describe("streams: what becomes of a chunk", () => {
  test("one that is not what the root names is badChunk at that chunk; the others go on with all of its", () => {
    const made = serving(A, B);
    const { node, peers } = made;
    const [a, b] = peers;
    if (a === undefined || b === undefined) throw new Error("two peers");
    bring(node, a, 0);
    for (const index of [1, 2]) sayStream(node, a.attemptId, chunk(0, index));
    const result = node.feed(stored(a.attemptId, 0, root, 1, "invalid"));
    expect(endReason(result)).toBe("badChunk");
    expect(goodbyes(result.effects)).toEqual([`badChunk ${BAN_MS}`]);
    expect(liveOf(node, b)).toBeDefined();
    // What was being verified may still be right.
    node.feed(stored(a.attemptId, 0, root, 2));
    expect(node.state.download).toMatchObject({ stored: 2 });
    for (const index of [16, 17, 18]) bring(node, b, index);
    expect(told(bring(node, b, 19), b)).toEqual(["1+1", "3+3"]);
  });

  test("what a liar had goes at once to one that has nothing to do", () => {
    const made = serving(A, B);
    const { node, peers } = made;
    const [a, b] = peers;
    if (a === undefined || b === undefined) throw new Error("two peers");
    drainBy(node, b);
    sayStream(node, a.attemptId, chunk(0, 0));
    expect(told(node.feed(stored(a.attemptId, 0, root, 0, "invalid")).effects, b)).toEqual(["0+16"]);
  });

  test("a liar that has left meanwhile is banned all the same", () => {
    const made = serving(A, B);
    const { node } = made;
    const { attemptId, peerId } = first(made);
    sayStream(node, attemptId, chunk(0, 0));
    closeTransport(node, attemptId);
    node.feed(stored(attemptId, 0, root, 0, "invalid"));
    expect(bannedUntil(node.state, peerId)).toBe(node.nowMs + BAN_MS);
  });

  test("a liar that has come back meanwhile is disconnected again", () => {
    const made = serving(A, B);
    const { node } = made;
    const { attemptId } = first(made);
    sayStream(node, attemptId, chunk(0, 0));
    closeTransport(node, attemptId);
    const back = readyPeer(node, A);
    const result = node.feed(stored(attemptId, 0, root, 0, "invalid"));
    expect(endReason(result)).toBe("badChunk");
    expect(liveOf(node, back)).toBeUndefined();
  });

  test("the last source lies: nothing is left, what is verified is kept", () => {
    const made = serving(A);
    const { node } = made;
    bring(node, first(made), 0);
    sayStream(node, first(made).attemptId, chunk(0, 1));
    node.feed(stored(first(made).attemptId, 0, root, 1, "invalid"));
    expect(node.state.download).toMatchObject({ isActive: false, stored: 1 });
  });

  test("one that we cannot keep ends the download, and nobody is to blame", () => {
    const made = serving(A, B);
    const { node } = made;
    sayStream(node, first(made).attemptId, chunk(0, 0));
    const { effects } = node.feed(stored(first(made).attemptId, 0, root, 0, "failed"));
    for (const peer of made.peers) expect(told(effects, peer)).toEqual(["cancel 0"]);
    expect([node.state.download, discards(effects)]).toEqual([null, [root]]);
    expect(node.state.offenders.size).toBe(0);
  });

  test("what the service says of a stream that has ended is dropped", () => {
    const made = serving(A);
    const peer = first(made);
    sayStream(made.node, peer.attemptId, chunk(0, 0));
    const { node } = proposing(proposing(made.node, { type: "stream/abandon", root }).node, {
      type: "stream/fetch",
      root,
    });
    sayStream(node, peer.attemptId, { tag: "manifest", id: 1, manifest });
    expect(permittedOf(node, peer)).not.toContain(0);
    expect(node.feed(stored(peer.attemptId, 1, root, 0)).actions).toEqual([]);
    expect(node.feed(stored(peer.attemptId, 0, root, 0)).actions).not.toEqual([]);
    expect(node.feed(stored(peer.attemptId, 0, root, 0)).actions).toEqual([]);
  });
});

describe("streams: connections of one key, one after the other", () => {
  test("what the service says of the earlier one is dropped, even of the same stream and chunk", () => {
    const made = serving(A, B);
    const [a] = made.peers;
    if (a === undefined) throw new Error("two peers");
    for (const index of [0, 1]) sayStream(made.node, a.attemptId, chunk(0, index));
    made.node.feed(stored(a.attemptId, 0, root, 1, "failed"));
    closeTransport(made.node, a.attemptId);
    const back = readyPeer(made.node, A);
    const { node } = proposing(made.node, { type: "stream/fetch", root });
    sayStream(node, back.attemptId, { tag: "manifest", id: 0, manifest });
    sayStream(node, back.attemptId, chunk(0, 0));
    expect(node.feed(stored(a.attemptId, 0, root, 0)).actions).toEqual([]);
    expect(node.feed(stored(back.attemptId, 0, root, 0)).actions).not.toEqual([]);
  });

  test("the end of the earlier one is not that of the later", () => {
    const made = serving(A);
    const { peerId, attemptId } = first(made);
    const late = {
      type: "stream/peerLeft",
      peerId,
      attemptId: (attemptId - 1) as AttemptId,
      serving: null,
    } as const;
    expect(permittedOf(proposing(made.node, late).node, first(made))).toHaveLength(STREAM_OUTSTANDING_MAX);
  });

  test("of two that are timed out at once, the second is not given what the first had", () => {
    const made = serving(A, B);
    const { node, peers } = made;
    // They are timed out in the order of their keys.
    const last = peers.toSorted((one, other) => (one.peerId < other.peerId ? -1 : 1)).at(-1);
    if (last === undefined) throw new Error("two peers");
    leaveFour(node, last);
    const effects = keptAlive(node, peers, STREAM_TIMEOUT_MS);
    expect(goodbyes(effects)).toEqual(["timeout 0", "timeout 0"]);
    for (const peer of peers) expect(told(effects, peer)).toEqual([]);
  });
});

describe("streams: time", () => {
  test("no Manifest for 30 s is a timeout", () => {
    const made = fetching([A]);
    const { node } = made;
    keptAlive(node, made.peers, STREAM_TIMEOUT_MS - 1);
    expect(liveOf(node, first(made))).toBeDefined();
    expect(goodbyes(keptAlive(node, made.peers, 1))).toEqual(["timeout 0"]);
    expect([node.state.download, streamWakes(node)]).toEqual([null, []]);
  });

  test("no chunk for 30 s is a timeout, and its chunks go on with the others", () => {
    const made = serving(A, B);
    const { node, peers } = made;
    const [a, b] = peers;
    if (a === undefined || b === undefined) throw new Error("two peers");
    keptAlive(node, peers, STREAM_TIMEOUT_MS - 1_000);
    for (const index of [16, 17, 18, 19]) bring(node, b, index);
    expect(goodbyes(keptAlive(node, peers, 1_000))).toEqual(["timeout 0"]);
    expect([liveOf(node, a), liveOf(node, b)?.attemptId]).toEqual([undefined, b.attemptId]);
    for (const index of [20, 21, 22]) bring(node, b, index);
    expect(told(bring(node, b, 23), b)).toEqual(["0+4"]);
  });

  test("each chunk is progress, and who has nothing to do makes none", () => {
    const made = serving(A, B);
    const { node, peers } = made;
    const [a, b] = peers;
    if (a === undefined || b === undefined) throw new Error("two peers");
    // b brings everything it may, one chunk in 4 s; a has 16 chunks, one in 29 s.
    for (let index = 0; index < 3; index++) {
      keptAlive(node, peers, STREAM_TIMEOUT_MS - 1_000);
      bring(node, a, index);
      bring(node, b, 16 + index);
    }
    expect([liveOf(node, a), liveOf(node, b)].map((live) => live?.attemptId)).toEqual([
      a.attemptId,
      b.attemptId,
    ]);
  });

  test("being given more is no progress", () => {
    const made = serving(A, B);
    const { node, peers } = made;
    const [a, b] = peers;
    if (a === undefined || b === undefined) throw new Error("two peers");
    leaveFour(node, b);
    keptAlive(node, peers, STREAM_TIMEOUT_MS - 1_000);
    expect(told(closeTransport(node, a.attemptId).effects, b)).toEqual(["0+12"]);
    expect(goodbyes(keptAlive(node, [b], 999))).toEqual([]);
    expect(goodbyes(keptAlive(node, [b], 1))).toEqual(["timeout 0"]);
  });

  test("one that has nothing to do is never timed out", () => {
    const made = serving(A, B);
    const { node, peers } = made;
    const [a, b] = peers;
    if (a === undefined || b === undefined) throw new Error("two peers");
    drainBy(node, b);
    for (const index of permittedOf(node, a)) sayStream(node, a.attemptId, chunk(0, index));
    // The disk is slow: what a has brought is being stored.
    expect(goodbyes(keptAlive(node, peers, 2 * STREAM_TIMEOUT_MS))).toEqual([]);
    for (let index = 0; index < STREAM_OUTSTANDING_MAX; index++)
      node.feed(stored(a.attemptId, 0, root, index));
    expect(node.state.download).toBeNull();
  });

  test("nobody holds up a download: one that is done takes over what another has had for long", () => {
    const made = serving(A, B);
    const { node, peers } = made;
    const [a, b] = peers;
    if (a === undefined || b === undefined) throw new Error("two peers");
    drainBy(node, b);
    expect(permittedOf(node, a)).toEqual(chunksOf({ from: 0, count: 16 }));
    expect(streamWakes(node)).toEqual(["stream relieve", "stream watch"]);
    const effects = keptAlive(node, peers, STREAM_PATIENCE_MS);
    expect([told(effects, a), told(effects, b)]).toEqual([["cancel 0"], ["0+16"]]);
    expect(liveOf(node, a)).toBeDefined();
    expect(sayStream(node, a.attemptId, chunk(0, 0)).effects).toEqual([]);
    drainBy(node, b);
    expect(node.state.download).toBeNull();
  });

  test("the 30 s of one that had nothing to do begin when it is given something", () => {
    const made = serving(A, B);
    const { node, peers } = made;
    const [, b] = peers;
    if (b === undefined) throw new Error("two peers");
    drainBy(node, b);
    keptAlive(node, peers, STREAM_PATIENCE_MS);
    expect(permittedOf(node, b)).toHaveLength(STREAM_OUTSTANDING_MAX);
    expect(goodbyes(keptAlive(node, peers, STREAM_TIMEOUT_MS - 1))).toEqual([]);
    expect(goodbyes(keptAlive(node, peers, 1))).toEqual(["timeout 0"]);
  });

  test("a slow peer that nobody can relieve goes on", () => {
    const made = serving(A);
    const { node, peers } = made;
    keptAlive(node, peers, 3 * STREAM_PATIENCE_MS);
    expect(permittedOf(node, first(made))).toHaveLength(STREAM_OUTSTANDING_MAX);
  });

  test("a source whose permits are young is not relieved before they are old", () => {
    const made = serving(A, B, C);
    const { node, peers } = made;
    const [a, b, c] = peers;
    if (a === undefined || b === undefined || c === undefined) throw new Error("three peers");
    drainBy(node, c);
    keptAlive(node, peers, STREAM_PATIENCE_MS - 1_000);
    // b gets the chunks of a, which leaves: they are young when c is asked to relieve.
    for (const index of chunksOf({ from: 16, count: 16 })) bring(node, b, index);
    closeTransport(node, a.attemptId);
    const taker = permittedOf(node, b).length > 0 ? b : c;
    const idle = taker === b ? c : b;
    const early = keptAlive(node, [b, c], 1_500);
    expect(told(early, taker)).toEqual([]);
    const late = keptAlive(node, [b, c], STREAM_PATIENCE_MS);
    expect([told(late, taker), told(late, idle)]).toEqual([["cancel 0"], ["0+16"]]);
  });
});

describe("streams: a source cancels", () => {
  test("one that was of use is asked again, under the next id", () => {
    const made = serving(A);
    const { node } = made;
    const peer = first(made);
    for (const index of [0, 1]) bring(node, peer, index);
    const { effects } = sayStream(node, peer.attemptId, { tag: "cancel", id: 0 });
    expect(told(effects, peer)).toEqual(["request 1"]);
    const said = sayStream(node, peer.attemptId, { tag: "manifest", id: 1, manifest });
    expect(told(said.effects, peer)).toEqual(["2+16"]);
    expect(sayStream(node, peer.attemptId, chunk(0, 3)).effects).toEqual([]);
    for (const index of [2, 3]) bring(node, peer, index, 1);
  });

  test("one that was of none is not; its chunks go on with the others", () => {
    const made = serving(A, B);
    const { node, peers } = made;
    const [a, b] = peers;
    if (a === undefined || b === undefined) throw new Error("two peers");
    const { effects } = sayStream(node, a.attemptId, { tag: "cancel", id: 0 });
    expect([told(effects, a), node.state.download?.sources.has(a.peerId)]).toEqual([[], false]);
    for (const index of [16, 17, 18]) bring(node, b, index);
    expect(told(bring(node, b, 19), b)).toEqual(["0+4"]);
  });

  test("the last one: the download has failed", () => {
    const made = serving(A);
    sayStream(made.node, first(made).attemptId, { tag: "cancel", id: 0 });
    expect(made.node.state.download).toBeNull();
  });

  test("a Cancel that may mean either direction ends both, and says so", () => {
    const made = serving(A);
    const { node } = made;
    const peer = first(made);
    const { attemptId } = peer;
    sayStream(node, attemptId, { tag: "request", id: 0, root: snapshotOf("theirs", 4).root });
    bring(node, peer, 0);
    const { effects } = sayStream(node, attemptId, { tag: "cancel", id: 0 });
    expect(effectsOf(effects, "effect/closeStream")).toHaveLength(1);
    expect(told(effects, peer)).toEqual(["cancel 0", "request 1"]);
    expect(liveOf(node, peer)?.streaming?.theirs).toBeNull();
  });

  test("a Cancel of what we serve under another id leaves the download alone", () => {
    const made = serving(A);
    const { node } = made;
    const peer = first(made);
    const { attemptId } = peer;
    sayStream(node, attemptId, { tag: "request", id: 0, root: snapshotOf("theirs", 4).root });
    node.feed({ type: "event/streamOpened", attemptId, streamId: 0, manifest: null });
    sayStream(node, attemptId, { tag: "request", id: 1, root: snapshotOf("theirs", 4).root });
    const { effects } = sayStream(node, attemptId, { tag: "cancel", id: 1 });
    expect([told(effects, peer), permittedOf(node, peer).length]).toEqual([[], STREAM_OUTSTANDING_MAX]);
  });
});

const WRONG = { size: manifest.size + 1n, merkleRoot: manifest.merkleRoot };
const MESSAGES: Readonly<Record<string, StreamingMessage>> = {
  manifest0: { tag: "manifest", id: 0, manifest },
  manifest1: { tag: "manifest", id: 1, manifest },
  none0: { tag: "manifest", id: 0, manifest: null },
  larger: { tag: "manifest", id: 0, manifest: WRONG },
  huge: { tag: "manifest", id: 0, manifest: { size: 2n ** 64n - 1n, merkleRoot: manifest.merkleRoot } },
  empty: { tag: "manifest", id: 0, manifest: { size: 0n, merkleRoot: manifest.merkleRoot } },
  otherTree: { tag: "manifest", id: 0, manifest: { size: manifest.size, merkleRoot: "0".repeat(64) } },
  chunk0: chunk(0, 0),
  chunk16: chunk(0, 16),
  chunk80: chunk(0, 80),
  chunkOf1: chunk(1, 0),
  cancel0: { tag: "cancel", id: 0 },
  cancel1: { tag: "cancel", id: 1 },
};

type Outcome = "ok" | "ignored" | "badState" | "badChunk";

const FETCHING: readonly (readonly [string, () => Fetching, Readonly<Record<string, Outcome>>])[] = [
  [
    "never asked",
    () => ({ ...fetching([]), ...lonely() }),
    { manifest0: "badState", none0: "badState", chunk0: "badState", cancel0: "badState" },
  ],
  [
    "asked",
    () => fetching([A]),
    {
      manifest0: "ok",
      manifest1: "badState",
      none0: "ok",
      larger: "badChunk",
      huge: "badChunk",
      empty: "badChunk",
      otherTree: "badChunk",
      chunk0: "badState",
      chunkOf1: "badState",
      cancel0: "ok",
      cancel1: "badState",
    },
  ],
  [
    "serving",
    () => serving(A),
    {
      manifest0: "badState",
      none0: "badState",
      chunk0: "ok",
      chunk16: "badState",
      chunk80: "badState",
      chunkOf1: "badState",
      cancel0: "ok",
    },
  ],
  [
    "serving, chunk 0 being verified",
    () => {
      const made = serving(A);
      sayStream(made.node, first(made).attemptId, chunk(0, 0));
      return made;
    },
    { chunk0: "badState", cancel0: "ok" },
  ],
  [
    "serving, chunk 0 verified",
    () => {
      const made = serving(A);
      bring(made.node, first(made), 0);
      return made;
    },
    { chunk0: "badState", chunk16: "badState" },
  ],
  [
    "ended by None",
    () => {
      const made = fetching([A, B]);
      sayStream(made.node, first(made).attemptId, { tag: "manifest", id: 0, manifest: null });
      return made;
    },
    { manifest0: "ignored", none0: "ignored", chunk0: "ignored", cancel0: "ignored", chunkOf1: "badState" },
  ],
  [
    "ended by our Cancel, after the last chunk",
    () => {
      const made = serving(A, B);
      finish(made);
      return made;
    },
    {
      manifest0: "ignored",
      chunk0: "ignored",
      chunk80: "ignored",
      cancel0: "ignored",
      manifest1: "badState",
      cancel1: "badState",
    },
  ],
  [
    "ended by our Cancel, before its Manifest",
    () => {
      const made = fetching([A]);
      const { node } = proposing(made.node, { type: "stream/abandon", root });
      return { ...made, node };
    },
    { manifest0: "ignored", none0: "ignored", larger: "ignored", chunk0: "ignored", cancel0: "ignored" },
  ],
];

describe("streams: what a peer that we fetch from may say", () => {
  const cases = FETCHING.flatMap(([state, reach, outcomes]) =>
    Object.entries(outcomes).map(([name, outcome]) => [state, name, outcome, reach] as const),
  );
  test.each(cases)("stream %s: %s is %s", (_state, name, outcome, reach) => {
    const made = reach();
    const { node } = made;
    const peer = first(made);
    const message = MESSAGES[name];
    if (message === undefined) throw new Error(`${name} is a message`);
    const result = sayStream(node, peer.attemptId, message);
    if (outcome === "ok" || outcome === "ignored") {
      expect(liveOf(node, peer)).toBeDefined();
      if (outcome === "ignored") expect(result.effects).toEqual([]);
    } else {
      expect(endReason(result)).toBe(outcome);
      expect(goodbyes(result.effects)).toEqual([`${outcome} ${BAN_MS}`]);
    }
  });

  test("a Manifest of its root that is larger than we take ends the download, and nobody is to blame", () => {
    for (const size of [BigInt(STREAM_BYTES_MAX) + 1n, 2n ** 64n - 1n]) {
      const large = { size, merkleRoot: manifest.merkleRoot };
      const made = fetching([A, B], rootOf(large));
      const { effects } = sayStream(made.node, first(made).attemptId, {
        tag: "manifest",
        id: 0,
        manifest: large,
      });
      for (const peer of made.peers) expect(told(effects, peer)).toEqual(["cancel 0"]);
      expect([made.node.state.download, made.node.state.offenders.size]).toEqual([null, 0]);
    }
    const largest = { size: BigInt(STREAM_BYTES_MAX), merkleRoot: manifest.merkleRoot };
    const made = fetching([A], rootOf(largest));
    const said = sayStream(made.node, first(made).attemptId, { tag: "manifest", id: 0, manifest: largest });
    expect(told(said.effects, first(made))).toEqual(["0+16"]);
  });

  test("chunks for what ended change nothing, but for how many more may be ignored", () => {
    const made = serving(A, B);
    finish(made);
    const before = liveOf(made.node, first(made));
    for (let index = 0; index < 200; index++) {
      expect(sayStream(made.node, first(made).attemptId, chunk(0, index)).effects).toEqual([]);
    }
    const { ignoredBudget } = liveOf(made.node, first(made))?.control ?? {};
    const control = { ...before?.control, ignoredBudget };
    expect(liveOf(made.node, first(made))).toEqual({ ...before, control });
    expect(made.node.state.download).toBeNull();
    expect(STREAM_IDLE_MS).toBe(30_000);
  });
});

/** A peer that was asked for nothing. */
function lonely(): Pick<Fetching, "node" | "peers"> {
  const node = checked();
  return { node, peers: [readyPeer(node, A)] };
}

/** Every source brings what it may until it may no more. */
function finish({ node, peers }: Fetching): readonly Effect[] {
  const effects: Effect[] = [];
  while (node.state.download !== null) {
    const before = node.state;
    for (const peer of peers) {
      for (const index of permittedOf(node, peer)) effects.push(...bring(node, peer, index));
    }
    if (node.state === before) throw new Error("the download stands still");
  }
  return effects;
}

/** This one brings what it may until only its last four are left, and those that others have. */
function leaveFour(node: TestNode, peer: TestPeer): void {
  while (chunksIn(node.state.download?.missing ?? runOf(0, 0)) > 0 || permittedOf(node, peer).length > 4) {
    bring(node, peer, permittedOf(node, peer)[0] ?? -1);
  }
}

/** This one brings what it may until it may no more. */
function drainBy(node: TestNode, peer: TestPeer): void {
  for (let [index] = permittedOf(node, peer); index !== undefined; [index] = permittedOf(node, peer)) {
    bring(node, peer, index);
  }
}
