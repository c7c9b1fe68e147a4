import { expect, test } from "vitest";
import type { AddressBook, BookEntry } from "../core/address-book.ts";
import type { PermitChannel } from "../core/channels/permits.ts";
import { setDeadline } from "../core/deadlines.ts";
import { emptyIndex } from "../core/group-index.ts";
import type { AttemptId, Hash, PeerId } from "../core/ids.ts";
import { ACQUAINTED_MAX, GROUPS_MAX, OFFENDERS_MAX } from "../core/limits.ts";
import { POOL_NAMES, type PoolName } from "../core/pools.ts";
import { SortedMap } from "../core/sorted-map.ts";
import type { LivePeer, OffendingGroup, State } from "../core/state.ts";
import { chunksOf } from "../core/streams.ts";
import { brokenInvariants } from "./invariants.ts";
import { CHAIN, childOf, headerOf } from "./testing/chain.ts";
import { announce, bring, itemOf, submit } from "./testing/items.ts";
import { getNext, request, say } from "./testing/messages.ts";
import { cause, party, testNode } from "./testing/node.ts";
import { dialedPeer, readyPeer } from "./testing/peers.ts";
import { dialTo } from "./testing/signals.ts";
import { sayStream, snapshotOf } from "./testing/streams.ts";

interface World {
  readonly state: State;
  readonly peerId: PeerId;
  readonly attemptId: AttemptId;
}

const served = snapshotOf("served", 40);
const fetched = snapshotOf("fetched", 40);

/** A node with something of everything. */
function rich(): World {
  const node = testNode();
  submit(node, [itemOf("held"), itemOf("other")]);
  const peer = readyPeer(node, "peer");
  const { peerId, attemptId } = peer;
  bring(node, [itemOf("brought")]);
  const tip = headerOf(CHAIN.genesis);
  say(node, attemptId, { channel: "best-tip", message: { tag: "bestTip", header: tip } });
  say(node, attemptId, getNext(0, { resume: { epoch: node.state.pools.transaction.epoch, next: 3n } }));
  announce(node, peer, [itemOf("wanted")]);
  say(node, attemptId, request(0, { tag: "transactions", hashes: [itemOf("held").hash] }));
  cause(node, { type: "stream/fetch", root: fetched.root });
  sayStream(node, attemptId, { tag: "manifest", id: 0, manifest: fetched.manifest });
  sayStream(node, attemptId, { tag: "request", id: 0, root: served.root });
  node.feed({ type: "event/streamOpened", attemptId, streamId: 0, manifest: served.manifest });
  sayStream(node, attemptId, { tag: "next", id: 0, from: 0, count: 4 });
  const better = headerOf(childOf(CHAIN.genesis));
  say(node, attemptId, { channel: "best-tip", message: { tag: "bestTip", header: better } });
  dialTo(node, party("dialed"));
  dialedPeer(node, "proven");
  return { state: node.state, peerId, attemptId };
}

const { hash } = itemOf("held");

/** The live peer with these changes. */
const live = ({ state, peerId }: World, change: (live: LivePeer) => Partial<LivePeer>): Partial<State> => ({
  peers: state.peers.update(peerId, (peer) => ({
    ...peer,
    live: peer.live === null ? null : { ...peer.live, ...change(peer.live) },
  })),
});

const channel = (world: World, pool: PoolName, changes: Partial<PermitChannel>): Partial<State> =>
  live(world, ({ pools }) => {
    const old = pools[pool];
    return { pools: { ...pools, [pool]: old === null ? null : { ...old, ...changes } } };
  });

const addresses = ({ state }: World, changes: Partial<AddressBook>): Partial<State> => ({
  book: { ...state.book, addresses: { ...state.book.addresses, ...changes } },
});

const entriesWith = ({ state }: World, changes: Partial<BookEntry>): AddressBook["entries"] =>
  SortedMap.from(
    [...state.book.addresses.entries.entries()].map(([key, entry]) => [key, { ...entry, ...changes }]),
  );

const fetches = (
  { state }: World,
  change: (fetch: ReturnType<typeof one>) => Partial<ReturnType<typeof one>>,
): Partial<State> => ({
  fetches: SortedMap.from(
    [...state.fetches.entries()].map(([key, fetch]) => [key, { ...fetch, ...change(fetch) }]),
  ),
});
const one = ({ state }: World) => {
  const [fetch] = state.fetches.values();
  if (fetch === undefined) throw new Error("something is fetched");
  return fetch;
};

const transactions = ({ state }: World, changes: Partial<State["pools"]["transaction"]>): Partial<State> => ({
  pools: { ...state.pools, transaction: { ...state.pools.transaction, ...changes } },
});

const groupWith = (...names: readonly string[]): OffendingGroup => ({
  bannedUntilMs: 0,
  bannedFor: null,
  violations: names.map((name) => ({ peerId: party(name).peerId, atMs: 0 })),
});

/** P30: each is a bug that somebody could plant; the check must see it. */
const PLANTED: readonly (readonly [string, RegExp, (world: World) => Partial<State>])[] = [
  ["one peer too many", /peersMax/, ({ state }) => ({ config: { ...state.config, peersMax: 1 } })],
  [
    "a slot that nothing holds",
    /held by something/,
    ({ state }) => ({
      peers: state.peers.set(party("x").peerId, {
        ...party("x"),
        dialing: null,
        answering: null,
        live: null,
      }),
    }),
  ],
  [
    "a slot of an attempt that is gone",
    /unfinished outgoing/,
    ({ state }) => ({
      attempts: SortedMap.from(
        [...state.attempts.entries()].filter(([, { phase }]) => phase.tag !== "connecting"),
      ),
    }),
  ],
  [
    "a live peer without its attempt",
    /ready attempt/,
    ({ state, attemptId }) => ({ attempts: state.attempts.delete(attemptId) }),
  ],
  [
    "a live peer of the other direction",
    /direction of its attempt/,
    (world) => live(world, () => ({ direction: "outgoing" })),
  ],
  [
    "a transport that is forgotten",
    /has a transport/,
    ({ state, attemptId }) => ({
      attempts: state.attempts.update(attemptId, (attempt) => ({ ...attempt, hasTransport: false })),
    }),
  ],
  [
    "a request that is never answered",
    /request until/,
    ({ state, attemptId }) => ({
      attempts: state.attempts.update(attemptId, (attempt) => ({ ...attempt, requestId: 1 as never })),
    }),
  ],
  [
    "early messages that are never looked at",
    /processed its early messages/,
    ({ state, attemptId }) => ({
      attempts: state.attempts.update(attemptId, (attempt) => ({
        ...attempt,
        early: [{ channel: "control", message: { tag: "ping", n: 1 } }],
      })),
    }),
  ],
  [
    "an entry that is not in the log",
    /P22/,
    (world) => transactions(world, { byIndex: world.state.pools.transaction.byIndex.delete(0) }),
  ],
  [
    "an index that points elsewhere",
    /P22/,
    (world) => transactions(world, { byIndex: world.state.pools.transaction.byIndex.set(0, "00" as Hash) }),
  ],
  [
    "an entry that was removed from one index only",
    /P22/,
    (world) => transactions(world, { entries: world.state.pools.transaction.entries.delete(hash) }),
  ],
  [
    "a slot that is held by nothing",
    /P22/,
    (world) => transactions(world, { bySlot: world.state.pools.transaction.bySlot.set("x", hash) }),
  ],
  ["an index that is given twice", /P22/, (world) => transactions(world, { nextIndex: 1 })],
  [
    "a fetch that nobody announced",
    /announcer/,
    (world) => fetches(world, () => ({ announcers: SortedMap.empty() })),
  ],
  ["a fetch that is lost", /being fetched/, () => ({ fetches: SortedMap.empty() })],
  [
    "a fetch that nobody was asked for",
    /open request/,
    (world) =>
      fetches(world, () => ({ stage: { tag: "requested", from: [party("z").peerId], isLate: false } })),
  ],
  [
    "a fetch that is asked of nobody",
    /asked of somebody/,
    (world) => fetches(world, () => ({ stage: { tag: "requested", from: [], isLate: false } })),
  ],
  [
    "a fetch in a batch that is gone",
    /in its batch/,
    (world) => fetches(world, () => ({ stage: { tag: "verifying", batchId: 99 as never } })),
  ],
  [
    "a fetch of somebody who has settled it",
    /unsettled for its announcer/,
    (world) =>
      fetches(world, ({ announcers }) => ({
        announcers: announcers.set(party("z").peerId, itemOf("x").info),
      })),
  ],
  [
    "the fetcher's request is not open",
    /fetches with/,
    (world) => live(world, ({ fetching }) => ({ fetching: { ...fetching, transaction: 77 } })),
  ],
  [
    "more than four open requests",
    /4 slots/,
    (world) =>
      live(world, ({ rpc }) => ({
        rpc: rpc === null ? null : { ...rpc, theirs: Array(5).fill(rpc.theirs[0]) },
      })),
  ],
  [
    "all slots blocked, and nobody knows",
    /slots are blocked/,
    (world) => live(world, ({ rpc }) => ({ rpc: rpc === null ? null : { ...rpc, blockedSinceMs: 1 } })),
  ],
  [
    "a channel blocked twice",
    /blocked channel once/,
    (world) => live(world, () => ({ blocked: ["rpc", "rpc"] })),
  ],
  ...POOL_NAMES.flatMap((pool): readonly (readonly [string, RegExp, (world: World) => Partial<State>])[] => [
    [`no permit of ours on ${pool}`, /law 2/, (world) => channel(world, pool, { ours: { tag: "idle" } })],
    [
      `nothing processed on ${pool}`,
      /law 2/,
      (world) => {
        const ours = world.state.peers.get(world.peerId)?.live?.pools.transaction?.ours;
        if (ours?.tag !== "processing") throw new Error("something is processed");
        return channel(world, pool, { ours: { ...ours, unsettled: [] } });
      },
    ],
    [
      `somebody who waits on ${pool} and is gone`,
      /is live/,
      ({ state }) => ({
        waiting: { ...state.waiting, [pool]: state.waiting[pool].set(party("z").peerId, true) },
      }),
    ],
  ]),
  [
    "a permit that nobody waits with",
    /waits with its permit/,
    ({ state }) => ({ waiting: { ...state.waiting, transaction: SortedMap.empty() } }),
  ],
  [
    "somebody who waits without a permit",
    /waits with a permit/,
    (world) => channel(world, "transaction", { theirs: { tag: "none" } }),
  ],
  [
    "a tip that is processed, and another was received",
    /received last/,
    (world) =>
      live(world, ({ bestTip }) => ({
        bestTip: bestTip === null ? null : { ...bestTip, ours: { tag: "processing", hash } },
      })),
  ],
  [
    "a best tip that is not applied",
    /applied block/,
    ({ state }) => ({ chain: { ...state.chain, blocks: SortedMap.empty() } }),
  ],
  [
    "a stream beyond its permits",
    /at most 16 chunks outstanding/,
    (world) =>
      live(world, ({ streaming }) => ({
        streaming:
          streaming?.theirs == null
            ? null
            : { ...streaming, theirs: { ...streaming.theirs, permitted: chunksOf({ from: 0, count: 17 }) } },
      })),
  ],
  [
    "a chunk that is lost",
    /chunks of a download/,
    ({ state: { download } }) => ({
      download: download === null ? null : { ...download, missing: SortedMap.empty() },
    }),
  ],
  ["a source that is gone", /is live/, ({ state: { peers }, peerId }) => ({ peers: peers.delete(peerId) })],
  [
    "a deadline that is lost",
    /has deadline/,
    ({ state }) => ({ deadlines: { byName: SortedMap.empty(), byTime: state.deadlines.byTime } }),
  ],
  [
    "all deadlines lost",
    /an unfinished attempt has deadline/,
    () => ({ deadlines: { byName: SortedMap.empty(), byTime: SortedMap.empty() } }),
  ],
  [
    "a deadline about nothing",
    /about something/,
    ({ state }) => ({ attempts: SortedMap.empty(), peers: state.peers }),
  ],
  [
    "more offenders than are remembered",
    /offenders is bounded/,
    () => ({
      offenders: SortedMap.from(
        Array.from({ length: OFFENDERS_MAX + 1 }, (_, index) => [
          `offender ${index}` as PeerId,
          { bannedUntilMs: 0, bannedFor: null, restUntilMs: 0, strikesMs: [] },
        ]),
      ),
    }),
  ],
  ["an address without its place", /has its place/, (world) => addresses(world, { tried: emptyIndex })],
  [
    "an address that nobody has found",
    /P17/,
    (world) => addresses(world, { entries: entriesWith(world, { successMs: null }) }),
  ],
  [
    "sources that are not counted",
    /source of unproven addresses is counted/,
    (world) => addresses(world, { entries: entriesWith(world, { table: "fresh" }) }),
  ],
  [
    "a live peer with a banned key",
    /is not banned \(P24\)/,
    ({ state, attemptId }) => ({
      offenders: SortedMap.from([
        [
          state.attempts.get(attemptId)?.peerId as PeerId,
          { bannedUntilMs: state.timeMs + 1, bannedFor: "badState", restUntilMs: 0, strikesMs: [] },
        ],
      ]),
    }),
  ],
  [
    "a live peer in a group that the operator has banned",
    /is in no group that the operator has banned/,
    ({ state, attemptId }) => ({
      groups: SortedMap.from([
        [
          state.attempts.get(attemptId)?.selected?.group ?? "",
          { bannedUntilMs: state.timeMs + 1, bannedFor: "operator", violations: [] },
        ],
      ]),
    }),
  ],
  [
    "a key that counts twice for its group",
    /counts each key once/,
    () => ({ groups: SortedMap.from([["g", groupWith("a", "a")]]) }),
  ],
  [
    "three keys of a group that is not shut out",
    /is shut out after 3 keys/,
    () => ({ groups: SortedMap.from([["g", groupWith("a", "b", "c")]]) }),
  ],
  [
    "more groups than are remembered",
    /address groups is bounded/,
    () => ({
      groups: SortedMap.from(
        Array.from({ length: GROUPS_MAX + 1 }, (_, index) => [`${index}`, groupWith()] as const),
      ),
    }),
  ],
  [
    "more known keys than are remembered",
    /known keys is bounded/,
    () => ({
      acquainted: SortedMap.from(
        Array.from({ length: ACQUAINTED_MAX + 1 }, (_, index) => [`${index}` as PeerId, 0] as const),
      ),
    }),
  ],
];

test.each(PLANTED)("invariants: %s is seen", (_, invariant, plant) => {
  const world = rich();
  expect(brokenInvariants(world.state)).toEqual([]);
  expect(brokenInvariants({ ...world.state, ...plant(world) }).join("\n")).toMatch(invariant);
});

/** What is about a peer that settled, a request that was answered or a channel that drained, is over. */
const DEADLINES = [
  "scan snark ID",
  "refloor transaction ID",
  "settle snark ID",
  "reconcile snark 99",
  "hedge snark ID",
  "rpc 77 ID",
  "rpcBlocked ID",
  "stalled rpc ID",
  "cut ID",
  "candidates ID",
  "tip 99",
  "resume somebody",
  "commitments",
  "replay nobody",
  "dial nowhere",
  "book",
  "verify ID",
  "something else",
];
test.each(DEADLINES)("invariants: a deadline that is left over is seen: %s", (template) => {
  const { state, attemptId } = rich();
  const name = template.replace("ID", String(attemptId));
  const action = { type: "tick" } as const;
  const left = {
    ...state,
    deadlines: setDeadline(state.deadlines, { name, atMs: state.timeMs + 1, action }),
  };
  expect(brokenInvariants(left).join("\n")).toMatch(new RegExp(`deadline ${name} is about something`));
});
