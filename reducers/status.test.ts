import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { countPeers, nonceAfterPool, peerStateOf, poolDigest } from "./status.ts";
import { itemOf, submit } from "./testing/items.ts";
import { freshRequestId, party, testNode } from "./testing/node.ts";
import { closeTransport, readyPeer } from "./testing/peers.ts";
import { dialTo, knock, offerFrom } from "./testing/signals.ts";

test("status: counts tell ready peers from half-open ones, and forget those that end", () => {
  const node = testNode();
  expect(countPeers(node.state)).toEqual({ connected: 0, connecting: 0, max: node.state.config.peersMax });
  const { attemptId, peerId } = readyPeer(node, "a");
  dialTo(node, party("b"));
  offerFrom(node, party("c"));
  knock(node);
  expect(countPeers(node.state)).toMatchObject({ connected: 1, connecting: 3 });
  node.feed({ type: "command/disconnect", requestId: freshRequestId(), peerId });
  expect(countPeers(node.state)).toMatchObject({ connected: 0, connecting: 3 });
  closeTransport(node, attemptId);
  expect(countPeers(node.state)).toMatchObject({ connected: 0, connecting: 3 });
});

test("status: a peer is dialing, answering or ready", () => {
  const node = testNode();
  readyPeer(node, "a");
  dialTo(node, party("b"));
  offerFrom(node, party("c"));
  const states = ["a", "b", "c"].map((name) => {
    const peer = node.state.peers.get(party(name).peerId);
    return peer === undefined ? undefined : peerStateOf(peer);
  });
  expect(states).toEqual(["ready", "dialing", "answering"]);
});

test("status: the digest of a pool is SHA-256 over its sorted hashes, whatever the order of arrival", () => {
  const items = ["x", "y", "z"].map((name) => itemOf(name));
  const hash = createHash("sha256");
  for (const one of items.map(({ info }) => info.hash).sort()) hash.update(Buffer.from(one, "hex"));
  const expected = hash.digest("hex");
  for (const order of [items, [...items].reverse()]) {
    const node = testNode();
    submit(node, order);
    expect(poolDigest(node.state.pools.transaction)).toBe(expected);
  }
});

test("status: the next nonce of a sender is above all its transactions in the pool", () => {
  const node = testNode();
  const of = (nonce: number, sender: string) => itemOf(`${sender} ${nonce}`, 5n, nonce, sender);
  const [s, t] = [of(0, "s").info.sender, of(0, "t").info.sender];
  expect(nonceAfterPool(node.state.pools.transaction, s)).toBe(0);
  submit(node, [of(9, "s"), of(100, "s"), of(10, "s"), of(3, "t"), of(4_294_967_295, "u")]);
  expect(nonceAfterPool(node.state.pools.transaction, s)).toBe(101);
  expect(nonceAfterPool(node.state.pools.transaction, t)).toBe(4);
  expect(nonceAfterPool(node.state.pools.transaction, "00".repeat(32))).toBe(0);
});
