import { beforeAll, describe, expect, test } from "vitest";
import { type Tip, tipOf } from "../core/block.ts";
import type { TransactionInfo } from "../core/chain.ts";
import type { BestTipMessage } from "../core/channels/best-tip.ts";
import type { PermitChannel, PoolMessage } from "../core/channels/permits.ts";
import type { RpcMessage } from "../core/channels/rpc.ts";
import type { StreamingMessage } from "../core/channels/streaming-rpc.ts";
import { setDeadline } from "../core/deadlines.ts";
import type { AttemptId, Hash, JobId, PeerId, RequestId } from "../core/ids.ts";
import { RPC_TIMEOUT_MS, SETTLE_TIMEOUT_MS } from "../core/limits.ts";
import { type PoolEntry, removeEntry } from "../core/pool-log.ts";
import { POOL_NAMES, type PoolName } from "../core/pools.ts";
import { SortedMap } from "../core/sorted-map.ts";
import type { Attempt, Fetch, LivePeer, Peer, State } from "../core/state.ts";
import { brokenInvariants } from "../reducers/invariants.ts";
import {
  checkBaseline,
  checkFetchProgress,
  checkNoAccusation,
  checkNothingLost,
  checkPlain,
  checkProduced,
  checkRefusals,
  checkTip,
  checkWork,
} from "./invariants.ts";
import { announcedNow, unsettled } from "./settlement.ts";
import { DEFAULT_CONSENSUS, headerAfter, parametersOf } from "./sim-consensus.ts";
import { createCluster } from "./simulator.ts";
import { freshLedger, observe, type WireEvent, type WireLedger } from "./wire.ts";

/** A checker that finds nothing proves nothing (P30): each is fed what it exists to find. */

const sender = "aa".repeat(32);
const hash = "12".repeat(32) as Hash;
const { hash: _hash, ...header } = parametersOf(DEFAULT_CONSENSUS, 0).genesis;
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

const { bodyRoot, ledgerRoot } = header;
const built = (parent: Tip, slot: number): Tip =>
  tipOf(
    headerAfter(parametersOf(DEFAULT_CONSENSUS, 0), parent, { slot, creator: sender, bodyRoot, ledgerRoot }),
  );

const onlyPeer = (state: State): Peer => [...state.peers.values()][0] as Peer;
const onlyAttempt = (state: State): Attempt => [...state.attempts.values()][0] as Attempt;

/** The state with its one peer changed. */
const withLive = (state: State, change: Partial<NonNullable<Peer["live"]>>): State => {
  const peer = onlyPeer(state);
  const live = peer.live === null ? null : { ...peer.live, ...change };
  return { ...state, peers: state.peers.set(peer.peerId, { ...peer, live }) };
};

/** The state with the one peer's transaction channel changed. */
const withPermits = (state: State, change: Partial<PermitChannel>): State => {
  const pools = onlyPeer(state).live?.pools;
  if (pools?.transaction == null) throw new Error("the channel is in use");
  return withLive(state, { pools: { ...pools, transaction: { ...pools.transaction, ...change } } });
};

const withPool = (state: State, change: Partial<State["pools"]["transaction"]>): State => ({
  ...state,
  pools: { ...state.pools, transaction: { ...state.pools.transaction, ...change } },
});

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

const onlyLive = (state: State): LivePeer => onlyPeer(state).live as LivePeer;
const onlyFetch = (state: State): Fetch => [...state.fetches.values()][0] as Fetch;
const idle = (state: State): State => withLive(state, { fetching: { transaction: null, snark: null } });
const withFetch = (state: State, change: Partial<Fetch>): State => ({
  ...state,
  fetches: state.fetches.set(onlyFetch(state).hash, { ...onlyFetch(state), ...change }),
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
    "settle transaction 1",
    "refloor snark 7",
    "hedge transaction 1",
    "tip 1",
    "sync",
    "commitments",
    "resume somebody",
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
    const { peerId } = onlyPeer(fetching);
    const requested = { tag: "requested", from: [peerId], isLate: false } as const;
    expect(broken(withFetch(fetching, { announcers: SortedMap.empty() }))).not.toEqual([]);
    expect(broken(withFetch(fetching, { stage: { tag: "verifying", batchId: 77 as never } }))).not.toEqual(
      [],
    );
    expect(broken(withLive(withFetch(fetching, { stage: requested }), { rpc: null }))).not.toEqual([]);
    expect(checkFetchProgress(idle(withFetch(fetching, { stage: { tag: "waiting" } })))).toHaveLength(1);
  });

  test("fetches: somebody could be asked - not if it is busy, or slow while a better one was not asked", () => {
    const { peerId } = onlyPeer(fetching);
    const info = onlyFetch(fetching).announcers.get(peerId);
    const other = "12D3KooWother" as PeerId;
    if (info === undefined) throw new Error("the peer has announced it");
    const late = { tag: "requested", from: [other], isLate: true } as const;
    const waiting = idle(withFetch(fetching, { stage: { tag: "waiting" } }));
    const slow = (state: State): State =>
      withLive(state, { record: { ...onlyLive(state).record, promptness: "slow" } });
    // Another announcer who answers in time is being asked for something else.
    const better = (state: State): State => ({
      ...withFetch(state, { announcers: onlyFetch(state).announcers.set(other, info) }),
      peers: state.peers.set(other, {
        ...onlyPeer(state),
        peerId: other,
        live: { ...onlyLive(state), fetching: { transaction: 5, snark: null } },
      }),
    });
    expect(checkFetchProgress(fetching)).toEqual([]);
    expect(checkFetchProgress(slow(waiting))).toHaveLength(1);
    expect(checkFetchProgress(slow(better(waiting)))).toEqual([]);
    expect(checkFetchProgress(better(waiting))).toHaveLength(1);
    const asked = (isLate: boolean): State =>
      better(idle(withFetch(fetching, { stage: { ...late, isLate } })));
    expect(checkFetchProgress(asked(true))).toHaveLength(1);
    expect(checkFetchProgress(asked(false))).toEqual([]);
  });

  test("permits: one that waits for nothing, one that is forgotten, one never given", () => {
    expect(broken({ ...fetching, fetches: SortedMap.empty() })).not.toEqual([]);
    const waiting = { ...healthy.waiting, transaction: SortedMap.empty<PeerId, true>() };
    expect(broken({ ...healthy, waiting })).not.toEqual([]);
    expect(broken(withPermits(healthy, { ours: { tag: "idle" } }))).not.toEqual([]);
    expect(broken(withPermits(healthy, { theirs: { tag: "none" } }))).not.toEqual([]);
  });

  test("the pool: an entry without an index, an index without an entry (P22)", () => {
    const pool = healthy.pools.transaction;
    const [key, entry] = pool.entries.first() as [Hash, PoolEntry<never>];
    expect(broken(withPool(healthy, { byIndex: pool.byIndex.delete(entry.index) }))).not.toEqual([]);
    expect(broken(withPool(healthy, { byPriority: SortedMap.empty() }))).not.toEqual([]);
    expect(broken(withPool(healthy, { bySlot: pool.bySlot.set(entry.slot, hash) }))).not.toEqual([]);
    expect(broken(withPool(healthy, { entries: removeEntry(pool, key).entries }))).not.toEqual([]);
  });

  test("the pool: an entry that left without a reason, and each reason there is", () => {
    const pool = healthy.pools.transaction;
    const [key, entry] = pool.entries.first() as [Hash, PoolEntry<TransactionInfo>];
    const after = withPool(healthy, removeEntry(pool, key));
    const change = {
      tip: healthy.chain.tip,
      extendsOld: true,
      removed: [key],
      returned: [],
      jobsAdded: [],
      jobsRemoved: [],
      lockHeight: 0,
    };
    const info = { ...entry.info, hash, fee: 1_000n * entry.info.fee };
    const greater = { ...entry, hash, info, priority: { class: 60_000, hash } };
    const replaced = withPool(after, {
      entries: after.pools.transaction.entries.set(hash, greater),
      bySlot: after.pools.transaction.bySlot.set(entry.slot, hash),
    });
    const floor = { class: 50_000, hash };
    const full = {
      ...after,
      floors: { ...after.floors, transaction: { mark: 1, peaks: [{ mark: 1, floor }] } },
    };
    expect(checkNothingLost(healthy, after, [])).toHaveLength(1);
    expect(checkNothingLost(healthy, after, [{ type: "pool/followTip", change }])).toEqual([]);
    expect(
      checkNothingLost(healthy, after, [{ type: "pool/followTip", change: { ...change, removed: [] } }]),
    ).toHaveLength(1);
    const ring = { next: 1, hashes: SortedMap.from([[0, key]]), numbers: SortedMap.from([[key, 0]]) };
    const rings = { ...healthy.rings, transaction: ring };
    expect(checkNothingLost(healthy, { ...replaced, rings }, [])).toEqual([]);
    expect(checkNothingLost(healthy, { ...full, rings }, [])).toEqual([]);
    const local = SortedMap.from([[key, entry.info]]);
    expect(checkNothingLost(healthy, { ...full, local }, [])).toEqual([]);
    // Pushed out, and at once not served any more.
    expect(checkNothingLost(healthy, full, [])).toHaveLength(1);
    expect(checkNothingLost(healthy, healthy, [])).toEqual([]);
  });

  test("a block of our own that is better than the tip adopted meanwhile, and is forgotten", () => {
    const produced = built(healthy.config.chain.genesis, 2);
    const making = { ...healthy, sync: { ...healthy.sync, produced } };
    const forgotten = { ...healthy, sync: { ...healthy.sync, produced: null } };
    expect(checkProduced(making, forgotten)).toHaveLength(1);
    const adopting = { ...forgotten, sync: { ...forgotten.sync, adopting: produced.hash } };
    expect(checkProduced(making, adopting)).toEqual([]);
    expect(checkProduced(making, making)).toEqual([]);
    expect(checkProduced(healthy, forgotten)).toEqual([]);
  });

  test("the state: something that does not survive its recording", () => {
    const planted = { ...healthy, endings: { $u64: "1" } } as unknown as State;
    expect(checkPlain(planted)).not.toEqual([]);
  });

  test("the tip: one that is worse, or that the one before is built on", () => {
    const { genesis } = healthy.config.chain;
    const first = built(genesis, 1);
    const second = built(first, 2);
    const at = (tip: Tip): State => ({ ...healthy, chain: { ...healthy.chain, tip } });
    expect(checkTip(at(first), at(second))).toEqual([]);
    expect(checkTip(at(genesis), at(first))).toEqual([]);
    const problems = checkTip(at(second), at(first));
    expect(problems[0]).toContain("which is not better");
    expect(problems[1]).toContain("which it is built on");
  });

  test("what nodes say of each other: an accusation", () => {
    const attemptId = 1 as AttemptId;
    const planted = { type: "connection/disconnect", attemptId, reason: "noPermit", detail: "" } as const;
    expect(checkNoAccusation([planted])).toHaveLength(1);
    expect(checkNoAccusation([{ ...planted, reason: "shutdown" }])).toEqual([]);
    expect(checkNoAccusation([planted], (liar) => liar === attemptId)).toEqual([]);
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

const on = (way: WireEvent["way"], message: PoolMessage, pool: PoolName = "transaction"): WireEvent => ({
  way,
  wire: { channel: pool, message },
});
const rpc = (way: WireEvent["way"], message: RpcMessage): WireEvent => ({
  way,
  wire: { channel: "rpc", message },
});
const tip = (way: WireEvent["way"], message: BestTipMessage): WireEvent => ({
  way,
  wire: { channel: "best-tip", message },
});
const stream = (way: WireEvent["way"], message: StreamingMessage): WireEvent => ({
  way,
  wire: { channel: "streaming-rpc", message },
});
const window = (seq: number) => ({ seq, floor: null, band: null });
const getNext = (seq: number, limit = 1): PoolMessage => ({
  tag: "getNext",
  limit,
  window: window(seq),
  resume: null,
});
const info = { hash, fee: 1n, sender, nonce: 0 };
const infos = (count: number, seq = 0): PoolMessage => ({
  tag: "infos",
  cursor: { epoch: 0n, next: 1n },
  seq,
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
    const permits = POOL_NAMES.flatMap((pool) => [
      on(way, getNext(0), pool),
      on(way, { tag: "refloor", window: window(1) }, pool),
      on(back, infos(1), pool),
      on(way, getNext(2), pool),
    ]);
    const tips = [
      tip(way, { tag: "getNext" }),
      tip(back, { tag: "bestTip", header }),
      tip(way, { tag: "getNext" }),
    ];
    expect(booked(...permits, ...tips, rpc(way, request(0)), rpc(back, response(0)))).toEqual([]);
  });

  test("a second GetNext while one is open", () => {
    expect(booked(on(way, getNext(0)), on(way, getNext(1)))).toHaveLength(1);
    expect(booked(tip(way, { tag: "getNext" }), tip(way, { tag: "getNext" }))).toHaveLength(1);
  });

  test("a tip without a permit, and a second one for one permit", () => {
    const announced = tip(back, { tag: "bestTip", header });
    expect(booked(announced)).toHaveLength(1);
    expect(booked(tip(way, { tag: "getNext" }), announced, announced)).toHaveLength(1);
  });

  test("a window that does not grow, and a floor where there is none", () => {
    expect(booked(on(way, getNext(1)), on(back, infos(1, 1)), on(way, getNext(1)))).toHaveLength(1);
    expect(booked(on(way, getNext(1)), on(way, { tag: "refloor", window: window(0) }))).toHaveLength(1);
    const floored = { tag: "refloor", window: { ...window(1), floor: { class: 1, hash } } } as const;
    expect(booked(on(way, getNext(0), "snark"), on(way, floored, "snark"))).toHaveLength(1);
  });

  test("Infos without a permit, a second time for one permit, and more than its limit", () => {
    expect(booked(on(way, getNext(0)), on(back, infos(1)), on(back, infos(1)))).toHaveLength(2);
    expect(booked(on(way, getNext(0, 2)), on(back, infos(3)))).toHaveLength(1);
  });

  test("Infos for a window that was not given, with nothing in them, or with what is not above the floor", () => {
    const floored = { ...window(0), floor: { class: 1, hash } };
    expect(booked(on(way, getNext(0)), on(back, infos(1, 1)))).toHaveLength(1);
    expect(booked(on(way, getNext(0)), on(back, infos(0)))).toHaveLength(1);
    const permit = { tag: "getNext", limit: 1, window: floored, resume: null } as const;
    expect(booked(on(way, permit), on(back, infos(1)))).toHaveLength(1);
  });

  test("a fifth open request, an id out of turn", () => {
    expect(booked(...[0, 1, 2, 3, 4].map((id) => rpc(way, request(id))))).toHaveLength(1);
    expect(booked(rpc(way, request(1)))).toHaveLength(1);
  });

  test("a response to nothing, a second one, one with more than was asked, one of another kind", () => {
    const other = { tag: "response", id: 0, body: { tag: "peers", addresses: [] } } as const;
    expect(booked(rpc(way, request(0)), rpc(back, other))).toHaveLength(1);
    expect(booked(rpc(way, response(0)))).toHaveLength(1);
    expect(booked(rpc(way, request(0)), rpc(back, response(0)), rpc(back, response(0)))).toHaveLength(1);
    expect(booked(rpc(way, request(0)), rpc(back, response(0, 2)))).toHaveLength(1);
  });
});

describe.each(["sent", "received"] as const)("P30: the wire ledger, streams that are %s, finds", (way) => {
  const back = way === "sent" ? "received" : "sent";
  const open = (id: number): WireEvent => stream(way, { tag: "request", id, root: hash });
  const next = (count: number): WireEvent => stream(way, { tag: "next", id: 0, from: 0, count });
  const chunk = stream(back, { tag: "chunk", id: 0, index: 0, data: new Uint8Array(), proof: [] });

  test("nothing wrong with chunks that were permitted, nor with what comes after the end", () => {
    const end = stream(way, { tag: "cancel", id: 0 });
    expect(booked(open(0), next(16), chunk, chunk, next(2), end, chunk, open(1))).toEqual([]);
  });

  test("a second open stream, an id out of turn, a chunk without a permit, too much permitted", () => {
    expect(booked(open(0), open(1))).toHaveLength(1);
    expect(booked(open(1))).toHaveLength(1);
    expect(booked(open(0), next(1), chunk, chunk)).toHaveLength(1);
    expect(booked(open(0), next(8), next(9))).toHaveLength(1);
  });
});

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
  const empty = withPool(healthy, {
    entries: SortedMap.empty(),
    byIndex: SortedMap.empty(),
    byPriority: SortedMap.empty(),
    bySlot: SortedMap.empty(),
  });
  const at = (ms: number): State => ({ ...empty, timeMs: ms });
  const announced = announcedNow(at(0), { pool: "transaction", infos: [info] });
  const judged = (atMs: number) => new Map([[hash, { tag: "invalid", atMs } as const]]);
  const asked = [{ hashes: [hash], atMs: 0 }];
  expect(unsettled(announced, asked, at(100), new Map())).toHaveLength(1);
  expect(unsettled(announced, asked, at(100), judged(50))).toEqual([]);
  expect(unsettled(announced, asked, at(100), judged(-1))).toHaveLength(1);
  expect(unsettled({ ...announced, failed: new Set([hash]) }, asked, at(100), new Map())).toEqual([]);
  expect(unsettled(announced, asked, at(RPC_TIMEOUT_MS), new Map())).toEqual([]);
  expect(unsettled(announced, [], at(RPC_TIMEOUT_MS), new Map())).toHaveLength(1);
  expect(unsettled(announced, [], at(SETTLE_TIMEOUT_MS), new Map())).toEqual([]);
  // The healthy pool holds a transaction of the same sender and nonce and of a greater fee.
  expect(unsettled(announced, [], { ...healthy, timeMs: 100 }, new Map())).toEqual([]);
  expect(announcedNow(healthy, { pool: "transaction", infos: [info] }).infos).toEqual([]);
});

test("whose submission is refused for another's sake, that one is in the pool", () => {
  const held = [...healthy.pools.transaction.entries.keys()][0] as Hash;
  const refusal = (holder: string) => ({
    type: "effect/answerCommand" as const,
    requestId: 1 as RequestId,
    result: { tag: "conflict" as const, detail: `${holder} already holds this slot with a higher priority` },
  });
  expect(checkRefusals(healthy, [refusal(held)])).toEqual([]);
  expect(checkRefusals(healthy, [refusal(hash)])).toHaveLength(1);
  expect(checkRefusals(healthy, [refusal("null")])).toHaveLength(1);
});

test("work on what is no job is seen", () => {
  const jobId = "0b".repeat(32) as JobId;
  const jobs = [{ jobId, stage: { tag: "committing" } as const }];
  expect(checkWork(healthy)).toEqual([]);
  expect(checkWork({ ...healthy, work: { ...healthy.work, jobs } })).toHaveLength(1);
});
