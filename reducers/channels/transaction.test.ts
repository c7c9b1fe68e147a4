import { describe, expect, test } from "vitest";
import type { TransactionVerdict } from "../../core/chain.ts";
import type { Found } from "../../core/channels/rpc.ts";
import type { PermitWindow, TransactionMessage } from "../../core/channels/transaction.ts";
import type { Effect } from "../../core/effects.ts";
import type { BatchId } from "../../core/ids.ts";
import {
  BAN_MS,
  BAND_INTERVAL_MS,
  INFOS_MAX,
  RPC_HASHES_MAX,
  SCAN_ENTRIES_SPARE,
  SCAN_PERIOD_S,
  SETTLE_TIMEOUT_MS,
} from "../../core/limits.ts";
import { comparePriority, type Priority, transactionPriority } from "../../core/priority.ts";
import { brokenInvariants } from "../invariants.ts";
import {
  announce,
  closeTransport,
  control,
  effectOf,
  effectsOf,
  endings,
  freshRequestId,
  getNext,
  goodbyes,
  INVALID,
  type Item,
  infos,
  itemOf,
  liveOf,
  NOT_NOW,
  permitOf,
  type Result,
  readyPeer,
  requestsTo,
  response,
  say,
  sentOn,
  submit,
  type TestNode,
  type TestPeer,
  testNode,
  valid,
} from "../testing.ts";
import { randomOf } from "../testing-chaos.ts";

type Infos = Extract<TransactionMessage, { tag: "infos" }>;

const [a, b, c] = [itemOf("a", 100n), itemOf("b", 200n), itemOf("c", 300n)];

const two = (): { readonly node: TestNode; readonly p: TestPeer; readonly q: TestPeer } => {
  const node = testNode();
  return { node, p: readyPeer(node, "p"), q: readyPeer(node, "q") };
};

const found = (...items: readonly (Item | null)[]): { tag: "items"; found: readonly Found[] } => ({
  tag: "items",
  found: items.map((item) => (item === null ? { tag: "none" } : { tag: "some", bytes: item.bytes })),
});

/** The peer serves what it was asked for. */
const serve = (node: TestNode, peer: TestPeer, id: number, ...items: readonly (Item | null)[]): Result =>
  say(node, peer.attemptId, response(id, found(...items)));

const verified = (
  node: TestNode,
  effects: readonly Effect[],
  ...verdicts: readonly TransactionVerdict[]
): Result => {
  const { batchId } = effectOf(effects, "effect/verifyTransactions");
  return node.feed({ type: "event/transactionsVerified", batchId, verdicts });
};

const permitsIn = (effects: readonly Effect[], { attemptId }: TestPeer) =>
  sentOn(effects, attemptId).filter(({ message }) => message.tag === "getNext");

const infosIn = (effects: readonly Effect[], { attemptId }: TestPeer): readonly Infos[] =>
  sentOn(effects, attemptId).flatMap(({ message }) => (message.tag === "infos" ? [message] : []));

const poolOf = (node: TestNode) => [...node.state.transactions.entries.keys()];

describe("transactions: the laws", () => {
  test("law 1: the first permit is given when the peer is ready, and no second one while it is open", () => {
    const node = testNode();
    const peer = readyPeer(node, "p");
    expect(permitOf(node, peer)).toBe(0);
    expect(permitsIn(node.pass(120_000), peer)).toEqual([]);
  });

  const ENDS: readonly (readonly [string, (node: TestNode, peer: TestPeer) => readonly Effect[]])[] = [
    ["in the pool", (node, peer) => verified(node, serve(node, peer, 0, a).effects, valid(a)).effects],
    ["not servable", (node, peer) => serve(node, peer, 0, null).effects],
    ["not found", (node, peer) => say(node, peer.attemptId, response(0, { tag: "notFound" })).effects],
    ["busy", (node, peer) => say(node, peer.attemptId, response(0, { tag: "busy" })).effects],
    [
      "too large for rpc",
      (node, peer) =>
        say(node, peer.attemptId, response(0, { tag: "items", found: [{ tag: "stream" }] })).effects,
    ],
    ["not now", (node, peer) => verified(node, serve(node, peer, 0, a).effects, NOT_NOW).effects],
    ["not answered", (node) => node.pass(5_000)],
    [
      "never verified",
      (node, peer) => {
        serve(node, peer, 0, a);
        const early = node.pass(9_500);
        expect(permitsIn(early, peer)).toEqual([]);
        say(node, peer.attemptId, control({ tag: "ping", n: 0 }));
        return node.pass(SETTLE_TIMEOUT_MS - 9_500);
      },
    ],
  ];
  test.each(ENDS)("law 2: the next permit comes when the announced item is settled: %s", (_, end) => {
    const { node, p } = two();
    const before = announce(node, p, [a]);
    expect(permitsIn(before.effects, p)).toEqual([]);
    const effects = end(node, p);
    expect(permitsIn(effects, p)).toHaveLength(1);
    expect(permitOf(node, p)).toBe(1);
    expect(node.state.fetches.size).toBe(0);
    expect(goodbyes(effects)).toEqual([]);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("law 2: the permit waits for the last of many", () => {
    const { node, p } = two();
    submit(node, [c]);
    announce(node, p, [a, b, c]);
    const { effects } = serve(node, p, 0, b, null);
    expect(permitsIn(effects, p)).toEqual([]);
    expect(permitsIn(verified(node, effects, NOT_NOW).effects, p)).toHaveLength(1);
  });

  test("law 2: what is held already, or loses its slot, is settled at once", () => {
    const { node, p } = two();
    const rich = itemOf("rich", 1_000n, 7, "s");
    const poor = itemOf("poor", 10n, 7, "s");
    submit(node, [a, rich]);
    expect(permitsIn(announce(node, p, [a, poor]).effects, p)).toHaveLength(1);
    expect(node.state.fetches.size).toBe(0);
  });

  test("one hash twice in a message, equal or not, leaves nothing behind", () => {
    const { node, p } = two();
    announce(node, p, [a, a]);
    expect(permitsIn(serve(node, p, 0, null).effects, p)).toHaveLength(1);
    expect(node.state.fetches.size).toBe(0);
    const lie = { ...a.info, fee: 9_999n };
    const result = say(node, p.attemptId, infos(permitOf(node, p), [a.info, lie]));
    expect(goodbyes(result.effects)).toEqual([`itemMismatch ${BAN_MS}`]);
    expect(node.state.fetches.size).toBe(0);
  });
});

describe("transactions: fetching", () => {
  test("the greatest priority first, at most 16 at once, the rest afterwards", () => {
    const { node, p } = two();
    const items = Array.from({ length: INFOS_MAX }, (_, index) =>
      itemOf(`many ${index}`, BigInt(index * index + 1)),
    );
    const order = [...items]
      .sort((one, other) => comparePriority(transactionPriority(one.info), transactionPriority(other.info)))
      .map(({ info }) => info.hash);
    const asked = requestsTo(announce(node, p, items).effects, p.attemptId);
    expect(asked.map(({ body }) => body)).toEqual([
      { tag: "transactions", hashes: order.slice(0, RPC_HASHES_MAX) },
    ]);
    const next = requestsTo(say(node, p.attemptId, response(0, { tag: "busy" })).effects, p.attemptId);
    expect(next.map(({ body }) => body)).toEqual([
      { tag: "transactions", hashes: order.slice(RPC_HASHES_MAX) },
    ]);
  });

  test("a shorter answer means the rest did not fit: it is asked for again", () => {
    const { node, p } = two();
    announce(node, p, [a, b, c]);
    const { effects } = serve(node, p, 0, c);
    expect(requestsTo(effects, p.attemptId).map(({ id, body }) => [id, body])).toEqual([
      [1, { tag: "transactions", hashes: [b.info.hash, a.info.hash] }],
    ]);
  });

  test("P08: a peer that answers nothing does not hold up another", () => {
    const { node, p, q } = two();
    expect(requestsTo(announce(node, p, [a]).effects, p.attemptId)).toHaveLength(1);
    expect(requestsTo(announce(node, q, [b]).effects, q.attemptId)).toHaveLength(1);
  });

  test("P09: a body that two peers announce is fetched from one and verified once", () => {
    const { node, p, q } = two();
    expect(requestsTo(announce(node, p, [a]).effects, p.attemptId)).toHaveLength(1);
    expect(requestsTo(announce(node, q, [a]).effects, q.attemptId)).toEqual([]);
    const { effects } = serve(node, p, 0, a);
    const done = verified(node, effects, valid(a));
    expect(permitsIn(done.effects, p)).toHaveLength(1);
    expect(permitsIn(done.effects, q)).toHaveLength(1);
    expect(effectsOf(done.effects, "effect/verifyTransactions")).toEqual([]);
    expect(poolOf(node)).toEqual([a.info.hash]);
  });

  test.each([
    ["does not have it", (node: TestNode, p: TestPeer) => serve(node, p, 0, null).effects],
    ["leaves", (node: TestNode, p: TestPeer) => closeTransport(node, p.attemptId).effects],
    ["is too slow", (node: TestNode) => node.pass(5_000)],
    [
      "serves other bytes",
      (node: TestNode, p: TestPeer) => serve(node, p, 0, { ...a, bytes: b.bytes }).effects,
    ],
  ])("P07: the other announcer is asked when the first %s", (_, fail) => {
    const { node, p, q } = two();
    announce(node, p, [a]);
    announce(node, q, [a]);
    const asked = requestsTo(fail(node, p), q.attemptId);
    expect(asked.map(({ body }) => body)).toEqual([{ tag: "transactions", hashes: [a.info.hash] }]);
  });

  test("the hash is checked before anything else, and only the server of other bytes is to blame", () => {
    const { node, p, q } = two();
    announce(node, p, [a]);
    announce(node, q, [a]);
    const result = serve(node, p, 0, { ...a, bytes: b.bytes });
    expect(effectsOf(result.effects, "effect/verifyTransactions")).toEqual([]);
    expect(endings(result.actions)).toEqual(["us itemMismatch"]);
    expect(liveOf(node, p)).toBeUndefined();
    expect(liveOf(node, q)).toBeDefined();
  });

  test("invalidItem falls on every announcer, and on nobody else", () => {
    const { node, p, q } = two();
    const bystander = readyPeer(node, "bystander");
    announce(node, p, [a]);
    announce(node, q, [a]);
    const result = verified(node, serve(node, p, 0, a).effects, INVALID);
    expect(goodbyes(result.effects)).toEqual([`invalidItem ${BAN_MS}`, `invalidItem ${BAN_MS}`]);
    expect([...node.state.peers.keys()]).toEqual([bystander.peerId]);
    expect(poolOf(node)).toEqual([]);
  });

  test("itemMismatch falls on the announcers whose info differs from the item, and the item is kept", () => {
    for (const change of [{ fee: 101n }, { nonce: 9 }, { sender: "00".repeat(32) }]) {
      const { node, p, q } = two();
      announce(node, p, [a]);
      announce(node, q, [{ ...a, info: { ...a.info, ...change } }]);
      const result = verified(node, serve(node, p, 0, a).effects, valid(a));
      expect(goodbyes(result.effects)).toEqual([`itemMismatch ${BAN_MS}`]);
      expect(liveOf(node, p)).toBeDefined();
      expect(liveOf(node, q)).toBeUndefined();
      expect(poolOf(node)).toEqual([a.info.hash]);
    }
  });

  test("a wrong announcement of an item that is held is itemMismatch; another one of the message is still refused cleanly", () => {
    const { node, p } = two();
    submit(node, [a]);
    const result = announce(node, p, [{ ...a, info: { ...a.info, fee: 1n } }, b]);
    expect(endings(result.actions)).toEqual(["us itemMismatch"]);
    expect(requestsTo(result.effects, p.attemptId)).toEqual([]);
    expect(node.state.fetches.size).toBe(0);
  });

  test("notNow blames nobody, and the item is not kept", () => {
    const { node, p, q } = two();
    announce(node, p, [a]);
    announce(node, q, [a]);
    const result = verified(node, serve(node, p, 0, a).effects, NOT_NOW);
    expect(goodbyes(result.effects)).toEqual([]);
    expect(poolOf(node)).toEqual([]);
    expect(node.state.offenders.size).toBe(0);
  });

  test("a verdict that comes after its announcers have left still counts for the pool", () => {
    const { node, p } = two();
    announce(node, p, [a]);
    const { effects } = serve(node, p, 0, a);
    closeTransport(node, p.attemptId);
    verified(node, effects, valid(a));
    expect(poolOf(node)).toEqual([a.info.hash]);
    expect(node.state.batches.size).toBe(0);
  });

  test("verdicts of a batch that does not exist, or too few of them, change nothing", () => {
    const { node, p } = two();
    announce(node, p, [a]);
    const { batchId } = effectOf(serve(node, p, 0, a).effects, "effect/verifyTransactions");
    for (const [id, verdicts] of [
      [99 as BatchId, [valid(a)]],
      [batchId, []],
      [batchId, [valid(a), valid(b)]],
    ] as const) {
      expect(node.feed({ type: "event/transactionsVerified", batchId: id, verdicts }).actions).toEqual([]);
    }
    expect(poolOf(node)).toEqual([]);
  });
});

describe("transactions: conflicts (section 6)", () => {
  test("of two with the same sender and nonce the greater priority stays, whichever comes first", () => {
    const [poor, rich] = [itemOf("poor", 100n, 1, "s"), itemOf("rich", 200n, 1, "s")];
    const near = itemOf("near", 101n, 1, "s");
    for (const order of [
      [poor, rich, near],
      [rich, poor, near],
      [near, rich, poor],
      [poor, near, rich],
    ]) {
      const node = testNode();
      submit(node, order);
      expect(poolOf(node)).toEqual([rich.info.hash]);
      expect(brokenInvariants(node.state)).toEqual([]);
    }
  });

  test("of one fee class the smaller hash stays", () => {
    const same = ["x", "y", "z"].map((name) => itemOf(name, 1_000n, 1, "s"));
    const [least] = same.map(({ info }) => info.hash).sort();
    for (const order of [same, [...same].reverse()]) {
      const node = testNode();
      submit(node, order);
      expect(poolOf(node)).toEqual([least]);
    }
  });

  test("the chain may forget what was replaced and what lost, never what is held", () => {
    const node = testNode();
    const [poor, rich] = [itemOf("poor", 100n, 1, "s"), itemOf("rich", 200n, 1, "s")];
    submit(node, [poor]);
    expect(effectsOf(submit(node, [rich]), "effect/forgetItems")).toMatchObject([
      { hashes: [poor.info.hash] },
    ]);
    expect(effectsOf(submit(node, [poor]), "effect/forgetItems")).toMatchObject([
      { hashes: [poor.info.hash] },
    ]);
  });
});

describe("transactions: answering permits", () => {
  test("at once if there is something, else as soon as there is", () => {
    const node = testNode();
    const peer = readyPeer(node, "p");
    expect(infosIn(say(node, peer.attemptId, getNext(0)).effects, peer)).toEqual([]);
    const [sent] = infosIn(submit(node, [a]), peer);
    expect(sent).toMatchObject({ seq: 0, rest: null, items: [a.info] });
    expect(sent?.cursor).toEqual({ epoch: node.state.transactions.epoch, next: 1n });
    expect(infosIn(submit(node, [b]), peer)).toEqual([]);
    expect(infosIn(say(node, peer.attemptId, getNext(1)).effects, peer)).toMatchObject([{ items: [b.info] }]);
  });

  test("a Refloor replaces the window of the open permit and is ignored without one", () => {
    const node = testNode();
    submit(node, [a]);
    const peer = readyPeer(node, "p");
    const top: Priority = { class: 65_535, hash: "00".repeat(32) as Priority["hash"] };
    const refloor = (seq: number, floor: Priority | null, band: Priority | null = null) =>
      say(node, peer.attemptId, {
        channel: "transaction",
        message: { tag: "refloor", window: { seq, floor, band } },
      });
    expect(infosIn(refloor(0, null).effects, peer)).toEqual([]);
    const high = getNext(1, { window: { seq: 1, floor: top, band: null } });
    expect(infosIn(say(node, peer.attemptId, high).effects, peer)).toEqual([]);
    const [sent] = infosIn(refloor(2, null, top).effects, peer);
    expect(sent).toMatchObject({ seq: 2, rest: null, items: [a.info] });
    expect(infosIn(refloor(3, null, top).effects, peer)).toEqual([]);
    expect(infosIn(say(node, peer.attemptId, getNext(4)).effects, peer)).toEqual([]);
  });

  test("P23: resume moves the cursor in its epoch, and to the start in another one", () => {
    const node = testNode();
    submit(node, [a, b, c]);
    const peer = readyPeer(node, "p");
    const { epoch } = node.state.transactions;
    const resumed = (seq: number, resume: { epoch: bigint; next: bigint } | null) =>
      infosIn(say(node, peer.attemptId, getNext(seq, { resume })).effects, peer).flatMap(
        ({ items }) => items,
      );
    expect(resumed(0, { epoch, next: 2n })).toEqual([c.info]);
    expect(resumed(1, { epoch: epoch + 1n, next: 2n })).toEqual([a.info, b.info, c.info]);
    expect(resumed(2, { epoch, next: 99n })).toEqual([a.info, b.info, c.info]);
    expect(resumed(3, { epoch, next: 1n })).toEqual([b.info, c.info]);
    expect(resumed(4, null)).toEqual([]);
  });

  test("every permit brings what an independent reading of 7.4 says, over long random sessions", () => {
    for (let seed = 1; seed <= 12; seed++) session(seed);
  });
});

interface OpenPermit {
  readonly window: PermitWindow;
  readonly limit: number;
}

const withWindow = (open: OpenPermit | null, window: PermitWindow): OpenPermit | null =>
  open === null ? null : { ...open, window };

/** A peer that asks with random windows, and a bookkeeper of what it must be told. */
function session(seed: number): void {
  const random = randomOf(seed);
  const node = testNode();
  const peer = readyPeer(node, "p");
  let [cursor, seq, held] = [0, 0, 0];
  let open: OpenPermit | null = null;
  const above = (one: Priority, floor: Priority | null) => floor === null || comparePriority(one, floor) < 0;
  const anyPriority = (): Priority | null => {
    const entries = [...node.state.transactions.entries.values()];
    return random(3) === 0 ? null : (entries[random(entries.length + 1)]?.priority ?? null);
  };

  function expectAnswer(effects: readonly Effect[]): void {
    const [sent, ...more] = infosIn(effects, peer);
    expect(more).toEqual([]);
    if (open === null) {
      expect(sent).toBeUndefined();
      return;
    }
    const { window, limit } = open;
    const log = [...node.state.transactions.entries.values()].sort((one, other) => one.index - other.index);
    const fresh = log.filter(({ index, priority }) => index >= cursor && above(priority, window.floor));
    const taken = fresh.slice(0, limit);
    const { band } = window;
    const repair = log
      .filter(({ index, priority }) => index < cursor && above(priority, window.floor))
      .filter(({ priority }) => band !== null && !above(priority, band))
      .sort((one, other) => comparePriority(one.priority, other.priority));
    const expected = [...taken, ...repair.slice(0, limit - taken.length)].map(({ info }) => info);
    if (expected.length === 0 && band === null) {
      expect(sent).toBeUndefined();
      cursor = node.state.transactions.nextIndex;
      return;
    }
    expect(sent?.items).toEqual(expected);
    expect(sent?.seq).toBe(window.seq);
    const rest = repair[limit - taken.length]?.priority;
    expect(sent?.rest).toEqual(band === null ? window.floor : (rest ?? window.floor));
    cursor = Number(sent?.cursor.next);
    const firstLeft = fresh[limit]?.index ?? node.state.transactions.nextIndex;
    expect(cursor).toBeLessThanOrEqual(firstLeft);
    expect(cursor).toBeGreaterThan(taken.at(-1)?.index ?? -1);
    open = null;
  }

  for (let round = 0; round < 60; round++) {
    const kind = random(3);
    if (kind === 0) {
      const item = itemOf(`${seed} ${held++}`, BigInt(1 + random(3_000)), random(8), `s ${random(3)}`);
      const { effects } = node.feed({
        type: "command/submitTransaction",
        requestId: freshRequestId(),
        bytes: item.bytes,
      });
      const before = node.state.transactions.nextIndex;
      const done = verified(node, effects, valid(item)).effects;
      if (node.state.transactions.nextIndex > before) expectAnswer(done);
      continue;
    }
    const window = { seq: seq++, floor: anyPriority(), band: anyPriority() };
    if (open === null && kind === 1) {
      const limit = 1 + random(4);
      open = { window, limit };
      expectAnswer(say(node, peer.attemptId, getNext(window.seq, { limit, window })).effects);
    } else {
      open = withWindow(open, window);
      const refloor = { channel: "transaction", message: { tag: "refloor", window } } as const;
      node.freeze(1_000);
      expectAnswer(say(node, peer.attemptId, refloor).effects);
    }
  }
  expect(brokenInvariants(node.state)).toEqual([]);
}

describe("transactions: bands of our own", () => {
  test("what a peer announced and did not serve is asked for again as a band, at most once per 10 s", () => {
    const { node, p } = two();
    announce(node, p, [a]);
    const [first] = permitsIn(serve(node, p, 0, null).effects, p);
    const band = transactionPriority(a.info);
    expect(first?.message).toMatchObject({ tag: "getNext", window: { seq: 1, floor: null, band } });
    announce(node, p, [a]);
    const [second] = permitsIn(serve(node, p, 1, null).effects, p);
    expect(second?.message).toMatchObject({ window: { seq: 2, band: null } });
    say(node, p.attemptId, control({ tag: "ping", n: 0 }));
    const later = sentOn(node.pass(BAND_INTERVAL_MS), p.attemptId).filter(
      ({ channel }) => channel === "transaction",
    );
    expect(later).toMatchObject([{ message: { tag: "refloor", window: { seq: 3, band } } }]);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("a finished band without items is taken, and the next permit asks for none", () => {
    const { node, p } = two();
    announce(node, p, [a]);
    serve(node, p, 0, null);
    const result = say(node, p.attemptId, infos(permitOf(node, p), []));
    expect(goodbyes(result.effects)).toEqual([]);
    expect(permitsIn(result.effects, p)[0]?.message).toMatchObject({ window: { seq: 2, band: null } });
  });

  test("after a Refloor the answer may be for the window before it", () => {
    const { node, p } = two();
    announce(node, p, [a]);
    serve(node, p, 0, null);
    announce(node, p, [a]);
    serve(node, p, 1, null);
    const before = permitOf(node, p);
    say(node, p.attemptId, control({ tag: "ping", n: 0 }));
    node.pass(BAND_INTERVAL_MS);
    expect(permitOf(node, p)).toBe(before + 1);
    const result = say(node, p.attemptId, infos(before, [b.info]));
    expect(goodbyes(result.effects)).toEqual([]);
    expect(requestsTo(result.effects, p.attemptId)).toHaveLength(1);
  });
});

describe("the cost of permits", () => {
  /** A peer that has everything, and asks again and again for what makes us look at the whole pool. */
  function askInVain(node: TestNode, { attemptId }: TestPeer, rounds: number): number {
    const top: Priority = { class: 65_535, hash: "00".repeat(32) as Priority["hash"] };
    const { epoch } = node.state.transactions;
    let answers = 0;
    for (let seq = 0; seq < rounds; seq++) {
      const window = { seq, floor: null, band: top };
      const { effects } = say(
        node,
        attemptId,
        getNext(seq, { limit: 1, window, resume: { epoch, next: 1n } }),
      );
      if (sentOn(effects, attemptId).length === 0) return answers;
      answers += 1;
    }
    return answers;
  }

  const SIZE = 400;
  const full = (): { readonly node: TestNode; readonly p: TestPeer; readonly q: TestPeer } => {
    const { node, p, q } = two();
    // First in the log and last in priority: whoever has only this one makes us pass over all others.
    submit(node, [itemOf("first", 1n)]);
    for (let part = 0; part < SIZE / 20; part++) {
      submit(
        node,
        Array.from({ length: 20 }, (_, index) => itemOf(`item ${part} ${index}`, 1_000n)),
      );
    }
    return { node, p, q };
  };

  test("a peer makes us pass over a pool's worth of entries in vain, then its permit waits for a minute's share", () => {
    const { node, p, q } = full();
    const answers = askInVain(node, p, 1_000);
    expect(answers).toBeGreaterThan(1);
    expect(answers).toBeLessThanOrEqual(2 + (SIZE + SCAN_ENTRIES_SPARE) / SIZE);
    expect(liveOf(node, p)?.transaction?.theirs.tag).toBe("open");
    expect(brokenInvariants(node.state)).toEqual([]);
    // Nobody else waits for it.
    expect(sentOn(say(node, q.attemptId, getNext(0)).effects, q.attemptId)).toHaveLength(1);
    // And it is answered in the end.
    expect(
      sentOn(node.pass(1_000 * SCAN_PERIOD_S), p.attemptId).some(({ channel }) => channel === "transaction"),
    ).toBe(true);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("what is served costs nothing: a peer that takes the whole pool is never held", () => {
    const { node, p } = full();
    for (let seq = 0; seq < SIZE; seq++) {
      const { effects } = say(node, p.attemptId, getNext(seq, { limit: 1 }));
      expect(sentOn(effects, p.attemptId)).toHaveLength(1);
    }
  });
});
