import { beforeAll, describe, expect, test } from "vitest";
import type { RpcMessage } from "../core/channels/rpc.ts";
import type { TransactionMessage } from "../core/channels/transaction.ts";
import { setDeadline } from "../core/deadlines.ts";
import type { AttemptId, Hash } from "../core/ids.ts";
import { SETTLE_TIMEOUT_MS } from "../core/limits.ts";
import { type PoolEntry, removeEntry } from "../core/pool-log.ts";
import { SortedMap } from "../core/sorted-map.ts";
import type { Attempt, Peer, State } from "../core/state.ts";
import { brokenInvariants } from "../reducers/invariants.ts";
import { unsettled } from "./checker.ts";
import { checkBaseline, checkFetchProgress, checkNoAccusation, checkPlain } from "./invariants.ts";
import { createCluster } from "./simulator.ts";
import { freshLedger, observe, type WireEvent, type WireLedger } from "./wire.ts";

/** A checker that finds nothing proves nothing (P30): each is fed what it exists to find. */

const sender = "aa".repeat(32);
const hash = "12".repeat(32) as Hash;
let healthy: State;
let fetching: State;

beforeAll(() => {
  const cluster = createCluster({ nodes: 2, seed: 1 });
  cluster.dial(0, 1);
  cluster.runUntilQuiet();
  for (const nonce of [0, 1]) {
    cluster.submit(0, { fee: 5n, sender, nonce, verdict: "valid", salt: nonce });
  }
  const isFetching = (): boolean => cluster.node(1).state.fetches.size > 0;
  while (!isFetching()) cluster.runFor(1);
  fetching = cluster.node(1).state;
  cluster.runUntilQuiet();
  healthy = cluster.node(1).state;
});

const onlyPeer = (state: State): Peer => [...state.peers.values()][0] as Peer;
const onlyAttempt = (state: State): Attempt => [...state.attempts.values()][0] as Attempt;

/** The state with its one peer changed. */
const withLive = (state: State, change: Partial<NonNullable<Peer["live"]>>): State => {
  const peer = onlyPeer(state);
  const live = peer.live === null ? null : { ...peer.live, ...change };
  return { ...state, peers: state.peers.set(peer.peerId, { ...peer, live }) };
};

const withDeadline = (state: State, name: string): State => ({
  ...state,
  deadlines: setDeadline(state.deadlines, { name, atMs: state.timeMs, action: { type: "tick" } }),
});

const without = (state: State, prefix: string): State => ({
  ...state,
  deadlines: {
    byName: SortedMap.from(
      [...state.deadlines.byName.entries()].filter(([name]) => !name.startsWith(prefix)),
    ),
    byTime: SortedMap.from(
      [...state.deadlines.byTime.entries()].filter(([, { name }]) => !name.startsWith(prefix)),
    ),
  },
});

test("checkers: a healthy state has no problem, at rest and at work", () => {
  expect([...broken(healthy), ...checkPlain(healthy)]).toEqual([]);
  expect([...broken(fetching), ...checkPlain(fetching)]).toEqual([]);
});

const broken = (state: State): readonly string[] => [
  ...brokenInvariants(state),
  ...checkFetchProgress(state),
];

describe("P30: checkers find a planted bug in", () => {
  test("slots: more peers than allowed (P34)", () => {
    const planted = { ...healthy, config: { ...healthy.config, peersMax: 0 } };
    expect(broken(planted)).not.toEqual([]);
  });

  test("slots: more half-open connections than allowed (P06)", () => {
    const attempt: Attempt = {
      ...onlyAttempt(healthy),
      direction: "incoming",
      phase: { tag: "openingOffer" },
    };
    const config = { ...healthy.config, admission: { ...healthy.config.admission, halfOpenMax: 0 } };
    const planted = { ...healthy, config, attempts: healthy.attempts.set(attempt.id, attempt) };
    expect(broken(planted)).not.toEqual([]);
  });

  test("slots: one that nobody holds, one held by an attempt that is gone, a probe without a newcomer", () => {
    const peer = onlyPeer(healthy);
    const gone = 99 as AttemptId;
    const held = (change: Partial<Peer>): State => ({
      ...healthy,
      peers: healthy.peers.set(peer.peerId, { ...peer, ...change }),
    });
    expect(broken(held({ live: null }))).not.toEqual([]);
    expect(broken(held({ dialing: gone }))).not.toEqual([]);
    expect(broken(withLive(healthy, { attemptId: gone }))).not.toEqual([]);
    expect(broken(withLive(healthy, { probe: { attemptId: gone, n: 0 } }))).not.toEqual([]);
  });

  test("attempts: one that never ends, one that holds no slot", () => {
    const attempt: Attempt = { ...onlyAttempt(healthy), phase: { tag: "awaitingReply" } };
    const planted = { ...healthy, attempts: healthy.attempts.set(attempt.id, attempt) };
    expect(broken(planted)).not.toEqual([]);
    expect(broken({ ...healthy, peers: SortedMap.empty() })).not.toEqual([]);
  });

  test.each([
    "attempt 1",
    "probe 1",
    "candidates 1",
    "cut 1",
    "settle 1",
    "rpc 0 1",
    "rpcBlocked 1",
    "stalled rpc 1",
    "ping 7",
    "dial /nowhere",
    "replay never",
    "nonsense 1",
  ])("deadlines: %s outlives what it was for", (name) => {
    expect(broken(withDeadline(healthy, name))).toEqual([`deadline ${name} is about something that exists`]);
  });

  test.each(["ping", "replay"])("deadlines: %s is missing", (kind) => {
    expect(broken(without(healthy, kind))).not.toEqual([]);
  });

  test.each(["settle", "rpc"])("deadlines: %s is missing while an item is fetched", (kind) => {
    expect(broken(without(fetching, kind))).not.toEqual([]);
  });

  test("deadlines: an address that is never dialed again", () => {
    const { peerId } = onlyPeer(healthy);
    const address = { scheme: "http", hostKind: "ip4", host: "20.0.0.7", port: 1, peerId } as const;
    const target = { address, failures: 0, retries: 0, nextMs: 0 };
    const planted = {
      ...healthy,
      targets: healthy.targets.set("somewhere", target),
      peers: SortedMap.empty<never, never>(),
    };
    expect(broken(planted)).not.toEqual([]);
  });

  test("fetches: wanted by nobody, verified nowhere, requested by no request, forgotten", () => {
    const [, fetch] = fetching.fetches.first() ?? [];
    if (fetch === undefined) throw new Error("an item is being fetched");
    const { peerId } = onlyPeer(fetching);
    const planted = (change: Partial<typeof fetch>): State => ({
      ...fetching,
      fetches: fetching.fetches.set(fetch.hash, { ...fetch, ...change }),
    });
    const idle = withLive(planted({ stage: { tag: "waiting" } }), { fetching: null });
    expect(broken(planted({ announcers: SortedMap.empty() }))).not.toEqual([]);
    expect(broken(planted({ stage: { tag: "verifying", batchId: 77 as never } }))).not.toEqual([]);
    expect(broken(withLive(planted({ stage: { tag: "requested", peerId } }), { rpc: null }))).not.toEqual([]);
    expect(checkFetchProgress(idle)).toContainEqual(expect.stringContaining("every announcer is idle"));
  });

  test("permits: one that waits for nothing, one that is forgotten, one never given", () => {
    const channel = onlyPeer(healthy).live?.transaction;
    if (channel == null) throw new Error("the channel is in use");
    expect(broken({ ...fetching, fetches: SortedMap.empty() })).not.toEqual([]);
    expect(broken({ ...healthy, waiting: SortedMap.empty() })).not.toEqual([]);
    expect(broken(withLive(healthy, { transaction: { ...channel, ours: { tag: "idle" } } }))).not.toEqual([]);
    expect(broken(withLive(healthy, { transaction: { ...channel, theirs: { tag: "none" } } }))).not.toEqual(
      [],
    );
  });

  test("the pool: an entry without an index, an index without an entry (P22)", () => {
    const { transactions: pool } = healthy;
    const [key, entry] = pool.entries.first() as [Hash, PoolEntry<never>];
    const planted = (change: Partial<typeof pool>): State => ({
      ...healthy,
      transactions: { ...pool, ...change },
    });
    expect(broken(planted({ byIndex: pool.byIndex.delete(entry.index) }))).not.toEqual([]);
    expect(broken(planted({ byPriority: SortedMap.empty() }))).not.toEqual([]);
    expect(broken(planted({ bySlot: pool.bySlot.set(entry.slot, hash) }))).not.toEqual([]);
    expect(broken(planted({ entries: removeEntry(pool, key).entries }))).not.toEqual([]);
  });

  test("the state: something that does not survive its recording", () => {
    const planted = { ...healthy, endings: { $u64: "1" } } as unknown as State;
    expect(checkPlain(planted)).not.toEqual([]);
  });

  test("what nodes say of each other: an accusation", () => {
    const attemptId = 1 as AttemptId;
    const planted = { type: "connection/disconnect", attemptId, reason: "noPermit", detail: "" } as const;
    expect(checkNoAccusation([planted])).toHaveLength(1);
    expect(checkNoAccusation([{ ...planted, reason: "shutdown" }])).toEqual([]);
  });

  test("a node at rest: anything that is left", () => {
    expect(checkBaseline(healthy)).not.toEqual([]);
  });
});

const booked = (...events: readonly WireEvent[]): readonly string[] => {
  let ledger: WireLedger = freshLedger;
  return events.flatMap((event) => {
    const observed = observe(ledger, event);
    ledger = observed.ledger;
    return observed.problems;
  });
};

const on = (way: WireEvent["way"], message: TransactionMessage): WireEvent => ({
  way,
  wire: { channel: "transaction", message },
});
const rpc = (way: WireEvent["way"], message: RpcMessage): WireEvent => ({
  way,
  wire: { channel: "rpc", message },
});
const getNext = (seq: number, limit = 1): TransactionMessage => ({
  tag: "getNext",
  limit,
  window: { seq, floor: null, band: null },
  resume: null,
});
const info = { hash, fee: 1n, sender, nonce: 0 };
const infos = (count: number): TransactionMessage => ({
  tag: "infos",
  cursor: { epoch: 0n, next: 1n },
  seq: 0,
  rest: null,
  items: Array.from({ length: count }, () => info),
});
const request = (id: number): RpcMessage => ({
  tag: "request",
  id,
  body: { tag: "transactions", hashes: [hash] },
});
const response = (id: number, count = 1): RpcMessage => ({
  tag: "response",
  id,
  body: { tag: "items", found: Array.from({ length: count }, () => ({ tag: "none" }) as const) },
});

describe.each(["sent", "received"] as const)("P30: the wire ledger, messages %s, finds", (way) => {
  const back = way === "sent" ? "received" : "sent";

  test("nothing wrong with permit after permit, and response after request", () => {
    const permits = [on(way, getNext(0)), on(back, infos(1)), on(way, getNext(1))];
    expect(booked(...permits, rpc(way, request(0)), rpc(back, response(0)))).toEqual([]);
  });

  test("a second GetNext while one is open", () => {
    expect(booked(on(way, getNext(0)), on(way, getNext(1)))).toHaveLength(1);
  });

  test("a window that does not grow", () => {
    expect(booked(on(way, getNext(1)), on(back, infos(1)), on(way, getNext(1)))).toHaveLength(1);
    expect(booked(on(way, getNext(1)), on(way, { tag: "refloor", window: getWindow(0) }))).toHaveLength(1);
  });

  test("Infos without a permit, a second time for one permit, and more than its limit", () => {
    expect(booked(on(way, infos(1)))).toHaveLength(1);
    expect(booked(on(way, getNext(0)), on(back, infos(1)), on(back, infos(1)))).toHaveLength(1);
    expect(booked(on(way, getNext(0, 2)), on(back, infos(3)))).toHaveLength(1);
  });

  test("a fifth open request, an id out of turn", () => {
    expect(booked(...[0, 1, 2, 3, 4].map((id) => rpc(way, request(id))))).toHaveLength(1);
    expect(booked(rpc(way, request(1)))).toHaveLength(1);
  });

  test("a response to nothing, a second one, one with more than was asked", () => {
    expect(booked(rpc(way, response(0)))).toHaveLength(1);
    expect(booked(rpc(way, request(0)), rpc(back, response(0)), rpc(back, response(0)))).toHaveLength(1);
    expect(booked(rpc(way, request(0)), rpc(back, response(0, 2)))).toHaveLength(1);
  });
});

const getWindow = (seq: number) => ({ seq, floor: null, band: null });

test("the wire ledger finds what is sent after Goodbye, and control before Hello", () => {
  const goodbye = {
    way: "received",
    wire: { channel: "control", message: { tag: "goodbye", reason: 16, banMs: 0 } },
  } as const;
  const ping = { way: "sent", wire: { channel: "control", message: { tag: "ping", n: 0 } } } as const;
  expect(booked(goodbye, on("sent", getNext(0)))).toEqual(["transaction getNext sent after Goodbye"]);
  expect(booked(ping)).toEqual(["ping before Hello"]);
});

test("law 2 finds a permit given while an announced item is unsettled, and accepts each stated reason", () => {
  const announced = { infos: [info], atMs: 0 };
  const asked = new Map([[0, { hashes: [hash], atMs: 0 }]]);
  const fresh = { announced, asked, failed: new Set<Hash>() };
  const empty = {
    transactions: {
      ...healthy.transactions,
      entries: SortedMap.empty<Hash, never>(),
      bySlot: SortedMap.empty<string, Hash>(),
    },
  };
  expect(unsettled(fresh, empty, new Map(), 100)).toHaveLength(1);
  expect(unsettled({ ...fresh, announced: null }, empty, new Map(), 100)).toEqual([]);
  expect(unsettled(fresh, empty, new Map([[hash, "invalid"]]), 100)).toEqual([]);
  expect(unsettled({ ...fresh, failed: new Set([hash]) }, empty, new Map(), 100)).toEqual([]);
  expect(unsettled(fresh, empty, new Map(), 5_000)).toEqual([]);
  expect(unsettled({ ...fresh, asked: new Map() }, empty, new Map(), SETTLE_TIMEOUT_MS)).toEqual([]);
  // The healthy pool holds a transaction of the same sender and nonce and of a greater fee.
  expect(unsettled(fresh, healthy, new Map(), 100)).toEqual([]);
});
