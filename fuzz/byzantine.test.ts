import { describe, expect, test } from "vitest";
import { REASONS, severity } from "../core/reasons.ts";
import { stateHash } from "../core/state-hash.ts";
import type { Behaviour } from "./byzantine/behaviour.ts";
import { type LiarPlan, reasonsOf, wrongEnds } from "./byzantine/ends.ts";
import { BEHAVIOURS, playByzantine } from "./byzantine.ts";
import { TRIALS } from "./byzantine-run.ts";
import { runs, runsTimeoutMs } from "./runs.ts";
import { createRandom, type Random } from "./sim-random.ts";

const HONEST = 3;
const VICTIMS = [0, 1];

/** Three honest nodes and one liar, which dials two of them. Every law is checked at every step (checker.ts). */
function playOne(behaviours: readonly Behaviour[], seed = 1) {
  const { liars, broken } = playByzantine({
    seed,
    nodes: HONEST + 1,
    rounds: 2,
    liars: [{ node: HONEST, behaviours, victims: VICTIMS }],
  });
  expect(broken).toEqual([]);
  const [liar] = liars;
  if (liar === undefined) throw new Error("there is one liar");
  return liar;
}

const behaviourOf = (name: string): Behaviour => {
  const behaviour = BEHAVIOURS.find((other) => other.name === name);
  if (behaviour === undefined) throw new Error(`there is no behaviour ${name}`);
  return behaviour;
};

/** What a scenario may draw: up to three liars on any nodes, each of which dials one or two honest ones. */
function drawLiars(random: Random, honest: number, behavioursMost: number): readonly LiarPlan[] {
  const count = random.between(1, 3);
  const free = Array.from({ length: honest + count }, (_, node) => node);
  const take = (): number => free.splice(random.int(free.length), 1)[0] ?? 0;
  const nodes = Array.from({ length: count }, take);
  return nodes.map((node) => ({
    node,
    behaviours: Array.from({ length: random.between(1, behavioursMost) }, () => drawBehaviour(random)),
    victims: [...new Set([0, 1].map(() => free[random.int(free.length)] ?? 0))],
  }));
}

const drawBehaviour = (random: Random): Behaviour =>
  BEHAVIOURS[random.int(BEHAVIOURS.length)] ?? behaviourOf("no Hello");

/** Five honest nodes in a ring, wherever among them the liars are. */
function playDrawn(seed: number, behavioursMost: number): void {
  const drawn = drawLiars(createRandom(seed), 5, behavioursMost);
  const { liars, broken } = playByzantine({ seed, nodes: 5 + drawn.length, liars: drawn, rounds: 1 });
  const story = JSON.stringify({ seed, liars: drawn });
  expect(broken, story).toEqual([]);
  if (behavioursMost > 1) return;
  for (const liar of liars) {
    const reasons = liar.endings.filter(({ by }) => by === "us").map(({ reason }) => reason);
    for (const reason of reasons) expect(reasonsOf(liar), story).toContain(reason);
  }
}

describe("a Byzantine peer", () => {
  test("there are many behaviours, each with its own name", () => {
    expect(new Set(BEHAVIOURS.map(({ name }) => name)).size).toBe(BEHAVIOURS.length);
    expect(BEHAVIOURS.length).toBeGreaterThan(90);
  });

  test("every violation is committed by somebody, and silence and withholding too (P10)", () => {
    const ends = new Set(BEHAVIOURS.map(({ endsIn }) => endsIn));
    const expected = REASONS.filter((reason) => severity(reason) === "violation");
    for (const reason of [...expected, "timeout", "stalled", "doesNotHave"] as const)
      expect(ends).toContain(reason);
  });

  test.each(BEHAVIOURS.map((behaviour) => [behaviour.name, behaviour.endsIn, behaviour] as const))(
    "%s -> %s",
    (_name, endsIn, behaviour) => {
      const liar = playOne([behaviour]);
      expect(wrongEnds(liar)).toEqual([]);
      // Else it has been of no harm only because it has gone.
      if (behaviour.place !== "connection" || endsIn === null) expect(liar.endings).toEqual([]);
    },
  );
});

describe("what a Byzantine peer meets", () => {
  test("is the same for the same seed", () => {
    const run = () => {
      const behaviours = ["announces and never answers", "a tip whose block is never served"].map(
        behaviourOf,
      );
      const { cluster, liars } = playByzantine({ seed: 7, nodes: 4, liars: [{ node: 1, behaviours }] });
      return [...cluster.nodes.map(({ state }) => stateHash(state)), JSON.stringify(liars)];
    };
    expect(run()).toEqual(run());
  });
});

describe("Byzantine peers", () => {
  test.each(TRIALS.map((trial) => [trial.name, trial] as const))("%s", (_name, { play }) => {
    for (let seed = 1; seed <= runs(1); seed++) expect(play(seed)).toEqual([]);
  });

  test("any one behaviour on up to three nodes", { timeout: runsTimeoutMs(60_000) }, () => {
    for (let seed = 0; seed < runs(10); seed++) playDrawn(seed, 1);
  });

  test("any two behaviours on each of up to three nodes", { timeout: runsTimeoutMs(60_000) }, () => {
    for (let seed = 0; seed < runs(5); seed++) playDrawn(1_000 + seed, 2);
  });
});
