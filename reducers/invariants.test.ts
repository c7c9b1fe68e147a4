import { expect, test } from "vitest";
import type { AttemptId, Hash, PeerId } from "../core/ids.ts";
import { SortedMap } from "../core/sorted-map.ts";
import type { State } from "../core/state.ts";
import { brokenInvariants } from "./invariants.ts";
import { announce, dialTo, getNext, itemOf, party, readyPeer, say, submit, testNode } from "./testing.ts";

/** A node with something of everything. */
function rich(): { readonly state: State; readonly peerId: PeerId; readonly attemptId: AttemptId } {
  const node = testNode();
  submit(node, [itemOf("held"), itemOf("other")]);
  const { peerId, attemptId } = readyPeer(node, "peer");
  say(node, attemptId, getNext(0, { resume: { epoch: node.state.transactions.epoch, next: 2n } }));
  announce(node, { ...party("peer"), attemptId }, [itemOf("wanted")]);
  dialTo(node, party("dialed"));
  return { state: node.state, peerId, attemptId };
}

const hash = itemOf("held").info.hash;

/** P30: each is a bug that somebody could plant; the check must see it. */
const PLANTED: readonly (readonly [string, RegExp, (world: ReturnType<typeof rich>) => Partial<State>])[] = [
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
    ({ state, attemptId }) => ({
      attempts: state.attempts.delete(attemptId),
    }),
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
    "an entry that is not in the log",
    /P22/,
    ({ state }) => ({
      transactions: { ...state.transactions, byIndex: state.transactions.byIndex.delete(0) },
    }),
  ],
  [
    "an index that points elsewhere",
    /P22/,
    ({ state }) => ({
      transactions: { ...state.transactions, byIndex: state.transactions.byIndex.set(0, "00" as Hash) },
    }),
  ],
  [
    "an entry that was removed from one index only",
    /P22/,
    ({ state }) => ({
      transactions: { ...state.transactions, entries: state.transactions.entries.delete(hash) },
    }),
  ],
  [
    "a fetch that nobody announced",
    /announcer/,
    ({ state }) => ({
      fetches: SortedMap.from(
        [...state.fetches.entries()].map(([key, one]) => [key, { ...one, announcers: SortedMap.empty() }]),
      ),
    }),
  ],
  ["a fetch that is lost", /being fetched/, () => ({ fetches: SortedMap.empty() })],
  [
    "a fetch that nobody was asked for",
    /open request/,
    ({ state }) => ({
      fetches: SortedMap.from(
        [...state.fetches.entries()].map(([key, one]) => [
          key,
          { ...one, stage: { tag: "requested", peerId: party("z").peerId } },
        ]),
      ),
    }),
  ],
  ["a permit that nobody waits with", /waits with its permit/, () => ({ waiting: SortedMap.empty() })],
  [
    "somebody who waits and is gone",
    /is live/,
    ({ state }) => ({ waiting: state.waiting.set(party("z").peerId, true) }),
  ],
  [
    "a deadline that is lost",
    /has deadline/,
    ({ state }) => ({
      deadlines: { byName: SortedMap.empty(), byTime: state.deadlines.byTime },
    }),
  ],
  [
    "all deadlines lost",
    /an unfinished attempt has deadline/,
    () => ({
      deadlines: { byName: SortedMap.empty(), byTime: SortedMap.empty() },
    }),
  ],
  [
    "a deadline about nothing",
    /about something/,
    ({ state }) => ({ attempts: SortedMap.empty(), peers: state.peers }),
  ],
];

test.each(PLANTED)("invariants: %s is seen", (_, invariant, plant) => {
  const world = rich();
  expect(brokenInvariants(world.state)).toEqual([]);
  expect(brokenInvariants({ ...world.state, ...plant(world) }).join("\n")).toMatch(invariant);
});
