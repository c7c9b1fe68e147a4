import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { StreamingMessage } from "../../core/channels/streaming-rpc.ts";
import type { Effect } from "../../core/effects.ts";
import { STREAM_OUTSTANDING_MAX } from "../../core/limits.ts";
import { bytes32 } from "../../reducers/testing/chain.ts";
import type { TestNode } from "../../reducers/testing/node.ts";
import { closeTransport, readyPeer, type TestPeer } from "../../reducers/testing/peers.ts";
import { chunk, proposing, sayStream, snapshotOf, stored } from "../../reducers/testing/streams.ts";
import { runs } from "../runs.ts";
import * as model from "./streaming.ts";
import { answerPing, checkModel, command, createWorld, type Seen } from "./world.ts";

/** 7.8, fetching from two peers: what is asked of whom is the node's choice, within the rules. */

type Model = model.FetchingModel;
type Source = model.Source;

interface Real {
  node: TestNode;
  readonly look: () => Seen;
  readonly peers: TestPeer[];
  /** How many have been at each place: each liar is followed by somebody new. */
  readonly names: Map<number, number>;
  /** Chunks that the service verifies. */
  checking: { readonly peer: TestPeer; readonly id: number; readonly index: number; readonly at: number }[];
}

const SNAPSHOT = snapshotOf("wanted", 40);
const { root, manifest } = SNAPSHOT;
const PEERS = [0, 1] as const;
/** Time passes in these steps: whoever is late is found to be within one. */
const STEP_MS = 500;

function setup(): { model: Model; real: Real } {
  const world = createWorld();
  const peers = PEERS.map((at) => readyPeer(world.node, `peer ${at} 0`));
  world.look();
  const expected: Model = {
    nowMs: world.node.nowMs,
    chunks: SNAPSHOT.chunks,
    stored: new Set(),
    storing: new Set(),
    isOver: false,
    sources: PEERS.map(model.freshSource),
  };
  const real = { node: world.node, look: world.look, peers, names: new Map(), checking: [] };
  begin(expected, real);
  return { model: expected, real };
}

/** The download begins, or is taken up again with what is here. */
function begin(expected: Model, real: Real): void {
  if (real.node.state.download === null) expected.stored = new Set();
  expected.isOver = false;
  real.node = proposing(real.node, { type: "stream/fetch", root }).node;
  compare(expected, real);
}

/** Everything that the node says is allowed when it is said, and what has to be said is. */
function compare(expected: Model, real: Real, ended: readonly string[] = []): void {
  const seen = real.look();
  for (const effect of seen.effects) expect([effect, note(expected, real, effect)]).toEqual([effect, true]);
  expect(seen.ended).toEqual(ended);
  const isActive = real.node.state.download?.isActive === true;
  if (isActive || expected.isOver) expect(model.isStuck(expected)).toBe(false);
}

/** @returns whether it is allowed */
function note(expected: Model, { peers }: Real, effect: Effect): boolean {
  if (effect.type !== "effect/send" || effect.channel !== "streaming-rpc") return true;
  const source = expected.sources[peers.findIndex(({ attemptId }) => attemptId === effect.attemptId)];
  if (source === undefined) return false;
  const { message } = effect;
  switch (message.tag) {
    case "request":
      return model.asks(expected, source, message.id) && message.root === root;
    case "next":
      return model.permits(expected, source, message.id, message.from, message.count);
    case "cancel":
      return model.cancels(expected, source, message.id);
    default:
      return false;
  }
}

type Command = fc.Command<Model, Real>;
type Happens = (expected: Model, real: Real, source: Source, peer: TestPeer, at: number) => void;

/** Something that one of the peers does, if it can. */
const by = (name: string, can: (source: Source) => boolean, happens: Happens): fc.Arbitrary<Command> =>
  fc.constantFrom(...PEERS).map((at) =>
    command<Model, Real>(
      `${at}: ${name}`,
      (expected, real) => {
        const [source, peer] = [expected.sources[at], real.peers[at]];
        if (source !== undefined && peer !== undefined) happens(expected, real, source, peer, at);
      },
      ({ sources }) => sources.some((source, index) => index === at && can(source)),
    ),
  );

/** It is gone, and somebody else, or the same once more, comes in its place. */
function replace(expected: Model, real: Real, at: number, isNew: boolean): void {
  const before = real.peers[at];
  if (isNew) real.names.set(at, (real.names.get(at) ?? 0) + 1);
  expected.sources[at] = model.freshSource();
  if (before !== undefined) real.peers[at] = readyPeer(real.node, `peer ${at} ${real.names.get(at) ?? 0}`);
  compare(expected, real);
}

/** It breaks a rule: the others bring what it was asked for. */
function expectEnd(expected: Model, real: Real, at: number, reason: string, say: () => unknown): void {
  const source = expected.sources[at];
  if (source !== undefined) model.endSource(source);
  say();
  compare(expected, real, [reason]);
  replace(expected, real, at, true);
}

const isAsked = ({ id, isServing }: Source): boolean => id !== null && !isServing;
const isPermitted = ({ outstanding }: Source): boolean => outstanding.length > 0;

const hear = ({ node }: Real, { attemptId }: TestPeer, message: StreamingMessage): void => {
  sayStream(node, attemptId, message);
};

const manifested = by("Manifest", isAsked, (expected, real, source, peer) => {
  const { id } = source;
  if (id === null) return;
  source.isServing = true;
  source.progressMs = expected.nowMs;
  hear(real, peer, { tag: "manifest", id, manifest });
  compare(expected, real);
});

const hasNot = by("Manifest None", isAsked, (expected, real, source, peer) => {
  const { id } = source;
  if (id === null) return;
  model.endSource(source);
  hear(real, peer, { tag: "manifest", id, manifest: null });
  compare(expected, real);
});

/** In the order of the permits, or in another. */
const brings = fc.nat(STREAM_OUTSTANDING_MAX - 1).chain((which) =>
  by(`Chunk ${which}`, isPermitted, (expected, real, source, peer, at) => {
    const { id, outstanding } = source;
    const index = outstanding[which % outstanding.length];
    if (id === null || index === undefined) return;
    source.outstanding = outstanding.filter((other) => other !== index);
    source.progressMs = expected.nowMs;
    expected.storing.add(index);
    real.checking.push({ peer, id, index, at });
    hear(real, peer, chunk(id, index));
    compare(expected, real);
  }),
);

/** The service says what a chunk is worth. */
const verified = fc
  .tuple(
    fc.nat(19),
    fc.oneof(
      { weight: 12, arbitrary: fc.constant("stored" as const) },
      { weight: 2, arbitrary: fc.constant("invalid" as const) },
      { weight: 1, arbitrary: fc.constant("failed" as const) },
    ),
  )
  .map(([which, outcome]) =>
    command<Model, Real>(
      `verified ${which}: ${outcome}`,
      (expected, real) => {
        const one = real.checking[which % real.checking.length];
        if (one === undefined) return;
        const { peer, id, index, at } = one;
        real.checking = outcome === "failed" ? [] : real.checking.filter((other) => other !== one);
        expected.storing.delete(index);
        const say = (): void => {
          real.node.feed(stored(peer.attemptId, id, root, index, outcome));
        };
        if (outcome === "invalid" && real.peers[at]?.peerId === peer.peerId) {
          expectEnd(expected, real, at, "badChunk", say);
          return;
        }
        if (outcome === "stored") expected.stored.add(index);
        if (outcome === "failed") expected.storing.clear();
        expected.isOver = outcome === "failed" || model.isComplete(expected);
        say();
        compare(expected, real);
      },
      ({ storing }) => storing.size > 0,
    ),
  );

const LIES: Readonly<Record<string, readonly [string, (source: Source, id: number) => StreamingMessage]>> = {
  "a Manifest of another root": [
    "badChunk",
    (_source, id) => ({ tag: "manifest", id, manifest: { size: 60_000n, merkleRoot: bytes32("lie") } }),
  ],
  "a stream that was never asked for": ["badState", ({ nextId }) => chunk(nextId, 0)],
  "a chunk without a permit": [
    "badState",
    ({ outstanding }, id) =>
      chunk(id, [...Array(SNAPSHOT.chunks).keys()].find((index) => !outstanding.includes(index)) ?? 0),
  ],
};

const lies = fc.constantFrom(...Object.entries(LIES)).chain(([name, [reason, lie]]) =>
  by(
    name,
    ({ id, isServing }) => id !== null && isServing === (reason === "badState"),
    (expected, real, source, peer, at) => {
      const said = lie(source, source.id ?? 0);
      expectEnd(expected, real, at, reason, () => hear(real, peer, said));
    },
  ),
);

const late = by(
  "a chunk of a stream that has ended",
  ({ id, nextId }) => nextId > 0 && id !== nextId - 1,
  (expected, real, { nextId }, peer) => {
    hear(real, peer, chunk(nextId - 1, 0));
    hear(real, peer, { tag: "manifest", id: nextId - 1, manifest: null });
    compare(expected, real);
  },
);

const cancels = by(
  "Cancel",
  ({ id }) => id !== null,
  (expected, real, source, peer) => {
    const { id } = source;
    if (id === null) return;
    model.endSource(source);
    hear(real, peer, { tag: "cancel", id });
    compare(expected, real);
  },
);

const leaves = by(
  "it comes back",
  () => true,
  (expected, real, source, peer, at) => {
    model.endSource(source);
    closeTransport(real.node, peer.attemptId);
    compare(expected, real, ["connectionLost"]);
    replace(expected, real, at, false);
  },
);

const again = fc.constant(
  command<Model, Real>("it is wanted, once more", (expected, real) => {
    if (real.node.state.download?.isActive !== true) begin(expected, real);
  }),
);

const wait = fc.oneof(fc.constantFrom(500, 1_000, 3_000, 6_000), fc.constant(31_000)).map((ms) =>
  command<Model, Real>(`${ms} ms`, (expected, real) => {
    for (let passed = 0; passed < ms; passed += STEP_MS) {
      real.node.pass(STEP_MS);
      expected.nowMs += STEP_MS;
      const slow = PEERS.filter((at) => {
        const source = expected.sources[at];
        return source !== undefined && model.isTimedOut(expected, source);
      });
      for (const at of slow)
        Object.assign(expected.sources[at] ?? {}, { id: null, isServing: false, outstanding: [] });
      compare(
        expected,
        real,
        slow.map(() => "timeout"),
      );
      for (const at of slow) replace(expected, real, at, true);
      for (const peer of real.peers) answerPing(real.node, peer);
    }
  }),
);

const COMMANDS: fc.Arbitrary<Command>[] = [
  manifested,
  manifested,
  brings,
  brings,
  brings,
  brings,
  verified,
  verified,
  verified,
  again,
  wait,
  fc.oneof(hasNot, lies, late, cancels, leaves),
];

describe("model of streaming: fetching", () => {
  test("no chunk is asked for twice, sixteen at most of one peer, liars end, and what is here is kept", () => {
    checkModel(COMMANDS, setup, { numRuns: runs(60), maxCommands: 80 });
  });
});
