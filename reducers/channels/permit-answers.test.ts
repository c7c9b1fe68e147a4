import { describe, expect, test } from "vitest";
import type { Effect } from "../../core/effects.ts";
import { SCAN_ENTRIES_SPARE, SCAN_PERIOD_S } from "../../core/limits.ts";
import type { PoolLog } from "../../core/pool-log.ts";
import { POOL_NAMES, type PoolInfo, type PoolName } from "../../core/pools.ts";
import { comparePriority, GREATEST_PRIORITY, type Priority } from "../../core/priority.ts";
import { brokenInvariants } from "../invariants.ts";
import { adopt, START_MS } from "../testing/chain.ts";
import {
  bring,
  commitmentOf,
  type Item,
  infosIn,
  itemOf,
  poolOf,
  snarkOf,
  submit,
} from "../testing/items.ts";
import { control, getNext, refloor, say } from "../testing/messages.ts";
import { type TestNode, testNode } from "../testing/node.ts";
import { liveOf, readyPeer, type TestPeer, WITHOUT_TIPS } from "../testing/peers.ts";
import { randomOf } from "../testing/random.ts";
import { sentOn } from "../testing/results.ts";

/** 7.4: how we answer the permits of a peer, and what that may cost us. */

const [a, b, c] = [itemOf("a", 100n), itemOf("b", 200n), itemOf("c", 300n)];

const MAKE: { readonly [Pool in PoolName]: (name: string, fee: bigint, slot: number) => Item } = {
  transaction: (name, fee, slot) => itemOf(name, fee, slot, "s"),
  snark: (name, fee, slot) => snarkOf(name, fee, `job ${slot}`),
  "snark-job-commitment": (name, fee, slot) => commitmentOf(name, START_MS, fee, `job ${slot}`),
};

const logOf = (node: TestNode, pool: PoolName): PoolLog<PoolInfo> => node.state.pools[pool];

describe.each(POOL_NAMES)("answers on %s", (pool) => {
  const [x, y, z] = [MAKE[pool]("x", 100n, 0), MAKE[pool]("y", 200n, 1), MAKE[pool]("z", 300n, 2)];

  test("at once if there is something, else as soon as there is", () => {
    const node = testNode();
    const peer = readyPeer(node, "p", WITHOUT_TIPS);
    expect(infosIn(say(node, peer.attemptId, getNext(0, {}, pool)).effects, peer, pool)).toEqual([]);
    const [sent] = infosIn(bring(node, [x]), peer, pool);
    expect(sent).toMatchObject({ seq: 0, rest: null, items: [x.info] });
    expect(sent?.cursor).toEqual({ epoch: logOf(node, pool).epoch, next: 1n });
    expect(infosIn(bring(node, [y]), peer, pool)).toEqual([]);
    expect(infosIn(say(node, peer.attemptId, getNext(1, {}, pool)).effects, peer, pool)).toMatchObject([
      { seq: 1, items: [y.info] },
    ]);
  });

  test("P23: resume moves the cursor in its epoch, and to the start in another one", () => {
    const node = testNode();
    bring(node, [x, y, z]);
    const peer = readyPeer(node, "p", WITHOUT_TIPS);
    const { epoch } = logOf(node, pool);
    const resumed = (seq: number, resume: { epoch: bigint; next: bigint } | null) =>
      infosIn(say(node, peer.attemptId, getNext(seq, { resume }, pool)).effects, peer, pool).flatMap(
        ({ items }) => items,
      );
    expect(resumed(0, { epoch, next: 2n })).toEqual([z.info]);
    expect(resumed(1, { epoch: epoch + 1n, next: 2n })).toEqual([x.info, y.info, z.info]);
    expect(resumed(2, { epoch, next: 99n })).toEqual([x.info, y.info, z.info]);
    expect(resumed(3, { epoch, next: 1n })).toEqual([y.info, z.info]);
    expect(resumed(4, null)).toEqual([]);
  });

  test("a full buffer holds the answer until it drained", () => {
    const node = testNode();
    bring(node, [x]);
    const peer = readyPeer(node, "p", WITHOUT_TIPS);
    const { attemptId } = peer;
    node.feed({ type: "event/channelBlocked", attemptId, channel: pool });
    expect(say(node, attemptId, getNext(0, {}, pool)).effects).toEqual([]);
    expect(bring(node, [y]).length).toBeGreaterThan(0);
    const drained = node.feed({ type: "event/channelDrained", attemptId, channel: pool });
    expect(infosIn(drained.effects, peer, pool)).toMatchObject([{ items: [x.info, y.info] }]);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("every permit brings what an independent reading of 7.4 says, over long random sessions", () => {
    for (let seed = 1; seed <= 6; seed++) session(seed, pool);
  });
});

test("answers: a Refloor replaces the window of the open permit and is ignored without one", () => {
  const node = testNode();
  submit(node, [a]);
  const peer = readyPeer(node, "p", WITHOUT_TIPS);
  const top = GREATEST_PRIORITY;
  const said = (seq: number, floor: Priority | null, band: Priority | null = null) =>
    infosIn(say(node, peer.attemptId, refloor(seq, { floor, band })).effects, peer);
  expect(said(0, null)).toEqual([]);
  expect(infosIn(say(node, peer.attemptId, getNext(1, { floor: top })).effects, peer)).toEqual([]);
  const [sent] = said(2, null, top);
  expect(sent).toMatchObject({ seq: 2, rest: null, items: [a.info] });
  expect(said(3, null, top)).toEqual([]);
  expect(infosIn(say(node, peer.attemptId, getNext(4)).effects, peer)).toEqual([]);
});

test("answers: what has left the pool is offered to nobody, what comes back to everybody", () => {
  const node = testNode();
  bring(node, [a, b]);
  const [p, q] = [readyPeer(node, "p", WITHOUT_TIPS), readyPeer(node, "q", WITHOUT_TIPS)];
  expect(infosIn(say(node, p.attemptId, getNext(0)).effects, p)).toMatchObject([{ items: [a.info, b.info] }]);
  say(node, p.attemptId, getNext(1));
  adopt(node, { removed: [a.hash] });
  expect(infosIn(say(node, q.attemptId, getNext(0)).effects, q)).toMatchObject([{ items: [b.info] }]);
  say(node, q.attemptId, getNext(1));
  const { effects } = adopt(node, { returned: [a.info], extendsOld: false });
  for (const peer of [p, q]) expect(infosIn(effects, peer)).toMatchObject([{ items: [a.info] }]);
});

test("P35: nothing is queued for a peer that gives no permit", () => {
  const node = testNode();
  const peer = readyPeer(node, "p", WITHOUT_TIPS);
  for (let round = 0; round < 20; round++) bring(node, [itemOf(`item ${round}`)]);
  adopt(node, { extendsOld: false });
  expect(liveOf(node, peer)?.pools.transaction).toMatchObject({ theirs: { tag: "none" }, cursor: 0 });
  expect(infosIn(node.pass(9_000), peer)).toEqual([]);
});

interface OpenPermit {
  readonly floor: Priority | null;
  readonly band: Priority | null;
  readonly seq: number;
  readonly limit: number;
}

/** A peer that asks with random windows, and a bookkeeper of what it must be told. */
function session(seed: number, pool: PoolName): void {
  const random = randomOf(seed);
  const node = testNode({ capacity: 12 });
  const peer = readyPeer(node, "p", WITHOUT_TIPS);
  let [cursor, seq, made] = [0, 0, 0];
  let open: OpenPermit | null = null;
  const above = (one: Priority, floor: Priority | null) => floor === null || comparePriority(one, floor) < 0;
  const anyPriority = (): Priority | null => {
    const entries = [...logOf(node, pool).entries.values()];
    return random(3) === 0 ? null : (entries[random(entries.length + 1)]?.priority ?? null);
  };

  function expectAnswer(effects: readonly Effect[]): void {
    const [sent, ...more] = infosIn(effects, peer, pool);
    expect(more).toEqual([]);
    if (open === null) {
      expect(sent).toBeUndefined();
      return;
    }
    const { floor, band, limit } = open;
    const { nextIndex, epoch, entries } = logOf(node, pool);
    const log = [...entries.values()].sort((one, other) => one.index - other.index);
    const fresh = log.filter(({ index, priority }) => index >= cursor && above(priority, floor));
    const taken = fresh.slice(0, limit);
    const repair = log
      .filter(({ index, priority }) => index < cursor && above(priority, floor))
      .filter(({ priority }) => band !== null && !above(priority, band))
      .sort((one, other) => comparePriority(one.priority, other.priority));
    const expected = [...taken, ...repair.slice(0, limit - taken.length)].map(({ info }) => info);
    if (expected.length === 0 && band === null) {
      expect(sent).toBeUndefined();
      cursor = nextIndex;
      // P21: the index moves over what was skipped.
      expect(liveOf(node, peer)?.pools[pool]?.cursor).toBe(cursor);
      return;
    }
    expect(sent?.items).toEqual(expected);
    expect(sent?.seq).toBe(open.seq);
    expect(sent?.cursor.epoch).toBe(epoch);
    const rest = repair[limit - taken.length]?.priority;
    expect(sent?.rest).toEqual(band === null ? floor : (rest ?? floor));
    cursor = Number(sent?.cursor.next);
    const firstLeft = fresh[limit]?.index ?? nextIndex;
    expect(cursor).toBeLessThanOrEqual(firstLeft);
    expect(cursor).toBeGreaterThan(taken.at(-1)?.index ?? -1);
    open = null;
  }

  for (let round = 0; round < 80; round++) {
    const kind = random(7);
    if (kind < 2) {
      const item = MAKE[pool](`${seed} ${made++}`, BigInt(1 + random(3_000)), random(24));
      const before = logOf(node, pool).nextIndex;
      const done = bring(node, [item]);
      if (logOf(node, pool).nextIndex > before) expectAnswer(done);
      continue;
    }
    if (kind === 2 && pool === "transaction") {
      const removed = poolOf(node, pool).filter(() => random(4) === 0);
      expect(infosIn(adopt(node, { removed }).effects, peer, pool)).toEqual([]);
      continue;
    }
    node.pass(300);
    const pinged = liveOf(node, peer)?.control.awaitingPong;
    if (pinged != null) say(node, peer.attemptId, control({ tag: "pong", n: pinged.n }));
    const floor = pool === "transaction" ? anyPriority() : null;
    const window = { seq: seq++, floor, band: anyPriority() };
    if (open === null && kind < 5) {
      const limit = 1 + random(4);
      open = { ...window, limit };
      expectAnswer(say(node, peer.attemptId, getNext(window.seq, { ...window, limit }, pool)).effects);
    } else {
      open = withWindow(open, window);
      node.freeze(1_000);
      expectAnswer(say(node, peer.attemptId, refloor(window.seq, window, pool)).effects);
    }
  }
  expect(brokenInvariants(node.state)).toEqual([]);
  expect(cursor).toBeGreaterThan(0);
}

const withWindow = (open: OpenPermit | null, window: Omit<OpenPermit, "limit">): OpenPermit | null =>
  open === null ? null : { ...open, ...window };

describe("the cost of permits", () => {
  /** A peer that has everything, and asks again and again for what makes us look at the whole pool. */
  function askInVain(node: TestNode, { attemptId }: TestPeer, from: number, rounds: number): number {
    const { epoch } = node.state.pools.transaction;
    let answers = 0;
    for (let seq = from; seq < from + rounds; seq++) {
      const permit = { limit: 1, band: GREATEST_PRIORITY, resume: { epoch, next: 1n } };
      const { effects } = say(node, attemptId, getNext(seq, permit));
      if (sentOn(effects, attemptId).length === 0) return answers;
      answers += 1;
    }
    return answers;
  }

  const SIZE = 400;
  const full = (): { readonly node: TestNode; readonly p: TestPeer; readonly q: TestPeer } => {
    const node = testNode();
    const [p, q] = [readyPeer(node, "p", WITHOUT_TIPS), readyPeer(node, "q", WITHOUT_TIPS)];
    // First in the log and last in priority: whoever has only this one makes us pass over all others.
    submit(node, [itemOf("first", 1n)]);
    submit(
      node,
      Array.from({ length: SIZE }, (_, index) => itemOf(`item ${index}`, 1_000n)),
    );
    return { node, p, q };
  };

  test("P26: a peer makes us pass over a pool's worth of entries in vain, then its permit waits for a minute's share", () => {
    const { node, p, q } = full();
    const answers = askInVain(node, p, 0, 1_000);
    expect(answers).toBeGreaterThan(1);
    expect(answers).toBeLessThanOrEqual(2 + (SIZE + SCAN_ENTRIES_SPARE) / SIZE);
    expect(liveOf(node, p)?.pools.transaction?.theirs.tag).toBe("open");
    expect(brokenInvariants(node.state)).toEqual([]);
    // Nobody else waits for it.
    expect(sentOn(say(node, q.attemptId, getNext(0)).effects, q.attemptId)).toHaveLength(1);
    // What is appended does not undo it.
    expect(infosIn(submit(node, [itemOf("more", 2_000n)]), p)).toEqual([]);
    // And it is answered in the end.
    expect(infosIn(node.pass(1_000 * SCAN_PERIOD_S), p)).toHaveLength(1);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("P26: over ten minutes it costs no more than a pool's worth a minute", () => {
    const { node, p } = full();
    let [seq, answers] = [0, 0];
    for (let second = 0; second < 600; second++) {
      if (liveOf(node, p)?.pools.transaction?.theirs.tag !== "open") {
        const more = askInVain(node, p, seq, 100);
        seq += more + 1;
        answers += more;
      }
      answers += infosIn(node.pass(1_000), p).length;
      const open = liveOf(node, p)?.control.awaitingPong;
      if (open != null) say(node, p.attemptId, control({ tag: "pong", n: open.n }));
    }
    const perMinute = SIZE + 1 + SCAN_ENTRIES_SPARE;
    expect(answers * SIZE).toBeLessThanOrEqual(11 * perMinute + 2 * SIZE);
    expect(answers * SIZE).toBeGreaterThan(5 * perMinute);
  });

  test("what is served costs nothing: a peer that takes the whole pool is never held", () => {
    const { node, p } = full();
    for (let seq = 0; seq < SIZE; seq++) {
      const { effects } = say(node, p.attemptId, getNext(seq, { limit: 1 }));
      expect(sentOn(effects, p.attemptId)).toHaveLength(1);
    }
  });

  test("P21: what a peer does not want is passed over once", () => {
    const { node, p } = full();
    say(node, p.attemptId, getNext(0, { floor: GREATEST_PRIORITY }));
    const { nextIndex } = node.state.pools.transaction;
    const before = liveOf(node, p)?.pools.transaction;
    expect(before).toMatchObject({ cursor: nextIndex });
    for (let index = 0; index < 20; index++) submit(node, [itemOf(`new ${index}`, 5n)]);
    const after = liveOf(node, p)?.pools.transaction;
    expect(after?.cursor).toBe(nextIndex + 20);
    expect((before?.scanBudget?.tokens ?? 0) - (after?.scanBudget?.tokens ?? 0)).toBeLessThanOrEqual(20);
  });
});

test("answers: the pool is announced from its start to whoever comes, the best C of it", () => {
  const node = testNode({ capacity: 2 });
  bring(node, [a, b, c]);
  const peer = readyPeer(node, "p", WITHOUT_TIPS);
  expect(infosIn(say(node, peer.attemptId, getNext(0)).effects, peer)).toMatchObject([
    { items: [b.info, c.info] },
  ]);
});
