import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ATTEMPT_TIMEOUT_MS,
  DIAL_BACKOFF_MAX_MS,
  DIAL_BACKOFF_MIN_MS,
  SIGNAL_REPLY_TIMEOUT_MS,
} from "../core/limits.ts";
import { checkBaseline } from "./invariants.ts";
import { identityOf } from "./sim-identity.ts";
import type { Cluster, ClusterOptions } from "./simulator.ts";
import { postOffer } from "./stranger.ts";
import { createWatched } from "./watched.ts";

const watched = (options: ClusterOptions): Cluster => {
  return createWatched(options).cluster;
};

/** Attempt ids of the live connections of a node. */
const liveOf = (cluster: Cluster, node: number): readonly number[] =>
  [...cluster.node(node).state.peers.values()].flatMap(({ live }) => (live === null ? [] : [live.attemptId]));

const MINUTE_MS = 60_000;

describe("connections of honest nodes", () => {
  test("P05: a mutual dial leaves exactly one connection, stable for a minute, in any order of events", () => {
    const options = fc.record({
      seed: fc.integer(),
      apartMs: fc.nat(600),
      latencyMs: fc.nat(400),
      jitterMs: fc.nat(300),
      serviceMs: fc.nat(200),
    });
    fc.assert(
      fc.property(options, ({ seed, apartMs, latencyMs, jitterMs, serviceMs }) => {
        const link = { latencyMs: [latencyMs, latencyMs], jitterMs, serviceMs: [0, serviceMs] } as const;
        const cluster = watched({ nodes: 2, seed, link });
        cluster.dial(0, 1);
        cluster.runFor(apartMs);
        cluster.dial(1, 0);
        cluster.runUntilQuiet(MINUTE_MS);
        const live = [liveOf(cluster, 0), liveOf(cluster, 1)];
        expect(live.map(({ length }) => length)).toEqual([1, 1]);
        expect(cluster.network.open()).toBe(2);
        cluster.runFor(MINUTE_MS);
        expect([liveOf(cluster, 0), liveOf(cluster, 1)]).toEqual(live);
        expect(cluster.network.open()).toBe(2);
      }),
      { numRuns: 60 },
    );
  });

  test("P27: a killed, frozen or silently cut peer is gone in 25 s", () => {
    const ways = {
      kill: (cluster: Cluster) => cluster.kill(1),
      freeze: (cluster: Cluster) => cluster.node(1).freeze(),
      cut: (cluster: Cluster) => cluster.cutLink(0, 1, 10 * MINUTE_MS),
    } as const;
    fc.assert(
      fc.property(
        fc.integer(),
        fc.nat(20_000),
        fc.constantFrom("kill", "freeze", "cut"),
        (seed, afterMs, way) => {
          const cluster = watched({ nodes: 2, seed });
          cluster.dial(0, 1);
          cluster.runUntilQuiet();
          cluster.runFor(afterMs);
          const [gone] = liveOf(cluster, 0);
          ways[way as keyof typeof ways](cluster);
          cluster.runFor(25_000);
          // Of a cut link both ends are alive: they may have found each other again.
          expect(liveOf(cluster, 0)).not.toContain(gone);
        },
      ),
      { numRuns: 20 },
    );
  });

  test("P28: a dead address is dialed with exponential back-off and jitter, one deadline per attempt", () => {
    const dials: number[][] = [];
    for (const seed of [1, 2, 3]) {
      const timesMs: number[] = [];
      const after = (
        _node: unknown,
        _input: unknown,
        result: { actions: readonly { type: string }[] },
      ): void => {
        if (result.actions.some(({ type }) => type === "dial/start")) timesMs.push(cluster.clock.nowMs);
      };
      const cluster = watched({ nodes: 2, seed, observers: [{ after }] });
      cluster.kill(1);
      cluster.dial(0, 1);
      cluster.runFor(60 * MINUTE_MS);
      const gaps = timesMs.slice(1).map((ms, index) => ms - (timesMs[index] ?? 0));
      for (const [index, gapMs] of gaps.entries()) {
        const fullMs = Math.min(DIAL_BACKOFF_MAX_MS, DIAL_BACKOFF_MIN_MS * 2 ** index);
        expect(gapMs).toBeGreaterThanOrEqual(fullMs / 2);
        expect(gapMs).toBeLessThanOrEqual(fullMs + ATTEMPT_TIMEOUT_MS);
      }
      expect(gaps.length).toBeGreaterThan(10);
      dials.push(gaps);
    }
    expect(new Set(dials.map(String)).size).toBe(3);
  });

  test("P28: an attempt whose listener is frozen ends by its one deadline", () => {
    const cluster = watched({ nodes: 2, seed: 5 });
    cluster.node(1).freeze();
    cluster.dial(0, 1);
    cluster.runFor(ATTEMPT_TIMEOUT_MS + 400);
    expect(cluster.node(0).state.attempts.size).toBe(0);
  });

  test("a node that was stopped is at its baseline when its memory of offers has lapsed", () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat(500), (seed, afterMs) => {
        const cluster = watched({ nodes: 3, seed });
        for (const [from, to] of [
          [0, 1],
          [1, 0],
          [2, 0],
          [1, 2],
        ] as const) {
          cluster.dial(from, to);
        }
        cluster.runFor(afterMs);
        cluster.stop(0);
        cluster.stop(1);
        cluster.stop(2);
        cluster.runFor(200_000);
        for (const { state } of cluster.nodes) expect(checkBaseline(state)).toEqual([]);
        expect(cluster.network.open()).toBe(0);
      }),
      { numRuns: 20 },
    );
  });
});

describe("offers of strangers", () => {
  test("P04: forged offers in the name of a live peer never change its connection", () => {
    const cluster = watched({ nodes: 2, seed: 1 });
    cluster.dial(0, 1);
    cluster.runUntilQuiet();
    const before = [liveOf(cluster, 0), liveOf(cluster, 1)];
    const forger = identityOf("forger");
    const from = cluster.identity(1);
    let answered = 0;
    for (let number = 0; number < 500; number++) {
      const remoteAddress = `30.${number >> 8}.${number & 255}.1`;
      postOffer(cluster, { to: 0, from, signer: forger, number, remoteAddress }, () => {
        answered += 1;
      });
      cluster.runFor(25);
    }
    cluster.runFor(SIGNAL_REPLY_TIMEOUT_MS);
    expect(answered).toBe(500);
    expect([liveOf(cluster, 0), liveOf(cluster, 1)]).toEqual(before);
    expect(cluster.node(0).state.offenders.size).toBe(0);
  });

  test("P04: an offer with a live peer's own key is refused, and the peer stays", () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const cluster = watched({ nodes: 2, seed });
        cluster.dial(0, 1);
        cluster.runUntilQuiet();
        const before = [liveOf(cluster, 0), liveOf(cluster, 1)];
        const from = cluster.identity(1);
        const statuses: string[] = [];
        for (let number = 0; number < 5; number++) {
          postOffer(cluster, { to: 0, from, signer: from, number, remoteAddress: "30.0.0.1" }, ({ tag }) => {
            statuses.push(tag);
          });
          cluster.runFor(500);
        }
        cluster.runFor(MINUTE_MS);
        expect(statuses).toEqual(["envelope", "envelope", "envelope", "envelope", "envelope"]);
        expect([liveOf(cluster, 0), liveOf(cluster, 1)]).toEqual(before);
        expect(cluster.network.open()).toBe(2);
      }),
      { numRuns: 20 },
    );
  });

  test("P06: a flood of offers stays within the caps, and every request is answered", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 40 }), (seed, everyMs) => {
        // The caps themselves are checked at every step by checkSlots.
        const cluster = watched({ nodes: 1, seed });
        const strangers = Array.from({ length: 8 }, (_, index) => identityOf(`stranger ${index}`));
        let [asked, answered] = [0, 0];
        for (let number = 0; number < 200; number++) {
          const from = strangers[number % strangers.length] ?? identityOf("stranger 0");
          const remoteAddress = `40.${number % 100}.0.1`;
          asked += 1;
          postOffer(cluster, { to: 0, from, signer: from, number, remoteAddress }, () => {
            answered += 1;
          });
          cluster.runFor(everyMs);
        }
        cluster.runFor(SIGNAL_REPLY_TIMEOUT_MS + 1_000);
        expect(answered).toBe(asked);
        expect(cluster.web.unanswered()).toBe(0);
        cluster.runFor(200_000);
        expect(checkBaseline(cluster.node(0).state)).toEqual([]);
      }),
      { numRuns: 5 },
    );
  });
});
