import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { StreamingMessage } from "../../core/channels/streaming-rpc.ts";
import type { Effect } from "../../core/effects.ts";
import { BAN_MS, STREAM_OUTSTANDING_MAX } from "../../core/limits.ts";
import { readyPeer, type TestPeer } from "../../reducers/testing/peers.ts";
import { goodbyes } from "../../reducers/testing/results.ts";
import { sayStream, snapshotOf } from "../../reducers/testing/streams.ts";
import { runs } from "../runs.ts";
import * as model from "./streaming.ts";
import { answerPing, checkModel, command, createWorld, PORTION_MS, type World } from "./world.ts";

/** 7.8, serving: chunks for permits, in their order, of one stream at a time. */

type Model = model.ServingModel;
type Said = ReturnType<typeof model.requested>;

interface Real extends World {
  peer: TestPeer;
  peers: number;
}

const SNAPSHOT = snapshotOf("served", 40);
const CHUNK = { data: Uint8Array.of(1), proof: [] };

function setup(): { model: Model; real: Real } {
  const world = createWorld();
  const peer = readyPeer(world.node, "peer 0");
  world.look();
  return {
    model: model.freshServing(world.node.nowMs),
    real: { ...world, peer, peers: 0 },
  };
}

/** What is said on the channel, and what the service is asked. */
function wordsOf(effect: Effect): readonly string[] {
  switch (effect.type) {
    case "effect/openStream":
      return [`open ${effect.streamId}`];
    case "effect/loadChunk":
      return [`load ${effect.streamId} ${effect.index}`];
    case "effect/closeStream":
      return [`close ${effect.streamId}`];
    case "effect/send": {
      if (effect.channel !== "streaming-rpc") return [];
      const { message } = effect;
      if (message.tag === "manifest") return [`manifest ${message.id} ${message.manifest !== null}`];
      return message.tag === "chunk"
        ? [`chunk ${message.id} ${message.index}`]
        : [`${message.tag} ${message.id}`];
    }
    default:
      return [];
  }
}

function compare(expected: Model, real: Real, { words, reason }: Said): void {
  const { effects, ended } = real.look();
  expect(ended).toEqual(reason === null ? [] : [reason]);
  const open = expected.stream;
  const isClosed = reason !== null && open !== null;
  expect(effects.flatMap(wordsOf)).toEqual(isClosed ? [`close ${open.id}`] : words);
  if (reason === null) return;
  expect(goodbyes(effects)).toEqual([`${reason} ${BAN_MS}`]);
  real.peers += 1;
  real.peer = readyPeer(real.node, `peer ${real.peers}`);
  real.look();
  Object.assign(expected, model.freshServing(expected.nowMs));
}

type Command = fc.Command<Model, Real>;

const hear = (expected: Model, real: Real, said: Said, message: StreamingMessage): void => {
  sayStream(real.node, real.peer.attemptId, message);
  compare(expected, real, said);
};

/** Mostly the right number. */
const beside = fc.oneof({ weight: 12, arbitrary: fc.constant(0) }, fc.constantFrom(-1, 1));

const request = beside.map((by) =>
  command<Model, Real>(`Request ${by}`, (expected, real) => {
    const id = Math.max(0, expected.theirNextId + by);
    hear(expected, real, model.requested(expected, id), { tag: "request", id, root: SNAPSHOT.root });
  }),
);

/** As an honest peer: not while one is open. */
const requestAgain = fc.constant(
  command<Model, Real>(
    "Request",
    (expected, real) => {
      const id = expected.theirNextId;
      hear(expected, real, model.requested(expected, id), { tag: "request", id, root: SNAPSHOT.root });
    },
    ({ stream }) => stream === null,
  ),
);

const opened = fc.oneof({ weight: 6, arbitrary: fc.constant(true) }, fc.constant(false)).map((isHere) =>
  command<Model, Real>(
    `we have it: ${isHere}`,
    (expected, real) => {
      const { stream } = expected;
      if (stream === null) return;
      const said = model.opened(expected, stream, isHere ? SNAPSHOT.chunks : null);
      const { attemptId } = real.peer;
      const manifest = isHere ? SNAPSHOT.manifest : null;
      real.node.feed({ type: "event/streamOpened", attemptId, streamId: stream.id, manifest });
      compare(expected, real, said);
    },
    ({ stream }) => stream?.chunks === null,
  ),
);

const next = (isAnything: boolean): fc.Arbitrary<Command> =>
  fc
    .tuple(
      fc.nat(SNAPSHOT.chunks + 1),
      fc.integer({ min: 1, max: isAnything ? STREAM_OUTSTANDING_MAX + 1 : 6 }),
      beside,
    )
    .map(([from, count, by]) =>
      command<Model, Real>(
        `Next ${from} ${count} ${by}`,
        (expected, real) => {
          const id = Math.max(0, (expected.stream?.id ?? expected.theirNextId - 1) + (isAnything ? by : 0));
          hear(expected, real, model.permitted(expected, id, from, count), { tag: "next", id, from, count });
        },
        ({ stream }) => isAnything || (stream !== null && isAllowed(stream, from, count)),
      ),
    );

/** With what is outstanding these are one too many. */
const oneTooMany = fc.constant(
  command<Model, Real>(
    "Next for one too many",
    (expected, real) => {
      const { id, permitted } = expected.stream ?? { id: 0, permitted: [] };
      const [from, count] = [0, STREAM_OUTSTANDING_MAX + 1 - permitted.length];
      hear(expected, real, model.permitted(expected, id, from, count), { tag: "next", id, from, count });
    },
    ({ stream }) => stream !== null && stream.chunks !== null,
  ),
);

const isAllowed = (
  { chunks, permitted }: NonNullable<Model["stream"]>,
  from: number,
  count: number,
): boolean => chunks !== null && from + count <= chunks && permitted.length + count <= STREAM_OUTSTANDING_MAX;

const loaded = fc.oneof({ weight: 9, arbitrary: fc.constant(true) }, fc.constant(false)).map((isHere) =>
  command<Model, Real>(
    `loaded: ${isHere}`,
    (expected, real) => {
      const { stream } = expected;
      const [index] = stream?.permitted ?? [];
      if (stream === null || index === undefined) return;
      const said = model.loaded(expected, stream, isHere);
      const { attemptId } = real.peer;
      const chunk = isHere ? CHUNK : null;
      real.node.feed({ type: "event/chunkLoaded", attemptId, streamId: stream.id, index, chunk });
      compare(expected, real, said);
    },
    ({ stream }) => stream !== null && stream.permitted.length > 0,
  ),
);

const cancel = beside.map((by) =>
  command<Model, Real>(`Cancel ${by}`, (expected, real) => {
    const id = Math.max(0, expected.theirNextId - 1 + by);
    hear(expected, real, model.cancelled(expected, id), { tag: "cancel", id });
  }),
);

/** What used to cost a ledger each. */
const giveUp = fc.integer({ min: 1, max: 20 }).map((times) =>
  command<Model, Real>(`${times} Requests that are cancelled`, (expected, real) => {
    const end = (): void => {
      const id = expected.stream?.id;
      if (id !== undefined) hear(expected, real, model.cancelled(expected, id), { tag: "cancel", id });
    };
    end();
    for (let time = 0; time < times; time++) {
      const id = expected.theirNextId;
      hear(expected, real, model.requested(expected, id), { tag: "request", id, root: SNAPSHOT.root });
      end();
    }
  }),
);

const wait = fc.oneof(fc.integer({ min: 1, max: 2_000 }), fc.integer({ min: 5_000, max: 40_000 })).map((ms) =>
  command<Model, Real>(`${ms} ms`, (expected, real) => {
    for (const endMs = expected.nowMs + ms; expected.nowMs < endMs; ) {
      const dueMs = Math.max(1, model.dueMs(expected) - expected.nowMs);
      const partMs = Math.min(endMs - expected.nowMs, PORTION_MS, dueMs);
      real.node.pass(partMs);
      expected.nowMs += partMs;
      compare(expected, real, model.tick(expected));
      answerPing(real.node, real.peer);
    }
  }),
);

const COMMANDS: fc.Arbitrary<Command>[] = [
  requestAgain,
  requestAgain,
  opened,
  next(false),
  next(false),
  next(false),
  loaded,
  loaded,
  loaded,
  wait,
  giveUp,
  fc.oneof(cancel, next(true), request, oneTooMany),
];

describe("model of streaming: serving", () => {
  test("sixteen chunks outstanding, one stream open, each chunk once and in order, and an end for every one", () => {
    checkModel(COMMANDS, setup, { numRuns: runs(100), maxCommands: 60 });
  });
});
