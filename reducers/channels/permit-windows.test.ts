import { describe, expect, test } from "vitest";
import type { PermitWindow } from "../../core/channels/permits.ts";
import type { Effect } from "../../core/effects.ts";
import { BAN_MS, BAND_INTERVAL_MS, RATE_BURST, REFLOOR_INTERVAL_MS } from "../../core/limits.ts";
import { POOL_NAMES, type PoolName, priorityOf } from "../../core/pools.ts";
import { comparePriority, GREATEST_PRIORITY, type Priority } from "../../core/priority.ts";
import { brokenInvariants } from "../invariants.ts";
import { adopt, START_MS } from "../testing/chain.ts";
import {
  announce,
  bring,
  commitmentOf,
  type Item,
  infosIn,
  itemOf,
  NOT_NOW,
  permitOf,
  permitsIn,
  poolOf,
  serve,
  snarkOf,
  valid,
  verified,
  windowsIn,
  windowsOf,
} from "../testing/items.ts";
import { control, getNext, infos, refloor, say } from "../testing/messages.ts";
import { type TestNode, testNode } from "../testing/node.ts";
import { readyPeer, type TestPeer, WITHOUT_TIPS } from "../testing/peers.ts";
import { randomOf } from "../testing/random.ts";
import { endReason, goodbyes, requestsTo, sentOn } from "../testing/results.ts";

/** 7.4: floor, band and rest, and what is asked of whom when the pool changes. */

const [a, b, c, d] = [itemOf("a", 100n), itemOf("b", 200n), itemOf("c", 300n), itemOf("d", 400n)];
const [pa, pb, pc] = [priorityOf(a.info), priorityOf(b.info), priorityOf(c.info)];

const MAKE: { readonly [Pool in PoolName]: (name: string) => Item } = {
  transaction: (name) => itemOf(name),
  snark: (name) => snarkOf(name),
  "snark-job-commitment": (name) => commitmentOf(name, START_MS),
};

interface World {
  readonly node: TestNode;
  readonly p: TestPeer;
}

/** A node with room for so many transactions, and one peer. */
function world(capacity = 3_000): World {
  const node = testNode({ capacity });
  return { node, p: readyPeer(node, "p", WITHOUT_TIPS) };
}

/** Time passes and the peer stays alive. */
function pass({ node, p }: World, ms: number): readonly Effect[] {
  const effects: Effect[] = [];
  for (let passed = 0; passed < ms; passed += 100) {
    effects.push(...node.pass(Math.min(100, ms - passed)));
    const open = node.state.peers.get(p.peerId)?.live?.control.awaitingPong;
    if (open != null) effects.push(...say(node, p.attemptId, control({ tag: "pong", n: open.n })).effects);
  }
  return effects;
}

/** Announced by the peer, fetched from it and verified. */
function bringBy({ node, p }: World, item: Item): readonly Effect[] {
  const [asked] = requestsTo(announce(node, p, [item]).effects, p.attemptId);
  if (asked === undefined) throw new Error("it is wanted");
  return verified(node, serve(node, p, asked.id, item).effects, valid(item)).effects;
}

const only = (windows: readonly PermitWindow[]): Pick<PermitWindow, "floor" | "band"> => {
  expect(windows).toHaveLength(1);
  const [{ floor, band } = { floor: null, band: null }] = windows;
  return { floor, band };
};

describe("windows: the floor", () => {
  test("a pool with room has none; a full one gives the priority of its least item", () => {
    const one = world(2);
    expect(only(windowsIn(bringBy(one, b), one.p))).toEqual({ floor: null, band: null });
    expect(only(windowsIn(bringBy(one, a), one.p))).toEqual({ floor: pa, band: null });
    expect(only(windowsIn(bringBy(one, c), one.p))).toEqual({ floor: pb, band: null });
    expect(poolOf(one.node)).toEqual([b.hash, c.hash].sort());
  });

  test("a rise of the floor costs nothing: the open permit keeps its lower one", () => {
    const one = world(1);
    expect(windowsIn(bring(one.node, [a, b, c]), one.p)).toEqual([]);
    expect(windowsIn(pass(one, 60_000), one.p)).toEqual([]);
    expect(windowsOf(one.node, one.p)).toHaveLength(1);
  });

  test("what comes at or below the floor is settled without being fetched", () => {
    const one = world(1);
    bring(one.node, [b]);
    const { effects } = announce(one.node, one.p, [a]);
    expect(requestsTo(effects, one.p.attemptId)).toEqual([]);
    expect(only(windowsIn(effects, one.p))).toEqual({ floor: pb, band: null });
  });

  test("room in the pool is told with a Refloor, and what the floor held back is asked for as a band", () => {
    const one = world(2);
    bring(one.node, [a, b]);
    bringBy(one, c);
    expect(windowsOf(one.node, one.p)).toMatchObject([{ floor: pb, band: null }]);
    pass(one, REFLOOR_INTERVAL_MS);
    const { effects } = adopt(one.node, { removed: [c.hash] });
    expect(sentOn(effects, one.p.attemptId).filter(({ channel }) => channel === "transaction")).toMatchObject(
      [{ message: { tag: "refloor", window: { floor: null, band: pb } } }],
    );
    expect(brokenInvariants(one.node.state)).toEqual([]);
  });

  test("a permit that is not open gets no Refloor: the next one says it", () => {
    const one = world(1);
    bring(one.node, [a]);
    const [asked] = requestsTo(announce(one.node, one.p, [b]).effects, one.p.attemptId);
    expect(windowsIn(adopt(one.node, { removed: [a.hash] }).effects, one.p)).toEqual([]);
    expect(windowsIn(pass(one, 2_000), one.p)).toEqual([]);
    const { effects } = serve(one.node, one.p, asked?.id ?? 0, b);
    expect(only(windowsIn(verified(one.node, effects, NOT_NOW).effects, one.p))).toMatchObject({
      floor: null,
    });
  });

  test("our Refloors keep a second between them, and the last one is true", () => {
    const one = world(1);
    bring(one.node, [itemOf("first", 50n)]);
    announce(one.node, one.p, [itemOf("spare", 1n)]);
    const sentMs: number[] = [one.node.nowMs];
    const note = (effects: readonly Effect[]): void => {
      for (const _ of windowsIn(effects, one.p)) sentMs.push(one.node.nowMs);
    };
    // Full of something better each time, and empty again.
    let held = poolOf(one.node);
    for (let round = 1; round <= 12; round++) {
      note(adopt(one.node, { removed: held }).effects);
      note(pass(one, 150));
      const better = itemOf(`round ${round}`, 10n ** BigInt(round + 2));
      note(bring(one.node, [better]));
      held = [better.hash];
    }
    note(adopt(one.node, { removed: held }).effects);
    note(pass(one, 5_000));
    expect(sentMs.length).toBeGreaterThan(1);
    for (const [index, atMs] of sentMs.entries()) {
      const before = sentMs[index - 1];
      if (before !== undefined) expect(atMs - before).toBeGreaterThanOrEqual(REFLOOR_INTERVAL_MS);
    }
    expect(windowsOf(one.node, one.p).at(-1)).toMatchObject({ floor: null });
    // What came after that band is asked for with the next permit.
    const top = priorityOf(itemOf("round 12", 10n ** 14n).info);
    note(say(one.node, one.p.attemptId, infos(permitOf(one.node, one.p), [])).effects);
    note(pass(one, BAND_INTERVAL_MS));
    expect(windowsOf(one.node, one.p).at(-1)).toMatchObject({ floor: null, band: top });
  });

  test.each(["snark", "snark-job-commitment"] as const)("%s has none, however much it holds", (pool) => {
    const node = testNode({ capacity: 1 });
    const p = readyPeer(node, "p", WITHOUT_TIPS);
    for (let index = 0; index < 5; index++) {
      const item = MAKE[pool](`item ${index}`);
      const { effects } = announce(node, p, [item]);
      const [asked] = requestsTo(effects, p.attemptId);
      const served = asked === undefined ? effects : serve(node, p, asked.id, item).effects;
      expect(only(windowsIn(verified(node, served, valid(item)).effects, p, pool))).toEqual({
        floor: null,
        band: null,
      });
    }
    expect(poolOf(node, pool)).toHaveLength(5);
  });

  test.each(["snark", "snark-job-commitment"] as const)("a peer's floor on %s is badState", (pool) => {
    for (const floored of [getNext(0, { floor: pa }, pool), refloor(0, { floor: pa }, pool)]) {
      const { node, p } = world();
      expect(goodbyes(say(node, p.attemptId, floored).effects)).toEqual([`badState ${BAN_MS}`]);
    }
    const { node, p } = world();
    expect(endReason(say(node, p.attemptId, getNext(0, { band: GREATEST_PRIORITY }, pool)))).toBeUndefined();
    expect(endReason(say(node, p.attemptId, refloor(1, { band: GREATEST_PRIORITY }, pool)))).toBeUndefined();
  });
});

describe("windows: bands of our own", () => {
  test("high is the highest floor there was since the window was sent, also if it fell again in between", () => {
    const one = world(1);
    bring(one.node, [a, b, c]);
    adopt(one.node, { removed: [c.hash] });
    bring(one.node, [a]);
    const spare = itemOf("spare", 1n);
    expect(only(windowsIn(announce(one.node, one.p, [spare]).effects, one.p))).toEqual({
      floor: pa,
      band: pc,
    });
  });

  test("a band that was served down to rest is asked for from there on", () => {
    const one = world(1);
    bring(one.node, [d]);
    announce(one.node, one.p, [a]);
    pass(one, REFLOOR_INTERVAL_MS);
    const top = priorityOf(d.info);
    expect(only(windowsIn(adopt(one.node, { removed: [d.hash] }).effects, one.p))).toEqual({
      floor: null,
      band: top,
    });
    const seq = permitOf(one.node, one.p);
    const first = say(one.node, one.p.attemptId, infos(seq, [c.info], { rest: pb })).effects;
    const asked = requestsTo(first, one.p.attemptId)[0]?.id ?? 0;
    const done = verified(one.node, serve(one.node, one.p, asked, c).effects, valid(c)).effects;
    // The pool holds only one, so nothing below it is lacking: but as soon as there is room, b is.
    expect(only(windowsIn(done, one.p))).toEqual({ floor: pc, band: null });
    pass(one, REFLOOR_INTERVAL_MS);
    const { band } = only(windowsIn(adopt(one.node, { removed: [c.hash] }).effects, one.p));
    expect(band).toEqual(pc);
  });

  test("rest counts for the window that was answered, not for the last one", () => {
    const one = world(2);
    bring(one.node, [a, b, c]);
    announce(one.node, one.p, [a]);
    pass(one, REFLOOR_INTERVAL_MS);
    adopt(one.node, { removed: [c.hash] });
    const before = permitOf(one.node, one.p);
    expect(windowsOf(one.node, one.p).at(-1)).toMatchObject({ seq: before, floor: null, band: pb });
    // Full and with room again: the floor has been higher since that window.
    bring(one.node, [d]);
    pass(one, REFLOOR_INTERVAL_MS);
    adopt(one.node, { removed: [d.hash] });
    const { effects } = say(one.node, one.p.attemptId, infos(before, [], { rest: null }));
    expect(goodbyes(effects)).toEqual([]);
    const again = [...windowsIn(effects, one.p), ...windowsIn(pass(one, BAND_INTERVAL_MS), one.p)];
    expect(again.at(-1)).toMatchObject({ floor: null, band: pb });
  });

  test("what a peer announced and did not serve is asked for again as a band, at most once per 10 s", () => {
    const one = world();
    const { node, p } = one;
    announce(node, p, [a]);
    const [first] = permitsIn(serve(node, p, 0, null).effects, p);
    expect(first).toMatchObject({ window: { seq: 1, floor: null, band: pa } });
    announce(node, p, [a]);
    const [second] = permitsIn(serve(node, p, 1, null).effects, p);
    expect(second).toMatchObject({ window: { seq: 2, band: null } });
    expect(windowsIn(pass(one, BAND_INTERVAL_MS - 1), p)).toEqual([]);
    expect(windowsIn(pass(one, 1), p)).toMatchObject([{ seq: 3, band: pa }]);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("bands that bring nothing new: one per 10 s", () => {
    const one = world();
    const { node, p } = one;
    announce(node, p, [a]);
    serve(node, p, 0, null);
    const bandsMs: number[] = [node.nowMs];
    for (let passed = 0; passed < 36_000; passed += 2_000) {
      for (const { band } of windowsIn(pass(one, 2_000), p)) if (band !== null) bandsMs.push(node.nowMs);
      // Always the same item, and always in vain.
      const { effects } = announce(node, p, [a]);
      const asked = requestsTo(effects, p.attemptId)[0]?.id ?? 0;
      for (const { band } of windowsIn(serve(node, p, asked, null).effects, p))
        if (band !== null) bandsMs.push(node.nowMs);
    }
    expect(bandsMs.length).toBeGreaterThan(1);
    for (const [index, atMs] of bandsMs.entries())
      expect(atMs - (bandsMs[index - 1] ?? 0)).toBeGreaterThanOrEqual(BAND_INTERVAL_MS);
  });

  test("a band that goes down is asked for at once, as often as it does", () => {
    const one = world();
    const items = Array.from({ length: 5 }, (_, index) => itemOf(`item ${index}`, BigInt(10 ** (index + 1))));
    const [lowest] = items;
    if (lowest === undefined) throw new Error("there is one");
    adopt(one.node, { extendsOld: false });
    pass(one, REFLOOR_INTERVAL_MS);
    const bands: (Priority | null)[] = [windowsOf(one.node, one.p).at(-1)?.band ?? null];
    for (const item of [...items].reverse()) {
      const rest = priorityOf(item.info);
      const { effects } = say(one.node, one.p.attemptId, infos(permitOf(one.node, one.p), [], { rest }));
      bands.push(only(windowsIn(effects, one.p)).band);
    }
    expect(bands).toEqual([GREATEST_PRIORITY, ...[...items].reverse().map(({ info }) => priorityOf(info))]);
    const done = say(one.node, one.p.attemptId, infos(permitOf(one.node, one.p), [], { rest: null }));
    expect(only(windowsIn(done.effects, one.p)).band).toBeNull();
  });

  test.each([
    [
      "not now",
      (node: TestNode, p: TestPeer) => verified(node, serve(node, p, 0, a).effects, NOT_NOW).effects,
    ],
    ["not served", (node: TestNode, p: TestPeer) => serve(node, p, 0, null).effects],
    ["not answered", (node: TestNode, p: TestPeer) => pass({ node, p }, 5_000)],
    [
      "not verified in time",
      (node: TestNode, p: TestPeer) => {
        serve(node, p, 0, a);
        return pass({ node, p }, 15_000);
      },
    ],
  ])("what was announced and is %s may be lacking", (_, fail) => {
    const one = world();
    announce(one.node, one.p, [a]);
    expect(only(windowsIn(fail(one.node, one.p), one.p))).toEqual({ floor: null, band: pa });
  });

  test("of several failures the greatest counts", () => {
    const one = world();
    announce(one.node, one.p, [a, c, b]);
    expect(only(windowsIn(serve(one.node, one.p, 0, null, null, null).effects, one.p)).band).toEqual(pc);
  });

  test("what was dropped at this tip is not fetched again, and may be lacking all the same", () => {
    const one = world();
    const q = readyPeer(one.node, "q", WITHOUT_TIPS);
    announce(one.node, one.p, [a]);
    verified(one.node, serve(one.node, one.p, 0, a).effects, NOT_NOW);
    const { effects } = announce(one.node, q, [a]);
    expect(requestsTo(effects, q.attemptId)).toEqual([]);
    expect(only(windowsIn(effects, q)).band).toEqual(pa);
    adopt(one.node);
    expect(requestsTo(announce(one.node, q, [a]).effects, q.attemptId)).toHaveLength(1);
  });

  test.each(["snark", "snark-job-commitment"] as const)(
    "on %s the band is None or the greatest priority",
    (pool) => {
      const one = world();
      const item = MAKE[pool]("x");
      const { effects } = announce(one.node, one.p, [item]);
      const served = pool === "snark" ? serve(one.node, one.p, 0, item).effects : effects;
      const { band } = only(windowsIn(verified(one.node, served, NOT_NOW).effects, one.p, pool));
      expect(band).toEqual(GREATEST_PRIORITY);
    },
  );

  test.each(POOL_NAMES)(
    "after a tip that does not extend the old one everything of %s may be lacking, of everybody",
    (pool) => {
      const one = world();
      const q = readyPeer(one.node, "q", WITHOUT_TIPS);
      pass(one, REFLOOR_INTERVAL_MS);
      expect(windowsIn(adopt(one.node).effects, one.p, pool)).toEqual([]);
      const { effects } = adopt(one.node, { extendsOld: false });
      for (const peer of [one.p, q])
        expect(only(windowsIn(effects, peer, pool))).toEqual({ floor: null, band: GREATEST_PRIORITY });
      const newcomer = readyPeer(one.node, "newcomer", WITHOUT_TIPS);
      expect(windowsOf(one.node, newcomer, pool)).toMatchObject([{ seq: 0, floor: null, band: null }]);
    },
  );

  test("what begins to be lacking while a permit is open is asked for, within 10 s of the last band", () => {
    const one = world();
    const { node, p } = one;
    pass(one, REFLOOR_INTERVAL_MS);
    adopt(node, { extendsOld: false });
    // The band is done: the next permit is open, and asks for nothing that is lacking.
    say(node, p.attemptId, infos(permitOf(node, p), []));
    pass(one, 100);
    expect(windowsIn(adopt(node, { extendsOld: false }).effects, p)).toEqual([]);
    expect(windowsIn(pass(one, BAND_INTERVAL_MS), p)).toMatchObject([{ band: GREATEST_PRIORITY }]);
  });

  test("a finished band without items is taken, and the next permit asks for none", () => {
    const { node, p } = world();
    announce(node, p, [a]);
    serve(node, p, 0, null);
    const result = say(node, p.attemptId, infos(permitOf(node, p), []));
    expect(goodbyes(result.effects)).toEqual([]);
    expect(permitsIn(result.effects, p)).toMatchObject([{ window: { seq: 2, band: null } }]);
  });

  test("after a Refloor the answer may be for the window before it, but for none before the last Infos", () => {
    const one = world();
    const { node, p } = one;
    announce(node, p, [a]);
    serve(node, p, 0, null);
    announce(node, p, [a]);
    serve(node, p, 1, null);
    const before = permitOf(node, p);
    pass(one, BAND_INTERVAL_MS);
    expect(permitOf(node, p)).toBe(before + 1);
    const result = say(node, p.attemptId, infos(before, [b.info]));
    expect(goodbyes(result.effects)).toEqual([]);
    expect(requestsTo(result.effects, p.attemptId)).toHaveLength(1);
    serve(node, p, 2, null);
    expect(goodbyes(say(node, p.attemptId, infos(before + 1, [c.info])).effects)).toEqual([
      `badState ${BAN_MS}`,
    ]);
  });
});

describe("windows: Refloors of a peer", () => {
  test("64 at once are taken, one a second for as long as they come, the one beyond is overLimit", () => {
    const one = world();
    const { node, p } = one;
    let seq = 0;
    for (let count = 0; count < RATE_BURST; count++)
      expect(endReason(say(node, p.attemptId, refloor(seq++)))).toBeUndefined();
    for (let second = 0; second < 20; second++) {
      pass(one, 1_000);
      expect(endReason(say(node, p.attemptId, refloor(seq++)))).toBeUndefined();
    }
    expect(goodbyes(say(node, p.attemptId, refloor(seq++)).effects)).toEqual([`overLimit ${BAN_MS}`]);
  });

  test.each(POOL_NAMES)("each channel has its own rate: %s", (pool) => {
    const { node, p } = world();
    for (const other of POOL_NAMES)
      for (let seq = 0; seq < RATE_BURST; seq++) say(node, p.attemptId, refloor(seq, {}, other));
    expect(endReason(say(node, p.attemptId, refloor(RATE_BURST, {}, pool)))).toBe("overLimit");
  });

  test("without an open permit it is ignored, but its seq is given", () => {
    const { node, p } = world();
    bring(node, [a]);
    expect(say(node, p.attemptId, refloor(4)).effects).toEqual([]);
    expect(endReason(say(node, p.attemptId, getNext(4)))).toBe("badState");
  });

  test("the last one counts", () => {
    const { node, p } = world();
    say(node, p.attemptId, getNext(0));
    say(node, p.attemptId, refloor(1, { floor: pb }));
    expect(infosIn(bring(node, [a]), p)).toEqual([]);
    say(node, p.attemptId, refloor(2, { floor: pa }));
    expect(infosIn(bring(node, [b]), p)).toMatchObject([{ seq: 2, rest: pa, items: [b.info] }]);
  });
});

/** 7.4, Receiver, word by word: every floor since the window that was answered is remembered one by one. */
describe("windows: an independent reading of `high`", () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])("over a long random session, %i", (seed) => {
    const random = randomOf(seed);
    const one = world(6);
    const { node, p } = one;
    const pool = Array.from({ length: 30 }, (_, index) =>
      itemOf(`${seed} ${index}`, BigInt(1 + random(4_000))),
    );
    const pick = (): Item => pool[random(pool.length)] ?? a;
    const floor = (): Priority | null => {
      const held = [...node.state.pools.transaction.entries.values()].map(({ priority }) => priority);
      return held.length < 6 ? null : (held.sort(comparePriority).at(-1) ?? null);
    };
    const greater = (x: Priority | null, y: Priority | null): Priority | null =>
      x === null || y === null ? (x ?? y) : comparePriority(x, y) <= 0 ? x : y;
    /** Floors and repairs since each window, and what is lacking by what was said before. */
    const since = new Map<number, (Priority | null)[]>([[0, [null]]]);
    let below: Priority | null = null;
    let oldest = 0;
    let bandMs = Number.NEGATIVE_INFINITY;
    let lastBand: Priority | null = null;

    const high = (): Priority | null => (since.get(oldest) ?? []).reduce(greater, below);
    const note = (value: Priority | null): void => {
      for (const values of since.values()) values.push(value);
    };
    const look = (effects: readonly Effect[]): void => {
      note(floor());
      for (const window of windowsIn(effects, p)) {
        expect(window.floor).toEqual(floor());
        const lacking = high();
        if (window.band !== null) {
          expect(window.band).toEqual(lacking);
          [bandMs, lastBand] = [node.nowMs, window.band];
        } else if (
          lacking !== null &&
          greater(lacking, floor()) === lacking &&
          lacking.hash !== floor()?.hash
        ) {
          // Held back: the last one was lately, and not above.
          expect(node.nowMs - bandMs).toBeLessThan(BAND_INTERVAL_MS);
          expect(lastBand !== null && comparePriority(lastBand, lacking) >= 0).toBe(true);
        }
        since.set(window.seq, [floor()]);
      }
    };

    for (let round = 0; round < 150; round++) {
      const kind = random(10);
      if (kind < 3) {
        const item = pick();
        if (!node.state.pools.transaction.entries.has(item.hash)) look(bring(node, [item]));
      } else if (kind < 5) {
        const removed = poolOf(node).filter(() => random(3) === 0);
        const isFork = random(4) === 0;
        const { effects } = adopt(node, { removed, extendsOld: !isFork });
        if (isFork) note(GREATEST_PRIORITY);
        look(effects);
      } else if (kind < 8) {
        const windows = windowsOf(node, p);
        const window = windows[random(windows.length)];
        if (window === undefined) throw new Error("a permit is open");
        const rest =
          window.band === null ? window.floor : random(2) === 0 ? window.floor : priorityOf(pick().info);
        const items = window.band !== null && random(3) === 0 ? [] : [pick()];
        // "On Infos for window seq: high = max(rest, every floor since"; nothing is said of it without a band.
        if (window.band !== null) [below, oldest] = [rest, window.seq];
        const said = say(
          node,
          p.attemptId,
          infos(
            window.seq,
            items.map(({ info }) => info),
            { rest },
          ),
        );
        const asked = requestsTo(said.effects, p.attemptId)[0];
        if (asked === undefined) {
          look(said.effects);
          continue;
        }
        const [item] = items;
        if (item === undefined || random(4) > 0) {
          const served = serve(node, p, asked.id, item ?? null).effects;
          look(verified(node, served, valid(item ?? a)).effects);
        } else {
          below = greater(below, priorityOf(item.info));
          look(serve(node, p, asked.id, null).effects);
        }
      } else {
        for (let steps = random(13); steps > 0; steps--) look(node.pass(100));
        const open = node.state.peers.get(p.peerId)?.live?.control.awaitingPong;
        if (open != null) say(node, p.attemptId, control({ tag: "pong", n: open.n }));
      }
    }
    // What is lacking in the end has been asked for, or is now.
    for (let passed = 0; passed < BAND_INTERVAL_MS; passed += 100) look(pass(one, 100));
    const lacking = high();
    if (lacking === null || greater(lacking, floor()) !== lacking || lacking.hash === floor()?.hash) return;
    expect(windowsOf(node, p).at(-1)?.band ?? null).not.toBeNull();
  });
});
