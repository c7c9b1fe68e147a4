import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hashOf } from "../core/pools.ts";
import { stateHash } from "../core/state-hash.ts";
import { FAULT_NAMES } from "./faults.ts";
import { bestOf, isValidNow, poolOf } from "./oracle.ts";
import { brokenPromises } from "./promises.ts";
import { replay } from "./recorder.ts";
import { createRecordings } from "./recordings.ts";
import { runs, runsTimeoutMs } from "./runs.ts";
import { type Played, play } from "./scenario.ts";
import { type ScenarioKinds, scenarioArbitrary } from "./scenario-arbitrary.ts";
import { START_MS } from "./simulator.ts";
import { createTranscript } from "./transcript.ts";

const CALM: ScenarioKinds = { faults: ["cut"], blocks: false, capacities: "unlimited" };
const WILD: ScenarioKinds = { faults: FAULT_NAMES, blocks: true, capacities: "mixed" };

/** Every run below is watched by the checker: laws 1 and 2, the state, the pools, and that nobody is accused. */
const holds = (kinds: ScenarioKinds, few: number, further: (played: Played) => void = () => {}): void => {
  fc.assert(
    fc.property(scenarioArbitrary(kinds), (scenario) => {
      const played = play(scenario);
      expect(brokenPromises(played)).toEqual([]);
      further(played);
    }),
    { numRuns: runs(few) },
  );
};

describe("a network of honest nodes, when it is quiet", () => {
  test("every pool holds the best of all that was submitted, whatever links break", {
    timeout: runsTimeoutMs(60_000),
  }, () => {
    holds(CALM, 40, ({ cluster, submitted }) => {
      const accepted = submitted.filter(({ node, requestId }) => {
        const answer = cluster.node(node).answers.get(requestId)?.tag;
        return answer === "submitted" || answer === "keptAside";
      });
      const expected = bestOf(accepted.map(({ info }) => info));
      for (const { index } of cluster.nodes) expect(poolOf(cluster, index, "transaction")).toEqual(expected);
    });
  });

  test("the same of what blocks have not spent, whatever branches they are on", {
    timeout: runsTimeoutMs(60_000),
  }, () => {
    holds({ ...CALM, faults: ["cut", "reorg"], blocks: true }, 40, ({ cluster, submitted }) => {
      // What a block has spent and another one not comes back, unless it was replaced meanwhile.
      const alive = submitted.filter(
        ({ node, requestId, wasSpent, info }) =>
          !wasSpent &&
          isValidNow(cluster, node, "transaction", info) &&
          cluster.node(node).answers.get(requestId)?.tag === "submitted",
      );
      for (const { index } of cluster.nodes) {
        const pool = [...cluster.node(index).state.pools.transaction.entries.values()].map(
          ({ info }) => info,
        );
        const known = new Set(pool.map(hashOf));
        const others = alive.filter(({ info }) => !known.has(hashOf(info))).map(({ info }) => info);
        expect(bestOf([...pool, ...others])).toEqual(poolOf(cluster, index, "transaction"));
      }
    });
  });

  test("pools of equal capacity are equal, and full of the best", { timeout: runsTimeoutMs(60_000) }, () => {
    holds({ ...CALM, faults: ["cut", "reorg"], blocks: true, capacities: "equal" }, 40, ({ cluster }) => {
      const pool = poolOf(cluster, 0, "transaction");
      for (const { index } of cluster.nodes) expect(poolOf(cluster, index, "transaction")).toEqual(pool);
    });
  });

  test("each pool holds the best that can reach it, whoever restarts or freezes, with mixed capacities", {
    timeout: runsTimeoutMs(60_000),
  }, () => {
    holds(WILD, 60);
  });
});

describe("a run", () => {
  test("replays from the recording of every process to the same states", () => {
    fc.assert(
      fc.property(scenarioArbitrary(WILD), (scenario) => {
        const recordings = createRecordings();
        play(scenario, { observers: [recordings.observer] });
        for (const [, lines] of recordings.all()) expect(replay(lines).tag).toBe("equal");
      }),
      { numRuns: runs(10) },
    );
  });

  test("is the same for the same seed: transcript and states", () => {
    fc.assert(
      fc.property(scenarioArbitrary(WILD), (scenario) => {
        const run = (): readonly string[] => {
          const transcript = createTranscript(START_MS);
          const { cluster } = play(scenario, { observers: [transcript] });
          return [...transcript.lines, ...cluster.nodes.map(({ state }) => stateHash(state))];
        };
        expect(run()).toEqual(run());
      }),
      { numRuns: runs(10) },
    );
  });
});
