import { describe, expect, test } from "vitest";
import type { PastFlows } from "../../core/channels/discovery.ts";
import type { Effect } from "../../core/effects.ts";
import { PAST_DIALERS_MAX } from "../../core/limits.ts";
import { createRng } from "../../core/rng.ts";
import { SortedMap } from "../../core/sorted-map.ts";
import { bytes32 } from "../testing/chain.ts";
import { party, type TestNode, testNode } from "../testing/node.ts";
import { closeTransport, liveOf, readyPeer, type TestPeer } from "../testing/peers.ts";
import {
  ENVELOPE,
  OTHER_ENVELOPE,
  onDiscovery,
  onExchange,
  peersNamed,
  relayed,
  relayNode,
  tagsTo,
} from "../testing/relays.ts";
import { endReason, sentOn } from "../testing/results.ts";
import { keptAlive } from "../testing/streams.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;

interface Scene {
  readonly node: TestNode;
  readonly dialer: TestPeer;
  readonly listener: TestPeer;
  readonly pass: (ms: number) => readonly Effect[];
}

/** We relay between a dialer and a listener who has given us a permit. */
function scene(): Scene {
  const node = relayNode();
  const peers = peersNamed(node, ["dialer", "listener"]);
  const [dialer, listener] = peers as [TestPeer, TestPeer];
  onExchange(node, listener, { tag: "getNext" });
  return { node, dialer, listener, pass: (ms) => keptAlive(node, peers, ms) };
}

const discover = ({ node, dialer }: Scene) => onDiscovery(node, dialer, { tag: "discover" });
const accept = ({ node, dialer }: Scene) => onDiscovery(node, dialer, { tag: "accept", offer: ENVELOPE });
const reject = ({ node, dialer }: Scene) => onDiscovery(node, dialer, { tag: "reject" });
const NONE = { tag: "answer", reply: null } as const;

describe("relay: a flow", () => {
  test("Discover is answered with the listener, Accept becomes an Offer in the dialer's name, the Answer goes back", () => {
    const flow = scene();
    const { node, dialer, listener } = flow;
    expect(relayed(discover(flow).effects, dialer)).toEqual([
      { tag: "discovered", target: listener.publicKey },
    ]);
    const { effects } = accept(flow);
    expect(relayed(effects, listener)).toEqual([{ tag: "offer", from: dialer.publicKey, offer: ENVELOPE }]);
    expect(tagsTo(effects, dialer)).toEqual([]);
    const answered = onExchange(node, listener, { tag: "answer", reply: OTHER_ENVELOPE });
    expect(relayed(answered.effects, dialer)).toEqual([{ tag: "answer", reply: OTHER_ENVELOPE }]);
  });

  test("with nobody to be found the Answer is None, at once", () => {
    const node = relayNode();
    const only = readyPeer(node, "only");
    expect(relayed(onDiscovery(node, only, { tag: "discover" }).effects, only)).toEqual([NONE]);
  });

  test("the next permit is given 10 s after the end, not before and not twice", () => {
    const flow = scene();
    discover(flow);
    accept(flow);
    onExchange(flow.node, flow.listener, NONE);
    expect(tagsTo(flow.pass(10 * SECOND_MS - 1), flow.dialer)).toEqual([]);
    expect(tagsTo(flow.pass(1), flow.dialer)).toEqual(["getNext"]);
    const later = sentOn(flow.pass(5 * MINUTE_MS), flow.dialer.attemptId);
    expect(later.filter(({ channel }) => channel === "signaling/discovery")).toEqual([]);
  });

  test.each([
    ["Rejects", (node: TestNode, dialer: TestPeer) => void onDiscovery(node, dialer, { tag: "reject" })],
    [
      "flows without Accept or Reject",
      (node: TestNode, _dialer: TestPeer, peers: readonly TestPeer[]) =>
        void keptAlive(node, peers, 30 * SECOND_MS),
    ],
  ])("after three %s in a row the next permit takes 60 s, and then they count anew", (_name, decline) => {
    const node = relayNode();
    const peers = peersNamed(node, ["dialer", "a", "b", "c", "d", "e"]);
    const [dialer, ...listeners] = peers as [TestPeer, ...TestPeer[]];
    const pauses: number[] = [];
    for (let count = 0; count < 5; count++) {
      for (const listener of listeners)
        if (!isHeld(node, listener)) onExchange(node, listener, { tag: "getNext" });
      const asked = onDiscovery(node, dialer, { tag: "discover" });
      expect(tagsTo(asked.effects, dialer)).toEqual(["discovered"]);
      decline(node, dialer, peers);
      const startMs = node.nowMs;
      while (!tagsTo(keptAlive(node, peers, SECOND_MS), dialer).includes("getNext"));
      pauses.push((node.nowMs - startMs) / SECOND_MS);
    }
    expect(pauses).toEqual([10, 10, 60, 10, 10]);
  });
});

describe("relay: only our clock ends a flow", () => {
  test("after 30 s without a decision the Answer is None, and the listener serves others", () => {
    const flow = scene();
    const { node, dialer, listener } = flow;
    discover(flow);
    expect(tagsTo(flow.pass(30 * SECOND_MS - 1), dialer)).toEqual([]);
    expect(relayed(flow.pass(1), dialer)).toEqual([NONE]);
    const other = readyPeer(node, "other");
    expect(tagsTo(onDiscovery(node, other, { tag: "discover" }).effects, other)).toEqual(["discovered"]);
    expect(liveOf(node, listener)?.exchange?.theirs.tag).toBe("kept");
  });

  test("the 30 s are those of the flow, not of each of its steps", () => {
    const flow = scene();
    discover(flow);
    flow.pass(29 * SECOND_MS);
    accept(flow);
    expect(relayed(flow.pass(SECOND_MS), flow.dialer)).toEqual([NONE]);
  });

  test.each([false, true])(
    "who says nothing twice in a row is not told of that listener for 10 min; if it leaves just before: %s",
    (leaves) => {
      const flow = scene();
      const { node, listener } = flow;
      const isNamed = (dialer: TestPeer): boolean => {
        if (!isHeld(node, listener)) onExchange(node, listener, { tag: "getNext" });
        return tagsTo(onDiscovery(node, dialer, { tag: "discover" }).effects, dialer).includes("discovered");
      };
      expect(isNamed(flow.dialer)).toBe(true);
      flow.pass(40 * SECOND_MS);
      expect(isNamed(flow.dialer)).toBe(true);
      const namedMs = node.nowMs;
      flow.pass(29 * SECOND_MS);
      if (leaves) closeTransport(node, flow.dialer.attemptId);
      else flow.pass(SECOND_MS);
      const dialer = leaves ? readyPeer(node, "dialer") : flow.dialer;
      do keptAlive(node, [dialer, listener], 10 * SECOND_MS);
      while (!isNamed(dialer));
      expect(node.nowMs).toBeGreaterThanOrEqual(namedMs + 29 * SECOND_MS + 10 * MINUTE_MS);
    },
  );

  test("an Accept that comes too late once costs a pause of 10 s, also where nobody else can be named", () => {
    const flow = scene();
    const { node, dialer, listener } = flow;
    discover(flow);
    flow.pass(30 * SECOND_MS);
    accept(flow);
    expect(tagsTo(flow.pass(10 * SECOND_MS), dialer)).toEqual(["getNext"]);
    onExchange(node, listener, { tag: "getNext" });
    expect(tagsTo(discover(flow).effects, dialer)).toEqual(["discovered"]);
    expect(tagsTo(accept(flow).effects, listener)).toEqual(["offer"]);
    expect(liveOf(node, dialer)?.discovery?.ours.past.rejects).toBe(0);
  });

  test.each(["accept", "reject"] as const)(
    "one %s that crosses the Answer is ignored, a second is badState",
    (tag) => {
      const flow = scene();
      const say = tag === "accept" ? accept : reject;
      discover(flow);
      flow.pass(30 * SECOND_MS);
      const crossed = say(flow);
      expect(endReason(crossed)).toBeUndefined();
      expect(tagsTo(crossed.effects, flow.listener)).toEqual([]);
      expect(endReason(say(flow))).toBe("badState");
    },
  );

  test("a crossing decision may come after the next permit was sent, but not after it was used", () => {
    const late = scene();
    discover(late);
    late.pass(40 * SECOND_MS);
    expect(endReason(accept(late))).toBeUndefined();
    const later = scene();
    discover(later);
    later.pass(76 * SECOND_MS);
    expect(tagsTo(discover(later).effects, later.dialer)).toEqual(["answer"]);
    expect(endReason(accept(later))).toBe("badState");
  });

  test("nothing crosses an Answer to an offer that we have passed on", () => {
    const flow = scene();
    discover(flow);
    accept(flow);
    flow.pass(30 * SECOND_MS);
    expect(endReason(accept(flow))).toBe("badState");
  });

  test("an Answer of the listener after that is heard by nobody, and ends its flow", () => {
    const flow = scene();
    const { node, dialer, listener } = flow;
    discover(flow);
    accept(flow);
    flow.pass(30 * SECOND_MS);
    const late = onExchange(node, listener, { tag: "answer", reply: OTHER_ENVELOPE });
    expect(tagsTo(late.effects, dialer)).toEqual([]);
    expect(endReason(onExchange(node, listener, { tag: "getNext" }))).toBeUndefined();
    flow.pass(15 * SECOND_MS);
    expect(tagsTo(discover(flow).effects, dialer)).toEqual(["discovered"]);
  });

  test("a dialer that is told of another listener meanwhile does not get the late Answer of the first", () => {
    const flow = scene();
    const { node, dialer, listener } = flow;
    const second = readyPeer(node, "second listener");
    discover(flow);
    accept(flow);
    keptAlive(node, [dialer, listener, second], 45 * SECOND_MS);
    onExchange(node, second, { tag: "getNext" });
    expect(relayed(discover(flow).effects, dialer)).toEqual([
      { tag: "discovered", target: second.publicKey },
    ]);
    accept(flow);
    const late = onExchange(node, listener, { tag: "answer", reply: OTHER_ENVELOPE });
    expect(tagsTo(late.effects, dialer)).toEqual([]);
    const right = onExchange(node, second, { tag: "answer", reply: ENVELOPE });
    expect(relayed(right.effects, dialer)).toEqual([{ tag: "answer", reply: ENVELOPE }]);
  });

  test.each([false, true])(
    "a listener that leaves ends the flow by Answer None at once; with the offer: %s",
    (hasOffer) => {
      const flow = scene();
      discover(flow);
      if (hasOffer) accept(flow);
      expect(relayed(closeTransport(flow.node, flow.listener.attemptId).effects, flow.dialer)).toEqual([
        NONE,
      ]);
      expect(tagsTo(flow.pass(10 * SECOND_MS), flow.dialer)).toEqual(["getNext"]);
    },
  );

  test("a dialer that leaves before its offer gives the listener's permit back", () => {
    const flow = scene();
    discover(flow);
    closeTransport(flow.node, flow.dialer.attemptId);
    const other = readyPeer(flow.node, "other");
    const { effects } = onDiscovery(flow.node, other, { tag: "discover" });
    expect(relayed(effects, other)).toEqual([{ tag: "discovered", target: flow.listener.publicKey }]);
  });

  test("a dialer that leaves after its offer: the Answer goes nowhere, the next permit is for others", () => {
    const flow = scene();
    const { node, listener } = flow;
    discover(flow);
    accept(flow);
    closeTransport(node, flow.dialer.attemptId);
    const { effects } = onExchange(node, listener, { tag: "answer", reply: OTHER_ENVELOPE });
    expect(effects.filter(({ type }) => type === "effect/send")).toEqual([]);
    onExchange(node, listener, { tag: "getNext" });
    const other = readyPeer(node, "other");
    expect(tagsTo(onDiscovery(node, other, { tag: "discover" }).effects, other)).toEqual(["discovered"]);
  });
});

describe("relay: permits of listeners", () => {
  test("one older than 45 s is not used any more, and the next takes its place", () => {
    const young = scene();
    young.pass(45 * SECOND_MS - 1);
    expect(tagsTo(discover(young).effects, young.dialer)).toEqual(["discovered"]);
    const old = scene();
    old.pass(45 * SECOND_MS);
    expect(tagsTo(discover(old).effects, old.dialer)).toEqual(["answer"]);
    expect(endReason(onExchange(old.node, old.listener, { tag: "getNext" }))).toBeUndefined();
    old.pass(10 * SECOND_MS);
    expect(tagsTo(discover(old).effects, old.dialer)).toEqual(["discovered"]);
  });

  test("an Accept that comes when the permit is 60 s old is answered None: the listener would do so too", () => {
    const flow = scene();
    flow.pass(44 * SECOND_MS);
    discover(flow);
    flow.pass(16 * SECOND_MS);
    const { effects } = accept(flow);
    expect(relayed(effects, flow.dialer)).toEqual([NONE]);
    expect(tagsTo(effects, flow.listener)).toEqual([]);
    expect(endReason(accept(flow))).toBe("badState");
  });

  test.each([
    ["may be used", () => {}],
    ["is kept for a dialer", discover],
    [
      "is used",
      (flow: Scene) => {
        discover(flow);
        accept(flow);
      },
    ],
  ])("a second GetNext within 10 s is overLimit, a later one a renewal, while the first %s", (_name, use) => {
    for (const [ms, reason] of [
      [10 * SECOND_MS - 1, "overLimit"],
      [10 * SECOND_MS, undefined],
    ] as const) {
      const flow = scene();
      use(flow);
      flow.pass(ms);
      expect(endReason(onExchange(flow.node, flow.listener, { tag: "getNext" }))).toBe(reason);
      if (reason === undefined)
        expect(endReason(onExchange(flow.node, flow.listener, { tag: "getNext" }))).toBe("overLimit");
    }
  });

  test("a GetNext that crosses an Offer is the permit for it: one Answer ends the flow, and the next is given", () => {
    const flow = scene();
    const { node, dialer, listener } = flow;
    discover(flow);
    flow.pass(15 * SECOND_MS);
    accept(flow);
    onExchange(node, listener, { tag: "getNext" });
    const { effects } = onExchange(node, listener, { tag: "answer", reply: OTHER_ENVELOPE });
    expect(relayed(effects, dialer)).toEqual([{ tag: "answer", reply: OTHER_ENVELOPE }]);
    expect(liveOf(node, listener)?.exchange?.theirs).toEqual({ tag: "none" });
    expect(endReason(onExchange(node, listener, { tag: "getNext" }))).toBeUndefined();
  });

  test("a GetNext after 45 s renews a permit that is kept for a dialer: the flow goes on", () => {
    const flow = scene();
    flow.pass(40 * SECOND_MS);
    discover(flow);
    flow.pass(25 * SECOND_MS);
    expect(endReason(onExchange(flow.node, flow.listener, { tag: "getNext" }))).toBeUndefined();
    expect(tagsTo(accept(flow).effects, flow.listener)).toEqual(["offer"]);
  });
});

describe("relay: violations", () => {
  test("Discover without a permit is noPermit", () => {
    const flow = scene();
    discover(flow);
    expect(endReason(discover(flow))).toBe("noPermit");
    const paused = scene();
    discover(paused);
    reject(paused);
    paused.pass(9 * SECOND_MS);
    expect(endReason(discover(paused))).toBe("noPermit");
  });

  test.each([
    ["Accept without Discovered", accept],
    ["Reject without Discovered", reject],
  ])("%s is badState", (_name, say) => {
    expect(endReason(say(scene()))).toBe("badState");
  });

  test.each([
    ["Accept after Accept", accept, accept],
    ["Reject after Accept", accept, reject],
    ["Reject after Reject", reject, reject],
    ["Accept after Reject", reject, accept],
  ])("%s is badState", (_name, first, second) => {
    const flow = scene();
    discover(flow);
    first(flow);
    expect(endReason(second(flow))).toBe("badState");
  });

  test("an Answer without an Offer, and a second one, are badState", () => {
    const flow = scene();
    expect(endReason(onExchange(flow.node, flow.listener, NONE))).toBe("badState");
    const twice = scene();
    discover(twice);
    accept(twice);
    onExchange(twice.node, twice.listener, NONE);
    expect(endReason(onExchange(twice.node, twice.listener, NONE))).toBe("badState");
  });
});

describe("P12: matching is fair", () => {
  test("P12: a dialer has one listener at a time, and one that is being offered goes to nobody else", () => {
    const node = relayNode();
    const [a, b, c, l, m] = peersNamed(node, ["a", "b", "c", "l", "m"]) as [
      TestPeer,
      TestPeer,
      TestPeer,
      TestPeer,
      TestPeer,
    ];
    for (const listener of [l, m]) onExchange(node, listener, { tag: "getNext" });
    const told = [a, b, c].map((dialer) =>
      relayed(onDiscovery(node, dialer, { tag: "discover" }).effects, dialer),
    );
    const targets = told.slice(0, 2).flatMap(([said]) => (said?.tag === "discovered" ? [said.target] : []));
    expect([...targets].sort()).toEqual([l.publicKey, m.publicKey].sort());
    expect(told[2]).toEqual([NONE]);
  });

  test("P12: who asks and says nothing keeps a listener from others twice in 10 min, also if it always asks first", () => {
    const node = relayNode();
    const peers = peersNamed(node, ["listener", "honest", "a", "b", "c", "d", "e", "f"]);
    const [listener, honest, ...silent] = peers as [TestPeer, TestPeer, ...TestPeer[]];
    let named = 0;
    for (let second = 0; second < 20 * 60; second++) {
      if (!isHeld(node, listener)) onExchange(node, listener, { tag: "getNext" });
      for (const dialer of [...silent, honest])
        if (liveOf(node, dialer)?.discovery?.ours.tag === "permitGiven")
          onDiscovery(node, dialer, { tag: "discover" });
      if (liveOf(node, honest)?.discovery?.ours.tag === "discovered") {
        named += 1;
        onDiscovery(node, honest, { tag: "accept", offer: ENVELOPE });
        onExchange(node, listener, NONE);
      }
      keptAlive(node, peers, SECOND_MS);
    }
    // 24 times 30 s are lost to the silent ones; of the rest there is a flow in each 10 s at most.
    expect(named).toBeGreaterThanOrEqual(48);
  });

  test("P12: nobody is told of himself", () => {
    const node = relayNode();
    const only = readyPeer(node, "only");
    onExchange(node, only, { tag: "getNext" });
    expect(relayed(onDiscovery(node, only, { tag: "discover" }).effects, only)).toEqual([NONE]);
  });

  test("P12: each listener comes as often as any other, by the generator of the node", () => {
    const names = ["a", "b", "c", "d"];
    const counts = new Map(names.map((name) => [party(name).publicKey, 0]));
    const prepared = relayNode();
    const [dialer] = peersNamed(prepared, ["dialer"]) as [TestPeer];
    for (const listener of peersNamed(prepared, names)) onExchange(prepared, listener, { tag: "getNext" });
    const draws = 2_000;
    for (let draw = 0; draw < draws; draw++) {
      const node = prepared.at({ ...prepared.state, rng: createRng(bytes32(`draw ${draw}`)) });
      const [said] = relayed(onDiscovery(node, dialer, { tag: "discover" }).effects, dialer);
      if (said?.tag === "discovered") counts.set(said.target, (counts.get(said.target) ?? 0) + 1);
    }
    for (const count of counts.values()) {
      expect(count).toBeGreaterThan(draws / names.length - 100);
      expect(count).toBeLessThan(draws / names.length + 100);
    }
  });
});

describe("P36: what a dialer gets", () => {
  test("a listener that was rejected is not named again for 10 min; others are", () => {
    const node = relayNode();
    const peers = peersNamed(node, ["dialer", "a", "b"]);
    const [dialer, ...listeners] = peers as [TestPeer, TestPeer, TestPeer];
    const ask = (): string | null => {
      for (const listener of listeners)
        if (!isHeld(node, listener)) onExchange(node, listener, { tag: "getNext" });
      const [said] = relayed(onDiscovery(node, dialer, { tag: "discover" }).effects, dialer);
      return said?.tag === "discovered" ? said.target : null;
    };
    const first = ask();
    onDiscovery(node, dialer, { tag: "reject" });
    const rejectedMs = node.nowMs;
    const others = listeners.map(({ publicKey }) => publicKey).filter((key) => key !== first);
    while (node.nowMs < rejectedMs + 10 * MINUTE_MS - 20 * SECOND_MS) {
      keptAlive(node, peers, 11 * SECOND_MS);
      expect(others).toContain(ask());
      onDiscovery(node, dialer, { tag: "accept", offer: ENVELOPE });
      for (const listener of listeners)
        if (liveOf(node, listener)?.exchange?.theirs.tag === "offered") onExchange(node, listener, NONE);
    }
    keptAlive(node, peers, 20 * SECOND_MS);
    const later = new Set<string | null>();
    for (let count = 0; count < 12; count++) {
      later.add(ask());
      onDiscovery(node, dialer, { tag: "accept", offer: ENVELOPE });
      for (const listener of listeners)
        if (liveOf(node, listener)?.exchange?.theirs.tag === "offered") onExchange(node, listener, NONE);
      keptAlive(node, peers, 11 * SECOND_MS);
    }
    expect(later).toContain(first);
  });

  test("P36: one offer per 10 s from a dialer to a listener and at most 20 per minute, also if it keeps coming back", () => {
    const node = relayNode();
    const listeners = peersNamed(node, ["l", "m", "n"]);
    const offersMs = new Map<string, number[]>();
    const hear = (effects: readonly Effect[]): void => {
      for (const listener of listeners) {
        const count = tagsTo(effects, listener).filter((tag) => tag === "offer").length;
        const times = offersMs.get(listener.publicKey) ?? [];
        for (let index = 0; index < count; index++) times.push(node.nowMs);
        offersMs.set(listener.publicKey, times);
        if (count > 0) onExchange(node, listener, NONE);
        if (!isHeld(node, listener)) onExchange(node, listener, { tag: "getNext" });
      }
    };
    hear([]);
    const endMs = node.nowMs + 3 * MINUTE_MS;
    while (node.nowMs < endMs) {
      const dialer = readyPeer(node, "dialer", { remoteAddress: "30.0.0.1" });
      for (const tag of ["discover", "accept"] as const) {
        const flow = liveOf(node, dialer)?.discovery?.ours.tag;
        if (tag === "discover" && flow === "permitGiven") hear(onDiscovery(node, dialer, { tag }).effects);
        if (tag === "accept" && flow === "discovered")
          hear(onDiscovery(node, dialer, { tag, offer: ENVELOPE }).effects);
      }
      closeTransport(node, dialer.attemptId);
      keptAlive(node, listeners, SECOND_MS);
      hear([]);
    }
    const all = [...offersMs.values()];
    for (const times of all)
      for (const [index, atMs] of times.entries())
        expect((times[index + 1] ?? Number.POSITIVE_INFINITY) - atMs).toBeGreaterThanOrEqual(10 * SECOND_MS);
    const merged = all.flat().sort((a, b) => a - b);
    expect(merged.length).toBeGreaterThan(10);
    for (const atMs of merged)
      expect(merged.filter((other) => other >= atMs && other < atMs + MINUTE_MS).length).toBeLessThanOrEqual(
        20,
      );
  });

  test("a pause goes on for a dialer that comes back, and nothing is held of it when it means nothing any more", () => {
    const flow = scene();
    const { node, listener } = flow;
    discover(flow);
    accept(flow);
    closeTransport(node, flow.dialer.attemptId);
    keptAlive(node, [listener], 4 * SECOND_MS);
    const again = readyPeer(node, "dialer");
    expect(liveOf(node, again)?.discovery?.ours.tag).toBe("idle");
    keptAlive(node, [listener, again], 6 * SECOND_MS);
    expect(liveOf(node, again)?.discovery?.ours.tag).toBe("permitGiven");
    closeTransport(node, again.attemptId);
    expect(node.state.pastDialers.size).toBe(0);
  });

  test("a dialer that leaves is remembered however many are, in the place of the one that is forgotten first", () => {
    const past = { pausedUntilMs: 0, crossed: false, rejects: 0 };
    const until = (ms: number): PastFlows => ({ ...past, offeredUntilMs: [[party("anybody").peerId, ms]] });
    const names = Array.from({ length: PAST_DIALERS_MAX }, (_, index) => party(`past ${index}`).peerId);
    const endMs = relayNode().nowMs + 5 * MINUTE_MS;
    const node = testNode(
      {},
      "us",
      () => {},
      (state) => ({
        ...state,
        pastDialers: SortedMap.from(
          names.map((peerId, index) => [peerId, until(endMs + Math.abs(index - 500))]),
        ),
      }),
    );
    const [dialer, listener] = peersNamed(node, ["dialer", "listener"]) as [TestPeer, TestPeer];
    onExchange(node, listener, { tag: "getNext" });
    onDiscovery(node, dialer, { tag: "discover" });
    onDiscovery(node, dialer, { tag: "reject" });
    closeTransport(node, dialer.attemptId);
    expect(node.state.pastDialers.size).toBe(PAST_DIALERS_MAX);
    expect(names.filter((peerId) => !node.state.pastDialers.has(peerId))).toEqual([names[500]]);
    const again = readyPeer(node, "dialer");
    expect(liveOf(node, again)?.discovery?.ours.tag).toBe("idle");
    keptAlive(node, [listener, again], 10 * SECOND_MS);
    expect(relayed(onDiscovery(node, again, { tag: "discover" }).effects, again)).toEqual([NONE]);
  });
});

const isHeld = (node: TestNode, listener: TestPeer): boolean => {
  const theirs = liveOf(node, listener)?.exchange?.theirs;
  if (theirs?.tag === "none" || theirs === undefined) return false;
  return theirs.tag === "offered" || node.nowMs < theirs.sinceMs + 45 * SECOND_MS;
};
