import { describe, expect, test } from "vitest";
import { hear } from "../../core/address-book.ts";
import type { Effect } from "../../core/effects.ts";
import { BOOK_IDLE_MS, DISCOVERY_PAUSE_MS, ROTATE_MS } from "../../core/limits.ts";
import { SortedMap } from "../../core/sorted-map.ts";
import type { Config } from "../../core/state.ts";
import { freshRequestId, party, type TestNode } from "../testing/node.ts";
import {
  channelsWithout,
  closeTransport,
  dialedPeer,
  liveOf,
  openTransport,
  readyPeer,
  sayHello,
  type TestPeer,
} from "../testing/peers.ts";
import { onDiscovery, peersNamed, relayed, relayNode, tagsTo, takenOffer } from "../testing/relays.ts";
import { effectsOf } from "../testing/results.ts";
import { addressOf } from "../testing/signals.ts";
import { keptAlive } from "../testing/streams.ts";

const TARGET = party("target");
const SECOND_MS = 1_000;
const LOOK_MS = BOOK_IDLE_MS;

interface Scene {
  readonly node: TestNode;
  readonly relays: readonly TestPeer[];
  readonly pass: (ms: number) => readonly Effect[];
}

/** A node with as many peers as it wants, of whom these relay; its book is empty, and so is that of all others. */
function settled(names: readonly string[], config: Partial<Config> = {}): Scene {
  const node = relayNode({ peersMin: 1, peersMax: 16, ...config });
  const relays = peersNamed(node, names);
  const pass = (ms: number) => keptAlive(node, relays, ms);
  pass(LOOK_MS);
  for (const relay of relays) onDiscovery(node, relay, { tag: "getNext" });
  return { node, relays, pass };
}

const asked = (effects: readonly Effect[], relays: readonly TestPeer[]): readonly TestPeer[] =>
  relays.filter((relay) => tagsTo(effects, relay).includes("discover"));

/** One relay has been asked, in rotation. */
function rotating(scene: Scene): TestPeer {
  for (const endMs = scene.node.nowMs + ROTATE_MS + LOOK_MS; scene.node.nowMs < endMs; ) {
    const [relay, ...others] = asked(scene.pass(SECOND_MS), scene.relays);
    if (others.length > 0) throw new Error("one relay is asked");
    if (relay !== undefined) return relay;
  }
  throw new Error("nobody is asked");
}

const name = ({ node }: Scene, relay: TestPeer, target = TARGET.publicKey) =>
  onDiscovery(node, relay, { tag: "discovered", target });

/** The relay names somebody, who takes the offer and is ready, and cannot be asked for addresses. */
function namedPeer(node: TestNode, relay: TestPeer, own: string): TestPeer {
  const peer = takenOffer(node, relay, own);
  openTransport(node, peer.attemptId);
  sayHello(node, peer.attemptId, channelsWithout("rpc"));
  return peer;
}

const here = (node: TestNode, peers: readonly TestPeer[]): readonly boolean[] =>
  peers.map((peer) => liveOf(node, peer) !== undefined);

describe("rotation by relay", () => {
  test("a node that lacks nobody asks one relay every 5 minutes, not before", () => {
    const scene = settled(["a", "b", "c"]);
    for (let round = 0; round < 4; round++) {
      expect(asked(scene.pass(ROTATE_MS - LOOK_MS), scene.relays)).toEqual([]);
      const relay = rotating(scene);
      onDiscovery(scene.node, relay, { tag: "answer", reply: null });
      onDiscovery(scene.node, relay, { tag: "getNext" });
    }
  });

  test("the offer is made to whom the relay names, once: after that nobody is lacking", () => {
    const scene = settled(["a", "b"]);
    const relay = rotating(scene);
    expect(effectsOf(name(scene, relay).effects, "effect/createOffer").length).toBe(1);
    const effects = onDiscovery(scene.node, relay, { tag: "answer", reply: null }).effects;
    expect(asked(effects, scene.relays)).toEqual([]);
    expect(asked(scene.pass(ROTATE_MS - LOOK_MS), scene.relays)).toEqual([]);
  });

  test("a relay that knows nobody is not followed by another", () => {
    const scene = settled(["a", "b"]);
    const { effects } = onDiscovery(scene.node, rotating(scene), { tag: "answer", reply: null });
    expect(asked(effects, scene.relays)).toEqual([]);
  });

  test("whom we are connected with, or cannot hold, is rejected", () => {
    const scene = settled(["a", "b"]);
    const relay = rotating(scene);
    const [known] = scene.relays.filter((other) => other !== relay);
    expect(relayed(name(scene, relay, known?.publicKey).effects, relay)).toEqual([{ tag: "reject" }]);
    const full = settled(["a", "b"], { peersMax: 3 });
    const asking = rotating(full);
    readyPeer(full.node, "the last one");
    expect(relayed(name(full, asking).effects, asking)).toEqual([{ tag: "reject" }]);
  });

  test("a full node asks nobody, nor does one that has not been told to look for peers", () => {
    for (const config of [{ peersMax: 2 }, { peersMin: 0 }]) {
      const scene = settled(["a", "b"], config);
      expect(asked(scene.pass(2 * ROTATE_MS), scene.relays)).toEqual([]);
    }
  });

  test("P25: nobody is asked for who would take a slot that is kept for our own choice", () => {
    const names = ["a", "b", "c", "d", "e"];
    const full = settled([...names, "f"], { peersMax: 8 });
    expect(asked(full.pass(2 * ROTATE_MS), full.relays)).toEqual([]);
    rotating(settled(names, { peersMax: 8 }));
  });

  test("of too many of our own choice the worst leaves first, and is not the one that is asked", () => {
    const dialing = relayNode({ peersMin: 1, peersMax: 8 });
    // Two are kept free for our own dials, and the two oldest stay.
    const chosen = ["a", "b", "youngest"].map((own) => {
      dialing.pass(1);
      return dialedPeer(dialing, own);
    });
    const youngest = chosen[2] as TestPeer;
    // As if the node had found them itself.
    const node = dialing.at({ ...dialing.state, targets: SortedMap.empty() });
    keptAlive(node, chosen, LOOK_MS);
    onDiscovery(node, youngest, { tag: "getNext" });
    const effects = keptAlive(node, chosen, ROTATE_MS + LOOK_MS);
    expect(liveOf(node, youngest)).toBeUndefined();
    expect(node.state.endings["us useless"]).toBe(1);
    expect(asked(effects, chosen)).toEqual([]);
  });

  test("of whom relays have named the worst leaves before the next is asked for; nobody, if none was found", () => {
    const { node, relays } = settled(["a", "b"], { peersMin: 5 });
    const found: TestPeer[] = [];
    const pass = (ms: number) => keptAlive(node, [...relays, ...found], ms);
    const findWith = (relay: TestPeer, own: string): void => {
      found.push(namedPeer(node, relay, own));
      onDiscovery(node, relay, { tag: "getNext" });
    };
    for (const own of ["lacking", "also lacking", "last lacking"]) {
      const relay = relays.find((one) => liveOf(node, one)?.discovery?.theirs.tag === "asked");
      findWith(relay as TestPeer, own);
      pass(DISCOVERY_PAUSE_MS);
    }
    found.push(readyPeer(node, "comes by itself", { remoteAddress: "20.9.0.1" }));
    const useless = rotating({ node, relays, pass });
    onDiscovery(node, useless, { tag: "answer", reply: null });
    onDiscovery(node, useless, { tag: "getNext" });
    for (const own of ["tried", "tried next", "tried last"]) findWith(rotating({ node, relays, pass }), own);
    expect(here(node, found)).toEqual([true, true, true, true, false, false, true]);
    expect(node.state.endings["us useless"]).toBe(2);
    for (const relay of relays) expect(liveOf(node, relay)).toBeDefined();
  });

  test("an address at which nobody is, and which is tried now and then, keeps nobody that a relay has named", () => {
    const scene = settled(["a", "b"]);
    const { relays } = scene;
    const address = { ...addressOf(party("dead")), host: "90.1.0.1" };
    const source = { peerId: party("teller").peerId, remoteAddress: "20.9.0.1" };
    const { state } = scene.node;
    const addresses = hear(state.book.addresses, address, source);
    const node = scene.node.at({ ...state, book: { ...state.book, addresses } });
    const found: TestPeer[] = [];
    for (const endMs = node.nowMs + 24 * ROTATE_MS; node.nowMs < endMs; ) {
      const effects = keptAlive(node, [...relays, ...found], SECOND_MS);
      for (const { attemptId } of effectsOf(effects, "effect/createOffer")) closeTransport(node, attemptId);
      const [relay] = asked(effects, relays);
      if (relay === undefined) continue;
      found.push(namedPeer(node, relay, `found ${found.length}`));
      onDiscovery(node, relay, { tag: "getNext" });
    }
    expect(found.length).toBeGreaterThan(6);
    expect(here(node, found).filter(Boolean).length).toBeLessThanOrEqual(2);
  });

  test("a peer that the operator wants stays, though a relay has named it", () => {
    const { node, relays } = settled(["a", "b"]);
    const found: TestPeer[] = [];
    const pass = (ms: number) => keptAlive(node, [...relays, ...found], ms);
    found.push(namedPeer(node, rotating({ node, relays, pass }), "wanted"));
    const address = addressOf(party("wanted"));
    node.feed({ type: "command/dial", requestId: freshRequestId(), address });
    pass(2 * ROTATE_MS);
    expect(here(node, found)).toEqual([true]);
  });

  test("a relay is asked although the book has addresses, if none of them may be dialed now", () => {
    const node = relayNode({ peersMin: 1, peersMax: 16 });
    const peers = [dialedPeer(node, "known"), readyPeer(node, "relay")] as const;
    keptAlive(node, peers, LOOK_MS);
    expect(node.state.book.addresses.entries.size).toBe(1);
    onDiscovery(node, peers[1], { tag: "getNext" });
    expect(asked(keptAlive(node, peers, ROTATE_MS + LOOK_MS), peers)).toEqual([peers[1]]);
  });
});

describe("rotation by relay: a peer that leaves meanwhile", () => {
  test("who was asked for in rotation takes its place: no other relay is asked", () => {
    const scene = settled(["a", "b", "c"], { peersMin: 3 });
    const relay = rotating(scene);
    const [leaving, staying] = scene.relays.filter((other) => other !== relay) as [TestPeer, TestPeer];
    const { effects } = closeTransport(scene.node, leaving.attemptId);
    expect(asked(effects, [staying])).toEqual([]);
    expect(effectsOf(name(scene, relay).effects, "effect/createOffer").length).toBe(1);
  });
});
