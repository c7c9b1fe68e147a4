import fc from "fast-check";
import { expect, test } from "vitest";
import type { Tip } from "../../core/block.ts";
import type { RpcResponse } from "../../core/channels/rpc.ts";
import { isBetterTip } from "../../core/consensus.ts";
import { bytes32, CHAIN, childOf, headerOf } from "../testing/chain.ts";
import { closeTransport, liveOf, type TestPeer } from "../testing/peers.ts";
import { randomOf } from "../testing/random.ts";
import { blockOn, createWorld, honest, keeping, type Server, type World } from "../testing/sync.ts";

// Any tree of blocks, any peers, any order: afterwards one honest peer suffices, and none was ever blamed.

const GENESIS = CHAIN.genesis;

interface Tree {
  readonly tips: readonly Tip[];
  /** Not invalid, nor above an invalid one. */
  readonly valid: readonly Tip[];
}

function growTree(world: World, random: (below: number) => number): Tree {
  const tips: Tip[] = [];
  const valid: Tip[] = [];
  for (let index = 0; index < 40; index++) {
    // Mostly upwards, so that there is something to catch up with.
    const parents = [GENESIS, ...tips];
    const parent = parents[random(4) === 0 ? random(parents.length) : parents.length - 1] as Tip;
    const items = Array.from({ length: random(3) === 0 ? random(40) : 0 }, () => `item ${random(300)}`);
    const tip = blockOn(parent, `${index} ${random(1e9)}`, {
      transactions: [...new Set(items)],
      snarks: random(4) === 0 ? [`snark ${random(50)}`] : [],
    });
    tips.push(tip);
    const isInvalid = random(12) === 0;
    if (isInvalid) {
      const verdicts = random(2) === 0 ? world.headerVerdicts : world.blockVerdicts;
      verdicts.set(tip.hash, { tag: "invalid", detail: "bad" });
    } else if (parent === GENESIS || valid.includes(parent)) {
      valid.push(tip);
    }
  }
  return { tips, valid };
}

function unreliable(random: (below: number) => number): Server {
  const temper = random(6);
  return (body, world) => {
    const answer = honest(body, world) ?? { tag: "notFound" };
    switch (temper === 5 ? random(60) : temper * 12 + random(12)) {
      case 0:
      case 13:
        return { tag: "busy" };
      case 1:
      case 25:
      case 26:
      case 27:
        return { tag: "notFound" };
      case 2:
      case 37:
      case 38:
      case 39:
      case 40:
        return null;
      case 49:
        return lie(answer);
      case 50:
      case 51:
      case 52:
        return answer.tag === "items"
          ? { ...answer, found: answer.found.map((found) => (random(2) === 0 ? { tag: "none" } : found)) }
          : answer;
      default:
        return answer;
    }
  };
}

function lie(answer: RpcResponse): RpcResponse {
  if (answer.tag === "block") return { ...answer, header: headerOf(childOf(GENESIS, "a lie")) };
  if (answer.tag === "ancestry") return { ...answer, headers: answer.headers.slice(1) };
  return answer.tag === "items" ? { ...answer, found: [{ tag: "some", bytes: new Uint8Array(1) }] } : answer;
}

const best = (tips: readonly Tip[]): Tip =>
  tips.reduce((known, tip) => (isBetterTip(tip, known, CHAIN) ? tip : known), GENESIS);

/** Announces what an honest peer could, or anything. */
function announceAny(
  world: World,
  peer: TestPeer,
  tips: readonly Tip[],
  random: (below: number) => number,
): Tip | null {
  const channel = liveOf(world.node, peer)?.bestTip;
  if (channel?.ours.tag !== "permitGiven") return null;
  const { received } = channel;
  const better = tips.filter((tip) => received === null || isBetterTip(tip, received, CHAIN));
  const tip = better[random(Math.max(1, better.length))];
  if (tip === undefined) return null;
  world.announce(peer, tip);
  return tip;
}

function live(seed: number): void {
  const random = randomOf(seed);
  const world = createWorld();
  const { tips, valid } = growTree(world, random);
  const hostile = ["a", "b", "c"].map((name) => world.peer(name, unreliable(random)));
  const good = ["d", "e"].map((name) => world.peer(name, () => null));
  for (let turn = 0; turn < 60; turn++) {
    const all = [...hostile, ...good].filter((peer) => liveOf(world.node, peer) !== undefined);
    const peer = all[random(Math.max(1, all.length))];
    const kind = random(10);
    if (peer === undefined || kind < 3) world.pass(random(3_000));
    else if (kind < 8) {
      const isGood = good.includes(peer);
      const tip = announceAny(world, peer, isGood ? valid : tips, random);
      if (isGood && tip !== null) world.serve(peer, keeping(tip));
    } else if (kind === 8) {
      if (random(6) === 0) closeTransport(world.node, peer.attemptId);
      if (random(3) === 0) {
        const made = childOf(world.node.state.chain.tip, `made ${turn} ${seed}`, {
          ledgerRoot: bytes32(`${turn}`),
        });
        const tip = blockOn(world.node.state.chain.tip, `made ${turn} ${seed}`, {
          changes: { ledgerRoot: made.ledgerRoot },
        });
        world.held.add(tip.hash);
        world.node.feed({ type: "event/blockProduced", slot: tip.slot, header: headerOf(tip) });
        world.settle();
      }
    } else {
      world.paused.add(random(2) === 0 ? "effect/applyBlock" : "effect/verifyHeaders");
      world.pass(random(2_000));
      world.paused.clear();
      world.settle();
    }
  }
  const goal = best(valid);
  const helper = world.peer("helper", keeping(goal));
  world.announce(helper, goal);
  world.pass(90_000);
  const { chain, endings, sync } = world.node.state;
  expect(isBetterTip(goal, chain.tip, CHAIN)).toBe(false);
  expect(liveOf(world.node, helper)).toBeDefined();
  for (const peer of good) expect(world.node.state.offenders.has(peer.peerId)).toBe(false);
  expect(sync.applying).toBeNull();
  expect(sync.adopting).toBeNull();
  expect(endings["us timeout"]).toBeUndefined();
  for (const hash of chain.blocks.keys()) expect(world.held.has(hash)).toBe(true);
}

test("sync: whatever peers do, one honest one is enough, and the honest ones are never blamed", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 31 - 1 }), (seed) => live(seed)),
    { numRuns: Number(process.env["SYNC_RUNS"] ?? 25) },
  );
}, 600_000);
