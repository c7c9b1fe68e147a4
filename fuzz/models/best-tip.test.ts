import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Tip, tipOf } from "../../core/block.ts";
import type { Effect } from "../../core/effects.ts";
import { BAN_MS } from "../../core/limits.ts";
import type { Reason } from "../../core/reasons.ts";
import { CHAIN, headerOf } from "../../reducers/testing/chain.ts";
import { say } from "../../reducers/testing/messages.ts";
import { closeTransport, liveOf, type TestPeer } from "../../reducers/testing/peers.ts";
import { goodbyes, sentOn } from "../../reducers/testing/results.ts";
import {
  blockOn,
  chainOn,
  createWorld,
  empty,
  honest,
  silent,
  type World,
} from "../../reducers/testing/sync.ts";
import { runs } from "../runs.ts";
import * as model from "./best-tip.ts";
import { checkModel, command } from "./world.ts";

/** 7.3 against a node that really catches up: blocks are served, or not, and verified, or not yet. */

type Model = model.BestTipModel;

interface Real {
  readonly world: World;
  peer: TestPeer;
  peers: number;
}

const SERVERS = { honest, empty, silent };
const BRANCHES = ["one", "other", "third"] as const;
const BAD = blockOn(CHAIN.genesis, "bad", { changes: { height: 50 } });
const TIPS: readonly Tip[] = [
  CHAIN.genesis,
  ...BRANCHES.flatMap((name) => chainOn(CHAIN.genesis, 4, name)),
  ...chainOn(CHAIN.genesis, 12, "long").slice(4),
];
/** Time passes in these portions, in each of which the node may do something. */
const PORTION_MS = 500;
const SLOWED = ["effect/verifyHeaders", "effect/applyBlock", "effect/adoptTip"] as const;

function setup(): { model: Model; real: Real } {
  const world = createWorld();
  world.headerVerdicts.set(BAD.hash, { tag: "invalid", detail: "bad" });
  const peer = world.peer("peer 0");
  const { nowMs } = world.node;
  const fresh: Model = { nowMs, tip: CHAIN.genesis, ...model.freshBestTip() };
  const real = { world, peer, peers: 0 };
  meet(fresh, real);
  return { model: fresh, real };
}

/** The connection is new: one permit of ours was given with it. */
function meet(expected: Model, { world, peer }: Real): void {
  Object.assign(expected, model.freshBestTip());
  expect(words(world.effects.splice(0), peer)).toEqual(["getNext"]);
}

/** What was said on the channel: a permit, or a tip. */
const words = (effects: readonly Effect[], { attemptId }: TestPeer): readonly ("getNext" | Tip)[] =>
  sentOn(effects, attemptId).flatMap<"getNext" | Tip>(({ channel, message }) => {
    if (channel !== "best-tip") return [];
    return message.tag === "bestTip" ? [tipOf(message.header)] : ["getNext"];
  });

/** Each permit and each tip was allowed when it was sent, and nothing that had to be sent is missing. */
function compare(expected: Model, real: Real, reason: Reason | null = null): void {
  const { world } = real;
  const { state } = world.node;
  const effects = world.effects.splice(0);
  const said = goodbyes(effects);
  // What is invalid comes out when it is looked at.
  const isBlamed = said.includes(`invalidBlock ${BAN_MS}`) && expected.received?.hash === BAD.hash;
  expect(said).toEqual(
    reason !== null ? [`${reason} ${BAN_MS}`] : isBlamed ? [`invalidBlock ${BAN_MS}`] : [],
  );
  expected.tip = state.chain.tip;
  const told = words(effects, real.peer);
  for (const word of told) {
    if (word === "getNext")
      expect(model.permit(expected, ({ hash }) => state.sync.givenUp.has(hash))).toBe(true);
    else expect([state.chain.blocks.has(word.hash), model.say(expected, word)]).toEqual([true, true]);
  }
  if (said.length > 0) {
    expect(told).toEqual([]);
    real.peers += 1;
    real.peer = world.peer(`peer ${real.peers}`);
    meet(expected, real);
    return;
  }
  expect([model.isJudged(expected), model.hasNews(expected)]).toEqual([false, false]);
  expect(liveOf(world.node, real.peer)).toBeDefined();
}

type Command = fc.Command<Model, Real>;

const getNext = fc.constant(
  command<Model, Real>("GetNext", (expected, real) => {
    expected.tip = real.world.node.state.chain.tip;
    const reason = model.takeGetNext(expected);
    say(real.world.node, real.peer.attemptId, { channel: "best-tip", message: { tag: "getNext" } });
    real.world.settle();
    compare(expected, real, reason);
  }),
);

const announce = (isAllowed: (expected: Readonly<Model>, tip: Tip) => boolean): fc.Arbitrary<Command> =>
  fc.constantFrom(...TIPS, BAD).map((tip) =>
    command<Model, Real>(
      `BestTip ${tip.height} ${tip.hash.slice(0, 4)}`,
      (expected, real) => {
        const reason = model.takeTip(expected, tip);
        real.world.announce(real.peer, tip);
        compare(expected, real, reason);
      },
      (expected) => isAllowed(expected, tip),
    ),
  );

const isRight = (expected: Readonly<Model>, tip: Tip): boolean =>
  model.takeTip({ ...expected }, tip) === null;

/** The node has made a block itself. */
const produce = fc.constantFrom("ours", "ours too").map((name) =>
  command<Model, Real>(`a block ${name}`, (expected, real) => {
    const { node, held, settle } = real.world;
    const tip = blockOn(node.state.chain.tip, name);
    held.add(tip.hash);
    node.feed({ type: "event/blockProduced", slot: tip.slot, header: headerOf(tip) });
    settle();
    compare(expected, real);
  }),
);

const slow = fc.constantFrom(...SLOWED).map((type) =>
  command<Model, Real>(`${type} is slow, or answered`, (expected, real) => {
    const { paused, settle } = real.world;
    if (!paused.delete(type)) paused.add(type);
    settle();
    compare(expected, real);
  }),
);

const serve = fc
  .constantFrom(...Object.entries(SERVERS))
  .map(([name, server]) =>
    command<Model, Real>(`the peer is ${name}`, (_expected, { world, peer }) => world.serve(peer, server)),
  );

const wait = fc.oneof(fc.integer({ min: 1, max: 1_000 }), fc.integer({ min: 1_000, max: 11_000 })).map((ms) =>
  command<Model, Real>(`${ms} ms`, (expected, real) => {
    for (let passed = 0; passed < ms; passed += PORTION_MS) {
      const partMs = Math.min(PORTION_MS, ms - passed);
      real.world.pass(partMs);
      expected.nowMs += partMs;
      compare(expected, real);
    }
  }),
);

const leave = fc.constant(
  command<Model, Real>("the peer comes back", (expected, real) => {
    closeTransport(real.world.node, real.peer.attemptId);
    real.world.settle();
    real.world.effects.splice(0);
    real.peer = real.world.peer(`peer ${real.peers}`);
    meet(expected, real);
  }),
);

const COMMANDS: fc.Arbitrary<Command>[] = [
  getNext,
  announce(isRight),
  announce(isRight),
  announce(isRight),
  produce,
  slow,
  serve,
  wait,
  fc.oneof({ weight: 3, arbitrary: announce(() => true) }, { weight: 1, arbitrary: leave }),
];

describe("model of best-tip", () => {
  test("a tip for each permit, better each time; a permit for each tip that was judged", () => {
    checkModel(COMMANDS, setup, { numRuns: runs(60), maxCommands: 40 });
  });
});
