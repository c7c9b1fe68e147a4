import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { stateHash } from "../core/state-hash.ts";
import { replay } from "./recorder.ts";
import { bestOf, play, poolOf, scenarioArbitrary, transactionArbitrary } from "./scenario.ts";
import { START_MS } from "./simulator.ts";
import { createTranscript } from "./transcript.ts";

/** Every run below is watched by the checker: both laws, the state, the pools, and that nobody is accused. */
describe("a network of honest nodes", () => {
  test("laws 1 and 2 hold, and all pools end as the oracle says, whatever links break", () => {
    fc.assert(
      fc.property(scenarioArbitrary({ restarts: false }), (scenario) => {
        const { cluster, submitted } = play(scenario);
        const expected = bestOf(submitted.map(({ bytes }) => bytes));
        for (const { index } of cluster.nodes) {
          expect(poolOf(cluster, index)).toEqual(expected);
          expect([...cluster.chain(index).kept.keys()].sort()).toEqual(expected);
        }
      }),
      { numRuns: 40 },
    );
  });

  test("laws 1 and 2 hold, and all pools end equal, whoever restarts", () => {
    fc.assert(
      fc.property(scenarioArbitrary({ restarts: true }), (scenario) => {
        const { cluster, submitted } = play(scenario);
        const pool = poolOf(cluster, 0);
        for (const { index } of cluster.nodes) expect(poolOf(cluster, index)).toEqual(pool);
        // Nothing a living process was given is lost to anything lesser; what died with one may be.
        const alive = submitted.filter(({ node, life }) => cluster.node(node).life === life);
        const given = submitted.map(({ bytes }) => bytes);
        const held = given.filter((bytes) => pool.some((hash) => bestOf([bytes]).includes(hash)));
        expect(bestOf(held)).toEqual(pool);
        expect(bestOf([...held, ...alive.map(({ bytes }) => bytes)])).toEqual(pool);
      }),
      { numRuns: 40 },
    );
  });

  test("every process of a run replays from its recording to the same states", () => {
    fc.assert(
      fc.property(scenarioArbitrary({ restarts: true }), (scenario) => {
        const { cluster } = play(scenario, { isRecorded: true });
        for (const lines of cluster.recordings()) expect(replay(lines).tag).toBe("equal");
      }),
      { numRuns: 10 },
    );
  });

  test("the same seed gives the same run: transcript and states", () => {
    fc.assert(
      fc.property(scenarioArbitrary({ restarts: true }), (scenario) => {
        const run = (): readonly string[] => {
          const transcript = createTranscript(START_MS);
          const { cluster } = play(scenario, { observers: [transcript] });
          return [...transcript.lines, ...cluster.nodes.map(({ state }) => stateHash(state))];
        };
        expect(run()).toEqual(run());
      }),
      { numRuns: 10 },
    );
  });

  test("a body is fetched once by each node (P09)", () => {
    const counts = { bodies: 0, items: 0 };
    fc.assert(
      fc.property(
        fc.integer(),
        fc.uniqueArray(transactionArbitrary, { minLength: 5, selector: ({ salt }) => salt }),
        (seed, transactions) => {
          const events = transactions.map((transaction, nonce) => ({
            tag: "submit" as const,
            node: nonce,
            transaction: { ...transaction, nonce, verdict: "valid" as const },
          }));
          const all = [0, 1, 2, 3, 4].flatMap((a) => [0, 1, 2, 3, 4].map((b) => [a, b] as const));
          const { checker } = play({ seed, nodes: 5, parents: [], extraDials: all, events });
          for (const count of checker.bodies.values()) counts.bodies += count;
          counts.items += checker.bodies.size;
        },
      ),
      { numRuns: 4 },
    );
    expect(counts.bodies / counts.items).toBeLessThanOrEqual(1.05);
  });
});
