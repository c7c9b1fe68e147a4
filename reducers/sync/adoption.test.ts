import { describe, expect, test } from "vitest";
import type { Tip } from "../../core/block.ts";
import type { Hash, JobId } from "../../core/ids.ts";
import { BLOCKS_FORGOTTEN_MAX, BLOCKS_KEPT_MIN, SIDE_BLOCKS_MAX } from "../../core/limits.ts";
import { bytes32, CHAIN, headerOf } from "../testing/chain.ts";
import { effectsOf, type Result } from "../testing/results.ts";
import { blockOn, chainOn, createWorld, honest, type World } from "../testing/sync.ts";

const GENESIS = CHAIN.genesis;
const last = (tips: readonly Tip[]): Tip => tips.at(-1) as Tip;
const job = (name: string): JobId => bytes32(name) as string as JobId;

/** The node makes these blocks itself, which is the shortest way to a tip. */
function make(world: World, tips: readonly Tip[]): void {
  for (const tip of tips) {
    world.node.feed({ type: "event/blockProduced", slot: tip.slot, header: headerOf(tip) });
    world.held.add(tip.hash);
    world.settle();
  }
}

const forgotten = (world: World): readonly Hash[] =>
  effectsOf(world.effects, "effect/forgetBlocks").flatMap(({ hashes }) => hashes);

describe("adoption", () => {
  test("moves the pools exactly once, with what the chain says", () => {
    const world = createWorld();
    const peer = world.peer("a");
    const tips = chainOn(GENESIS, 3, "three");
    world.changes.set(last(tips).hash, { jobsAdded: [job("one")] });
    world.paused.add("effect/adoptTip");
    world.announce(peer, last(tips));
    const change = {
      tip: last(tips),
      extendsOld: false,
      removed: [],
      returned: [],
      jobsAdded: [],
      jobsRemoved: [],
      lockHeight: 3,
    };
    const result: Result = world.node.feed({ type: "event/tipAdopted", change });
    expect(result.actions.filter(({ type }) => type === "pool/followTip")).toEqual([
      { type: "pool/followTip", change },
    ]);
    expect(world.node.feed({ type: "event/tipAdopted", change }).actions).toEqual([]);
  });

  test("jobs keep the order in which they were added, each under one number", () => {
    const world = createWorld();
    const tips = chainOn(GENESIS, 3, "jobs");
    const [one, two, three] = tips as [Tip, Tip, Tip];
    world.changes.set(one.hash, { jobsAdded: [job("c"), job("a"), job("b")] });
    world.changes.set(two.hash, {
      jobsRemoved: [job("a"), job("never added")],
      jobsAdded: [job("d"), job("b")],
    });
    world.changes.set(three.hash, { jobsAdded: [job("a")] });
    make(world, tips);
    const { jobs, jobNumbers, nextJob } = world.node.state.chain;
    expect([...jobs.entries()]).toEqual([
      [0, job("c")],
      [2, job("b")],
      [3, job("d")],
      [4, job("a")],
    ]);
    expect([...jobNumbers.entries()].map(([id, number]) => [number, id]).sort()).toEqual(
      [...jobs.entries()].sort(),
    );
    expect(nextJob).toBe(5);
  });

  test("our own block on top of a pursued tip is not lost, nor adopted when it is worse", () => {
    const world = createWorld();
    const [one, other] = [blockOn(GENESIS, "one"), last(chainOn(GENESIS, 2, "other"))];
    make(world, [one]);
    make(world, [last(chainOn(GENESIS, 1, "other")), other]);
    expect(world.node.state.chain.tip.hash).toBe(other.hash);
    expect(world.node.state.chain.blocks.has(one.hash)).toBe(true);
  });
});

describe("adoption: blocks that may be forgotten", () => {
  const tips = chainOn(GENESIS, BLOCKS_KEPT_MIN + 5, "long");

  test("are more than 290 below the tip, and below the lock checkpoint", () => {
    const world = createWorld();
    make(world, tips);
    const { blocks } = world.node.state.chain;
    expect(forgotten(world)).toEqual([GENESIS.hash, ...tips.slice(0, 4).map(({ hash }) => hash)]);
    expect(blocks.size).toBe(BLOCKS_KEPT_MIN + 1);
    expect(new Set(world.held)).toEqual(new Set(blocks.keys()));
  });

  test("are kept down to the lock checkpoint, however deep that is", () => {
    const world = createWorld();
    for (const { hash } of tips) world.changes.set(hash, { lockHeight: 2 });
    make(world, tips);
    expect(forgotten(world)).toEqual([GENESIS.hash, tips[0]?.hash]);
  });

  test("go a bounded number at a time, with one effect per adoption", () => {
    const world = createWorld();
    for (const { hash } of tips) world.changes.set(hash, { lockHeight: 0 });
    make(world, tips);
    expect(forgotten(world)).toEqual([]);
    const more = chainOn(last(tips), BLOCKS_FORGOTTEN_MAX + 100, "more");
    for (const { hash } of more) world.changes.set(hash, { lockHeight: 0 });
    make(world, more);
    world.effects.length = 0;
    const [next, another] = chainOn(last(more), 2, "another") as [Tip, Tip];
    make(world, [next]);
    expect(effectsOf(world.effects, "effect/forgetBlocks").map(({ hashes }) => hashes.length)).toEqual([
      BLOCKS_FORGOTTEN_MAX,
    ]);
    make(world, [another]);
    expect(effectsOf(world.effects, "effect/forgetBlocks").map(({ hashes }) => hashes.length)).toEqual([
      BLOCKS_FORGOTTEN_MAX,
      107,
    ]);
  });

  test("too many beside the best chain: the lowest go, and none of the best chain", () => {
    const world = createWorld();
    const parent = last(tips.slice(0, 10));
    make(world, tips.slice(0, 10));
    // The same producer makes as many blocks as he likes in his slot.
    for (let index = 0; index < SIDE_BLOCKS_MAX + 20; index++)
      make(world, [blockOn(parent, `sibling ${index}`)]);
    make(world, chainOn(last(chainOn(parent, 1, "sibling 0")), 3, "up"));
    const { blocks, tip } = world.node.state.chain;
    expect(blocks.size).toBeLessThanOrEqual(SIDE_BLOCKS_MAX + tip.height + 1);
    for (
      let hash: Hash | undefined = tip.hash;
      hash !== GENESIS.hash;
      hash = blocks.get(hash as Hash)?.parent
    )
      expect(blocks.has(hash as Hash)).toBe(true);
  });

  test("also while nothing is adopted: applied for tips whose last block is withheld", () => {
    const world = createWorld();
    const peer = world.peer("a");
    const [first] = tips as [Tip];
    make(world, [first]);
    const withheld = new Set<Hash>();
    world.serve(peer, (body) =>
      body.tag === "block" && withheld.has(body.hash) ? { tag: "notFound" } : honest(body, world),
    );
    for (let index = 0; world.node.state.chain.blocks.size <= SIDE_BLOCKS_MAX && index < 10; index++) {
      const branch = chainOn(first, 80 + index, `branch ${index}`);
      withheld.add(last(branch).hash);
      world.announce(peer, last(branch));
    }
    expect(world.node.state.chain.tip.hash).toBe(first.hash);
    const another = chainOn(first, 200, "another");
    withheld.add(last(another).hash);
    world.announce(peer, last(another));
    const { blocks } = world.node.state.chain;
    expect(blocks.size).toBeLessThanOrEqual(SIDE_BLOCKS_MAX + 2);
    // What it was working on was not forgotten under it.
    for (const { hash } of another.slice(0, -1)) expect(blocks.has(hash)).toBe(true);
    expect(new Set(world.held)).toEqual(new Set(blocks.keys()));
  });
});
