import { describe, expect, test } from "vitest";
import type { Effect } from "../core/effects.ts";
import type { JobId } from "../core/ids.ts";
import { COMMITMENT_PATIENCE_MS, COMMITMENT_SPREAD_MS } from "../core/limits.ts";
import { brokenInvariants } from "./invariants.ts";
import { adopt, CHAIN, START_MS } from "./testing/chain.ts";
import { bring, commitmentOf, itemOf, jobOf, poolOf, snarkOf, valid, verified } from "./testing/items.ts";
import { freshRequestId, type TestNode, testNode } from "./testing/node.ts";
import { effectOf, effectsOf } from "./testing/results.ts";

/** Blocks and proofs that the node makes itself. */

const names = ["one", "two", "three"] as const;
const jobs: readonly JobId[] = names.map(jobOf);
const FEE = 100n;

describe("work: blocks", () => {
  const produced = (effects: readonly Effect[]) => effectsOf(effects, "effect/produceBlock");

  test("once in every slot, on the best tip", () => {
    const node = testNode({ produces: true });
    const effects = produced(node.pass(3 * CHAIN.slotMs));
    const slot = (START_MS - CHAIN.genesisMs) / CHAIN.slotMs;
    expect(effects.map((effect) => [effect.slot, effect.parent])).toEqual(
      [0, 1, 2, 3].map((later) => [slot + later, CHAIN.genesis.hash]),
    );
  });

  test("of the best transactions first, and of the work for the oldest jobs; what has just come waits", () => {
    const node = testNode({ produces: true });
    adopt(node, { jobsAdded: jobs });
    bring(node, [itemOf("poor", 10n), itemOf("rich", 20n)]);
    for (const name of ["three", "one"]) bring(node, [snarkOf(name)]);
    node.pass(CHAIN.slotMs - 1);
    bring(node, [itemOf("new", 1_000n)]);
    const { transactions, snarks } = effectOf(node.pass(1), "effect/produceBlock");
    expect(transactions).toEqual([itemOf("rich", 20n).hash, itemOf("poor", 10n).hash]);
    expect(snarks).toEqual([snarkOf("one").hash, snarkOf("three").hash]);
  });

  test("not by who does not produce, not when told to stop, and again when told so", () => {
    expect(produced(testNode().pass(5_000))).toEqual([]);
    const node = testNode({ produces: true });
    node.feed({ type: "command/produce", requestId: freshRequestId(), isOn: false });
    expect(produced(node.pass(5_000))).toEqual([]);
    node.feed({ type: "command/produce", requestId: freshRequestId(), isOn: true });
    expect(produced(node.pass(CHAIN.slotMs))).toHaveLength(1);
  });
});

describe("work: proofs", () => {
  const worker = (...wanted: readonly JobId[]) => {
    const node = testNode({ workFee: FEE });
    const { effects } = adopt(node, { jobsAdded: wanted });
    return { node, effects };
  };

  /** The chain has signed the word about this job. */
  function promise(node: TestNode, name: string): readonly Effect[] {
    const { info: commitment } = commitmentOf(name, node.nowMs, FEE);
    return node.feed({ type: "event/commitmentSigned", commitment }).effects;
  }

  const begun = (effects: readonly Effect[]) =>
    effectsOf(effects, "effect/makeSnark").map(({ jobId }) => jobId);
  const signed = (effects: readonly Effect[]) => effectsOf(effects, "effect/signCommitment");

  test("first its word, then time for that to spread, then the proof, then the pool", () => {
    const { node, effects } = worker(jobOf("one"));
    expect(signed(effects)).toMatchObject([{ jobId: jobOf("one"), fee: FEE, issuedAt: BigInt(node.nowMs) }]);
    expect(begun(promise(node, "one"))).toEqual([]);
    expect(poolOf(node, "snark-job-commitment")).toHaveLength(1);
    expect(begun(node.pass(COMMITMENT_SPREAD_MS - 1))).toEqual([]);
    expect(begun(node.pass(1))).toEqual([jobOf("one")]);
    const proof = snarkOf("one", FEE);
    const made = node.feed({ type: "event/snarkMade", jobId: jobOf("one"), bytes: proof.bytes });
    verified(node, made.effects, valid(proof));
    expect(poolOf(node, "snark")).toEqual([proof.hash]);
    expect(node.state.work).toMatchObject({ jobs: [], counts: { begun: 1, made: 1, abandoned: 0 } });
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("at most one proof at a time, and no job twice", () => {
    const { node, effects } = worker(...jobs);
    const chosen = signed(effects).map(({ jobId }) => jobId);
    expect(new Set(chosen).size).toBe(chosen.length);
    for (const jobId of chosen) promise(node, names[jobs.indexOf(jobId)] ?? "");
    expect(begun(node.pass(10 * COMMITMENT_SPREAD_MS))).toHaveLength(1);
  });

  test("what others have made, or promised lately, at that price or below, is left to them", () => {
    for (const [item, isLeft] of [
      [snarkOf("one", FEE), true],
      [snarkOf("one", FEE / 2n), true],
      [snarkOf("one", 2n * FEE), false],
      [commitmentOf("one", START_MS, FEE), true],
      [commitmentOf("one", START_MS, 2n * FEE), false],
      [commitmentOf("one", START_MS - COMMITMENT_PATIENCE_MS - 1, FEE), false],
    ] as const) {
      const node = testNode({ workFee: FEE });
      bring(node, [item]);
      expect(signed(adopt(node, { jobsAdded: [jobOf("one")] }).effects)).toHaveLength(isLeft ? 0 : 1);
    }
  });

  test("a word that is too old, and keeps its place in the pool, keeps nobody from the work", () => {
    const node = testNode({ workFee: FEE });
    const ours = commitmentOf("ours", START_MS, FEE, "one");
    // At one price the smaller hash has the place.
    const old = Array.from({ length: 64 }, (_, number) =>
      commitmentOf(`old ${number}`, START_MS - COMMITMENT_PATIENCE_MS - 1, FEE, "one"),
    ).filter(({ hash }) => hash < ours.hash);
    bring(node, old.slice(0, 1));
    expect(signed(adopt(node, { jobsAdded: [jobOf("one")] }).effects)).toHaveLength(1);
    const { effects } = node.feed({ type: "event/commitmentSigned", commitment: ours.info });
    expect(poolOf(node, "snark-job-commitment")).not.toContain(ours.hash);
    // Not a word after the other, without end.
    expect(signed(effects)).toEqual([]);
    expect(begun(node.pass(COMMITMENT_SPREAD_MS))).toEqual([jobOf("one")]);
  });

  test.each([
    ["somebody's work is cheaper", (node: TestNode) => bring(node, [snarkOf("one", FEE / 2n)])],
    [
      "somebody's word is greater",
      (node: TestNode) => bring(node, [commitmentOf("one", START_MS, FEE / 2n)]),
    ],
    ["the job is gone", (node: TestNode) => adopt(node, { jobsRemoved: [jobOf("one")] }).effects],
    [
      "the operator wants none",
      (node: TestNode) =>
        node.feed({ type: "command/work", requestId: freshRequestId(), isOn: false }).effects,
    ],
  ])("a proof under way is given up when %s", (_, end) => {
    const { node } = worker(jobOf("one"));
    promise(node, "one");
    expect(begun(node.pass(COMMITMENT_SPREAD_MS))).toHaveLength(1);
    expect(effectsOf(end(node), "effect/abandonSnark")).toHaveLength(1);
    expect(node.state.work).toMatchObject({ jobs: [], counts: { abandoned: 1 } });
    // What it brings all the same is not taken.
    const { bytes } = snarkOf("one", FEE);
    expect(node.feed({ type: "event/snarkMade", jobId: jobOf("one"), bytes }).effects).toEqual([]);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("nothing by who has no price", () => {
    const node = testNode();
    expect(signed(adopt(node, { jobsAdded: jobs }).effects)).toEqual([]);
    const { effects } = node.feed({ type: "command/work", requestId: freshRequestId(), isOn: true });
    expect(effectOf(effects, "effect/answerCommand").result).toEqual({ tag: "working", isOn: false });
    expect(signed(node.pass(5_000))).toEqual([]);
  });
});
