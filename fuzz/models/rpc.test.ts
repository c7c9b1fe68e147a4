import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RpcRequest, RpcResponse } from "../../core/channels/rpc.ts";
import type { Hash } from "../../core/ids.ts";
import { BAN_MS, STALLED_AFTER_MS } from "../../core/limits.ts";
import type { Reason } from "../../core/reasons.ts";
import { bytes32, CHAIN, headerOf } from "../../reducers/testing/chain.ts";
import { found } from "../../reducers/testing/items.ts";
import { request, response, say } from "../../reducers/testing/messages.ts";
import { cause } from "../../reducers/testing/node.ts";
import { closeTransport, readyPeer, type TestPeer } from "../../reducers/testing/peers.ts";
import { effectsOf, goodbyes, sentOn } from "../../reducers/testing/results.ts";
import { runs } from "../runs.ts";
import * as model from "./rpc.ts";
import { answerPing, checkModel, command, createWorld, PORTION_MS, type World } from "./world.ts";

/** 7.7: every request is answered once, in a slot of four, and every response belongs to one. */

type Model = model.RpcModel;

interface Real extends World {
  peer: TestPeer;
  peers: number;
  blockedMs: number;
}

const HASH: Hash = bytes32("nowhere");
const BYTES = Uint8Array.of(1, 2, 3);
/** What is asked of us: one kind is answered at once, one never has anything, one is loaded. */
const THEIRS: readonly RpcRequest[] = [
  { tag: "bestTip" },
  { tag: "peers" },
  { tag: "transactions", hashes: [HASH] },
];
/** What we ask. The node has no use for the answers: so what follows is nothing but this channel. */
const OURS: readonly RpcRequest[] = [
  { tag: "bestTip" },
  { tag: "peers" },
  { tag: "ancestry", hash: HASH, count: 1 },
  { tag: "block", hash: HASH },
  { tag: "transactions", hashes: [HASH] },
];

function setup(): { model: Model; real: Real } {
  const world = createWorld();
  const peer = readyPeer(world.node, "peer 0");
  world.look();
  const fresh = { nowMs: world.node.nowMs, ...model.freshRpc() };
  return { model: fresh, real: { ...world, peer, peers: 0, blockedMs: 0 } };
}

type Words = readonly string[];

/** What is said on the channel, or loaded for it. */
function compare(expected: Model, real: Real, words: Words, reason: Reason | null = null): void {
  const { effects, ended } = real.look();
  const { attemptId } = real.peer;
  const said = sentOn(effects, attemptId).flatMap(({ channel, message }) =>
    channel === "rpc" && "body" in message ? [`${message.tag} ${message.id} ${message.body.tag}`] : [],
  );
  const loaded = effectsOf(effects, "effect/loadItems").map(({ rpcId }) => `load ${rpcId}`);
  expect(ended).toEqual(reason === null ? [] : [reason]);
  expect([...said, ...loaded]).toEqual(words);
  if (reason === null) return;
  expect(goodbyes(effects)).toEqual([`${reason} ${reason === "timeout" ? 0 : BAN_MS}`]);
  real.peers += 1;
  meet(expected, real);
}

function meet(expected: Model, real: Real): void {
  real.peer = readyPeer(real.node, `peer ${real.peers}`);
  real.look();
  Object.assign(expected, model.freshRpc());
}

const wordsFor = ({ id, body }: model.Asked, doing: model.Doing): Words => {
  if (doing === "load") return [`load ${id}`];
  const answer = body.tag === "peers" ? "notFound" : body.tag;
  return [`response ${id} ${doing === "busy" ? "busy" : answer}`];
};

type Command = fc.Command<Model, Real>;

const isDoing = (outcome: string): outcome is model.Doing => ["busy", "answer", "load"].includes(outcome);

const asked = fc
  .tuple(
    fc.constantFrom(...THEIRS),
    fc.oneof({ weight: 20, arbitrary: fc.constant(0) }, fc.integer({ min: -1, max: 1 })),
  )
  .map(([body, beside]) =>
    command<Model, Real>(`Request ${body.tag} ${beside}`, (expected, real) => {
      const id = Math.max(0, expected.theirNextId + beside);
      const outcome = model.takeRequest(expected, id, body);
      say(real.node, real.peer.attemptId, request(id, body));
      if (isDoing(outcome)) compare(expected, real, wordsFor({ id, body }, outcome));
      else if (outcome === "wait") compare(expected, real, []);
      else compare(expected, real, [], outcome);
    }),
  );

/** The chain has what was asked for, in any order, and says it once too often. */
const loaded = fc.nat(3).map((at) =>
  command<Model, Real>(
    `loaded ${at}`,
    (expected, real) => {
      const loading = expected.theirs.filter(({ id }) => !expected.waiting.some((one) => one.id === id));
      const one = loading[at % loading.length];
      if (one === undefined) return;
      model.answered(expected, one.id);
      const { attemptId } = real.peer;
      const event = { type: "event/itemsLoaded", attemptId, rpcId: one.id, items: [BYTES] } as const;
      real.node.feed(event);
      real.node.feed(event);
      compare(expected, real, [`response ${one.id} items`]);
    },
    ({ theirs, waiting }) => theirs.length > waiting.length,
  ),
);

const ask = fc.constantFrom(...OURS).map((body) =>
  command<Model, Real>(`we ask for ${body.tag}`, (expected, real) => {
    const id = model.ask(expected, body);
    cause(real.node, { type: "rpc/request", peerId: real.peer.peerId, purpose: "fetch", body });
    compare(expected, real, id === null ? [] : [`request ${id} ${body.tag}`]);
  }),
);

const GENESIS = headerOf(CHAIN.genesis);
const RESPONSES: readonly RpcResponse[] = [
  { tag: "notFound" },
  { tag: "busy" },
  { tag: "bestTip", header: GENESIS },
  { tag: "block", header: GENESIS, body: { transactions: [], snarks: [] } },
  { tag: "ancestry", headers: [GENESIS] },
  { tag: "ancestry", headers: [GENESIS, GENESIS] },
  { tag: "peers", addresses: [] },
  found(null),
  found(null, null),
];

function fits(body: RpcRequest | undefined, said: RpcResponse): boolean {
  if (body === undefined) return false;
  if (said.tag === "notFound" || said.tag === "busy") return true;
  if (said.tag === "items") return body.tag === "transactions" && said.found.length === 1;
  return body.tag === said.tag && (said.tag !== "ancestry" || said.headers.length <= 1);
}

/** Which of those that are open is answered; one of these numbers is nobody's. */
const answer = (isAnything: boolean): fc.Arbitrary<Command> =>
  fc.tuple(fc.nat(4), fc.constantFrom(...RESPONSES)).map(([at, said]) =>
    command<Model, Real>(
      `Response ${at} ${said.tag}`,
      (expected, real) => {
        const open = expected.ours[at % (expected.ours.length + (isAnything ? 1 : 0))];
        const isFit = fits(open?.body, said);
        const body: RpcResponse = isFit || isAnything ? said : { tag: "notFound" };
        const id = open?.id ?? expected.nextId;
        const reason = model.takeResponse(expected, id, isFit || (open !== undefined && !isAnything));
        say(real.node, real.peer.attemptId, response(id, body));
        compare(expected, real, [], reason);
      },
      ({ ours }) => isAnything || ours.length > 0,
    ),
  );

const block = fc.constant(
  command<Model, Real>("the channel is full, or drained", (expected, real) => {
    const { attemptId } = real.peer;
    if (expected.isBlocked) {
      const served = model.drained(expected);
      real.node.feed({ type: "event/channelDrained", attemptId, channel: "rpc" });
      const words = served.flatMap(([one, doing]) => wordsFor(one, doing));
      // What has to be loaded is asked for before anything is sent.
      compare(expected, real, [
        ...words.filter((word) => !word.startsWith("load")),
        ...words.filter((word) => word.startsWith("load")),
      ]);
    } else {
      expected.isBlocked = true;
      real.blockedMs = expected.nowMs;
      real.node.feed({ type: "event/channelBlocked", attemptId, channel: "rpc" });
      compare(expected, real, []);
    }
  }),
);

const wait = fc.oneof(fc.integer({ min: 1, max: 3_000 }), fc.integer({ min: 3_000, max: 40_000 })).map((ms) =>
  command<Model, Real>(`${ms} ms`, (expected, real) => {
    for (const endMs = expected.nowMs + ms; expected.nowMs < endMs; ) {
      const stalledMs = expected.isBlocked ? real.blockedMs + STALLED_AFTER_MS : endMs;
      const dueMs = Math.min(model.dueMs(expected), stalledMs) - expected.nowMs;
      const partMs = Math.min(endMs - expected.nowMs, PORTION_MS, Math.max(1, dueMs));
      real.node.pass(partMs);
      expected.nowMs += partMs;
      const isStalled = expected.isBlocked && expected.nowMs >= real.blockedMs + STALLED_AFTER_MS;
      const reason = isStalled ? "stalled" : model.tick(expected);
      if (isStalled) expectStalled(expected, real);
      else compare(expected, real, [], reason);
      answerPing(real.node, real.peer);
    }
  }),
);

function expectStalled(expected: Model, real: Real): void {
  expect(real.look().ended).toEqual(["stalled"]);
  real.peers += 1;
  meet(expected, real);
}

const leave = fc.constant(
  command<Model, Real>("the peer comes back", (expected, real) => {
    closeTransport(real.node, real.peer.attemptId);
    real.look();
    meet(expected, real);
  }),
);

const COMMANDS: fc.Arbitrary<Command>[] = [
  asked,
  asked,
  asked,
  loaded,
  loaded,
  ask,
  ask,
  ask,
  answer(false),
  answer(true),
  wait,
  fc.oneof(
    { weight: 3, arbitrary: block },
    { weight: 2, arbitrary: answer(true) },
    { weight: 1, arbitrary: leave },
  ),
];

describe("model of rpc", () => {
  test("four are open at most in each direction, each is answered once, and what does not fit is blamed", () => {
    checkModel(COMMANDS, setup, { numRuns: runs(100), maxCommands: 60 });
  });
});
