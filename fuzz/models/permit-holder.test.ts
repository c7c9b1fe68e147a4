import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PermitWindow } from "../../core/channels/permits.ts";
import { BAN_MS } from "../../core/limits.ts";
import { POOL_NAMES, type PoolName } from "../../core/pools.ts";
import type { Priority } from "../../core/priority.ts";
import type { Reason } from "../../core/reasons.ts";
import { adopt, childOf, headerOf } from "../../reducers/testing/chain.ts";
import { bring, infosIn, tell } from "../../reducers/testing/items.ts";
import { getNext, refloor, say } from "../../reducers/testing/messages.ts";
import { closeTransport, readyPeer, type TestPeer, WITHOUT_TIPS } from "../../reducers/testing/peers.ts";
import { goodbyes } from "../../reducers/testing/results.ts";
import { runs } from "../runs.ts";
import {
  answer,
  freshHolder,
  type HolderModel,
  isRestRight,
  takeGetNext,
  takeRefloor,
} from "./permit-holder.ts";
import { add, changeTip, holds, ITEMS_COUNT, itemAt, poolModel, priorityIn } from "./pool-model.ts";
import { answerPing, checkModel, command, createWorld, PORTION_MS, type World } from "./world.ts";

/** 7.4 to 7.6 with a peer that gives permits: every message of ours is the one that the model expects. */

interface Real extends World {
  readonly pool: PoolName;
  readonly hasGate: boolean;
  peer: TestPeer;
  peers: number;
}

const CAPACITY = 6;

const connect = ({ node, hasGate }: Pick<Real, "node" | "hasGate">, name: string): TestPeer =>
  readyPeer(node, name, hasGate ? {} : WITHOUT_TIPS);

function setup(pool: PoolName, hasGate: boolean): { model: HolderModel; real: Real } {
  const world = createWorld({ capacity: CAPACITY });
  const peer = connect({ ...world, hasGate }, "peer 0");
  const { nowMs } = world.node;
  const model = { pool: poolModel(pool, CAPACITY), nowMs, ...freshHolder(nowMs, hasGate) };
  return { model, real: { ...world, pool, hasGate, peer, peers: 1 } };
}

/** One more connection: of a new peer, or of the same one. */
function reconnect(model: HolderModel, real: Real, name: string): void {
  real.peer = connect(real, name);
  Object.assign(model, freshHolder(model.nowMs, real.hasGate));
  real.look();
}

/** Both have done the same: ended for this reason, or used the permit in this way. */
function compare(model: HolderModel, real: Real, reason: Reason | null = null): void {
  const { effects, ended } = real.look();
  expect(ended.filter((other) => other !== "connectionLost")).toEqual(reason === null ? [] : [reason]);
  if (reason !== null) {
    expect(goodbyes(effects)).toEqual([`${reason} ${BAN_MS}`]);
    expect(infosIn(effects, real.peer, real.pool)).toEqual([]);
    real.peers += 1;
    reconnect(model, real, `peer ${real.peers}`);
    return;
  }
  const said = infosIn(effects, real.peer, real.pool);
  const expected = answer(model);
  if (expected === null) {
    expect(said).toEqual([]);
    return;
  }
  const { epoch } = real.node.state.pools[real.pool];
  const { seq, items, cursor } = expected;
  expect(said).toMatchObject([
    { seq, items: items.map(({ info }) => info), cursor: { epoch, next: BigInt(cursor) } },
  ]);
  expect(said.map(({ rest }) => isRestRight(expected, rest))).toEqual([true]);
}

const boundary = fc.option(fc.nat(ITEMS_COUNT - 1), { freq: 2 });
const wish = fc.record({
  /** Mostly the next one. */
  seqs: fc.oneof({ weight: 12, arbitrary: fc.integer({ min: 1, max: 3 }) }, fc.integer({ min: -1, max: 0 })),
  floor: boundary,
  band: boundary,
  isFloored: fc.oneof({ weight: 12, arbitrary: fc.constant(false) }, fc.constant(true)),
});
type Wish = typeof wish extends fc.Arbitrary<infer Value> ? Value : never;

function windowOf(
  { theirSeq }: HolderModel,
  pool: PoolName,
  { seqs, floor, band, isFloored }: Wish,
): PermitWindow {
  const priority = (at: number | null): Priority | null =>
    at === null ? null : priorityIn(itemAt(pool, at));
  const hasFloor = pool === "transaction" || isFloored;
  return {
    seq: Math.max(0, theirSeq + seqs),
    floor: hasFloor ? priority(floor) : null,
    band: priority(band),
  };
}

type Command = fc.Command<HolderModel, Real>;

const permitted = fc
  .tuple(wish, fc.oneof(fc.constant(32), fc.integer({ min: 1, max: 3 })), fc.option(fc.nat(14)), fc.boolean())
  .map(([wished, limit, next, isOurEpoch]) =>
    command<HolderModel, Real>(
      `GetNext ${limit} ${JSON.stringify(wished)} ${next} ${isOurEpoch}`,
      (model, real) => {
        const window = windowOf(model, real.pool, wished);
        const { epoch } = real.node.state.pools[real.pool];
        const resume = next === null ? null : { epoch: isOurEpoch ? epoch : 7n, next: BigInt(next) };
        const reason = takeGetNext(model, limit, window, resume, epoch);
        const { seq, floor, band } = window;
        say(real.node, real.peer.attemptId, getNext(seq, { limit, floor, band, resume }, real.pool));
        compare(model, real, reason);
      },
    ),
  );

const refloored = wish.map((wished) =>
  command<HolderModel, Real>(`Refloor ${JSON.stringify(wished)}`, (model, real) => {
    const window = windowOf(model, real.pool, wished);
    const reason = takeRefloor(model, window);
    say(real.node, real.peer.attemptId, refloor(window.seq, window, real.pool));
    compare(model, real, reason);
  }),
);

const flooded = fc.constant(
  command<HolderModel, Real>("60 Refloors", (model, real) => {
    for (let sent = 0, reason: Reason | null = null; sent < 60 && reason === null; sent++) {
      const seq = model.theirSeq + 1;
      reason = takeRefloor(model, { seq, floor: null, band: null });
      say(real.node, real.peer.attemptId, refloor(seq, {}, real.pool));
      compare(model, real, reason);
    }
  }),
);

const brought = fc.nat(ITEMS_COUNT - 1).map((at) =>
  command<HolderModel, Real>(`item ${at} comes`, (model, real) => {
    const item = itemAt(real.pool, at);
    add(model.pool, item);
    bring(real.node, [item]);
    compare(model, real);
  }),
);

const told = fc.nat(ITEMS_COUNT - 1).map((at) =>
  command<HolderModel, Real>(`the peer tells of item ${at}`, (model, real) => {
    const item = itemAt(real.pool, at);
    model.heard = [...model.heard, item];
    add(model.pool, item);
    tell(real.node, real.peer, item);
    compare(model, real);
  }),
);

const removed = fc.tuple(fc.nat(ITEMS_COUNT - 1), fc.boolean()).map(([at, isFollowed]) =>
  command<HolderModel, Real>(`a block takes item ${at}, ${isFollowed}`, (model, real) => {
    const item = itemAt(real.pool, at);
    const isHeld = holds(model.pool, item);
    changeTip(model.pool, isHeld ? [item] : [], true);
    model.isGateOpen = !real.hasGate;
    const hashes = "nonce" in item.info && isHeld ? [item.hash] : [];
    const jobs = "jobId" in item.info && isHeld ? [item.info.jobId] : [];
    adopt(real.node, { removed: hashes, jobsRemoved: jobs }, childOf(real.node.state.chain.tip));
    compare(model, real);
    if (!isFollowed || !real.hasGate) return;
    // The peer has it too, and says so: the gate opens.
    model.isGateOpen = true;
    const header = headerOf(real.node.state.chain.tip);
    say(real.node, real.peer.attemptId, { channel: "best-tip", message: { tag: "bestTip", header } });
    compare(model, real);
  }),
);

const waited = fc.integer({ min: 1, max: 20_000 }).map((ms) =>
  command<HolderModel, Real>(`${ms} ms`, (model, real) => {
    for (let passed = 0; passed < ms; passed += PORTION_MS) {
      real.node.pass(Math.min(PORTION_MS, ms - passed));
      answerPing(real.node, real.peer);
    }
    model.nowMs += ms;
    compare(model, real);
  }),
);

const returned = fc.constant(
  command<HolderModel, Real>("the connection ends, and another begins", (model, real) => {
    closeTransport(real.node, real.peer.attemptId);
    reconnect(model, real, `peer ${real.peers}`);
    compare(model, real);
  }),
);

const COMMANDS: fc.Arbitrary<Command>[] = [
  permitted,
  permitted,
  permitted,
  refloored,
  brought,
  brought,
  told,
  removed,
  waited,
  flooded,
  returned,
];

describe.each(POOL_NAMES)("model of %s: the side that has the permit", (pool) => {
  test("announces what the window asks for, once, in order, and blames what section 5 blames", () => {
    checkModel(COMMANDS, () => setup(pool, false), { numRuns: runs(25), maxCommands: 40 });
  });

  test("announces nothing to a peer whose tip is behind, and goes on when it is not", () => {
    checkModel(COMMANDS, () => setup(pool, true), { numRuns: runs(15), maxCommands: 40 });
  });
});
