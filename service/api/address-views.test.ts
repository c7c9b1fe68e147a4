import { expect, test } from "vitest";
import { fail, hear } from "../../core/address-book.ts";
import { formatMultiaddr } from "../../core/multiaddr.ts";
import { SortedMap } from "../../core/sorted-map.ts";
import type { State } from "../../core/state.ts";
import { party, testNode } from "../../reducers/testing/node.ts";
import { dialedPeer } from "../../reducers/testing/peers.ts";
import { addressOf, multiaddrOf } from "../../reducers/testing/signals.ts";
import { addressesView } from "./address-views.ts";

const TELLER = { peerId: party("teller").peerId, remoteAddress: "60.0.0.1" };
const somewhere = (number: number) => ({ ...addressOf(party("somebody")), host: `50.0.${number}.1` });

/** A node that was told of addresses, and has chosen a peer. */
function knowing(count: number, change: (state: State) => State = (state) => state): State {
  const node = testNode({}, "us", undefined, (state) => {
    let { addresses } = state.book;
    for (let number = 0; number < count; number++) addresses = hear(addresses, somewhere(number), TELLER);
    return change({ ...state, book: { ...state.book, addresses } });
  });
  dialedPeer(node, "found");
  // As if its operator had not asked for it.
  return { ...node.state, targets: SortedMap.empty() };
}

const FAILING = formatMultiaddr(somewhere(0));
const afterFailure = (state: State): State => {
  const addresses = fail(state.book.addresses, FAILING, state.timeMs + 60_000);
  return { ...state, book: { ...state.book, addresses } };
};

test("addresses: what is known of each", () => {
  const state = knowing(1, afterFailure);
  const { addresses, next } = addressesView(state, { limit: 10, after: "" });
  expect(next).toBeNull();
  const found = multiaddrOf(party("found"));
  expect(addresses).toHaveLength(2);
  expect(addresses.find(({ address }) => address === FAILING)).toEqual({
    address: FAILING,
    table: "fresh",
    source: { id: TELLER.peerId, address: TELLER.remoteAddress },
    lastSuccess: null,
    failures: 1,
    nextDial: expect.any(String),
    anchor: false,
  });
  expect(addresses.find(({ address }) => address === found)).toEqual({
    address: found,
    table: "tried",
    source: { id: state.config.peerId, address: addressOf(party("found")).host },
    lastSuccess: expect.any(String),
    failures: 0,
    nextDial: null,
    anchor: true,
  });
});

test("addresses: a dial that may be made again has no time", () => {
  const state = knowing(1, afterFailure);
  const nextDialAt = (timeMs: number) =>
    addressesView({ ...state, timeMs }, { limit: 10, after: "" }).addresses.find(
      ({ address }) => address === FAILING,
    )?.nextDial;
  const dueMs = state.book.addresses.entries.get(FAILING)?.nextMs ?? 0;
  expect(nextDialAt(dueMs - 1)).toBe(new Date(dueMs).toISOString());
  expect(nextDialAt(dueMs)).toBeNull();
});

test("addresses: pages are whole, in order, and end", () => {
  const state = knowing(40);
  const all = [...state.book.addresses.entries.keys()];
  expect(all.length).toBeGreaterThan(20);
  for (const limit of [1, 7, all.length - 1, all.length, 1_000]) {
    const listed: string[] = [];
    let pages = 0;
    for (let after: string | null = ""; after !== null; pages++) {
      const page = addressesView(state, { limit, after });
      expect(page.addresses.length).toBeLessThanOrEqual(limit);
      listed.push(...page.addresses.map(({ address }) => address));
      after = page.next;
    }
    expect(listed).toEqual(all);
    expect(pages).toBe(Math.ceil(all.length / limit));
  }
});
