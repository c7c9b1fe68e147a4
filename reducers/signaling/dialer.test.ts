import { describe, expect, test } from "vitest";
import type { Effect } from "../../core/effects.ts";
import { peerPublicKey } from "../../core/identity.ts";
import type { AttemptId } from "../../core/ids.ts";
import { DISCOVERY_PAUSE_MS } from "../../core/limits.ts";
import { control, say } from "../testing/messages.ts";
import { party, type TestNode } from "../testing/node.ts";
import { closeTransport, liveOf, readyPeer, type TestPeer } from "../testing/peers.ts";
import { ENVELOPE, onDiscovery, peersNamed, relayed, relayNode, tagsTo } from "../testing/relays.ts";
import { effectOf, effectsOf, endReason, type Result } from "../testing/results.ts";
import { continueDial, rejectionOf } from "../testing/signals.ts";
import { keptAlive } from "../testing/streams.ts";

const SECOND_MS = 1_000;
const TARGET = party("target");

interface Scene {
  readonly node: TestNode;
  readonly relay: TestPeer;
  readonly pass: (ms: number) => readonly Effect[];
}

/** We lack a peer and have asked a relay for one. */
function asked(): Scene {
  const node = relayNode({ peersMin: 2 });
  const relay = readyPeer(node, "relay");
  onDiscovery(node, relay, { tag: "getNext" });
  return { node, relay, pass: (ms) => keptAlive(node, [relay], ms) };
}

interface Offering extends Scene {
  readonly attemptId: AttemptId;
  readonly effects: readonly Effect[];
}

/** The relay has named somebody, and our offer is being made. */
function offering(): Offering {
  const scene = asked();
  const { effects } = tell(scene);
  return { ...scene, effects, attemptId: effectOf(effects, "effect/createOffer").attemptId };
}

interface Accepted extends Offering {
  /** Of the offer's sealing. */
  readonly sent: readonly Effect[];
}

/** The relay has our offer. */
function accepted(): Accepted {
  const scene = offering();
  const sent = continueDial(scene.node, scene.attemptId, scene.effects, "awaitingReply");
  return { ...scene, sent };
}

const tell = ({ node, relay }: Scene, target = TARGET.publicKey): Result =>
  onDiscovery(node, relay, { tag: "discovered", target });

const answer = ({ node, relay }: Scene, reply: typeof ENVELOPE | null = null): Result =>
  onDiscovery(node, relay, { tag: "answer", reply });

const flowOf = ({ node, relay }: Scene) => liveOf(node, relay)?.discovery?.theirs.tag;

describe("dialer: when a permit is used", () => {
  test("a node with fewer peers than peersMin uses it, one with enough keeps it for later", () => {
    const lacking = relayNode({ peersMin: 2 });
    const relay = readyPeer(lacking, "relay");
    expect(tagsTo(onDiscovery(lacking, relay, { tag: "getNext" }).effects, relay)).toEqual(["discover"]);
    const content = relayNode({ peersMin: 2 });
    const [first, second] = peersNamed(content, ["first", "second"]) as [TestPeer, TestPeer];
    expect(tagsTo(onDiscovery(content, first, { tag: "getNext" }).effects, first)).toEqual([]);
    expect(tagsTo(closeTransport(content, second.attemptId).effects, first)).toEqual(["discover"]);
  });

  test.each(["a", "b"])(
    "no more relays are asked than peers are lacking, whoever gives the first permit: %s",
    (early) => {
      const node = relayNode({ peersMin: 3 });
      const [a, b] = peersNamed(node, ["a", "b"]) as [TestPeer, TestPeer];
      const [first, second] = early === "a" ? [a, b] : [b, a];
      expect(tagsTo(onDiscovery(node, first, { tag: "getNext" }).effects, first)).toEqual(["discover"]);
      expect(tagsTo(onDiscovery(node, second, { tag: "getNext" }).effects, second)).toEqual([]);
    },
  );

  test("after an Answer None or a Reject of ours the next relay is asked at once", () => {
    const node = relayNode({ peersMin: 4 });
    const relays = peersNamed(node, ["a", "b", "c"]) as [TestPeer, TestPeer, TestPeer];
    const askedNow = (effects: readonly Effect[]): TestPeer | undefined =>
      relays.find((relay) => tagsTo(effects, relay).includes("discover"));
    const [first] = relays;
    expect(askedNow(onDiscovery(node, first, { tag: "getNext" }).effects)).toBe(first);
    for (const relay of relays.slice(1)) onDiscovery(node, relay, { tag: "getNext" });
    const second = askedNow(onDiscovery(node, first, { tag: "answer", reply: null }).effects);
    if (second === undefined) throw new Error("nobody else is asked");
    const target = first.publicKey;
    const third = askedNow(onDiscovery(node, second, { tag: "discovered", target }).effects);
    expect(new Set([first, second, third]).size).toBe(3);
  });

  test("a relay that always gives its permit first is not the only one that is asked", () => {
    const node = relayNode({ peersMin: 3 });
    const [a, b] = peersNamed(node, ["a", "b"]) as [TestPeer, TestPeer];
    const counts = new Map([
      [a, 0],
      [b, 0],
    ]);
    for (const relay of [a, b]) onDiscovery(node, relay, { tag: "getNext" });
    for (let round = 0; round < 40; round++) {
      const relay = [a, b].find((one) => liveOf(node, one)?.discovery?.theirs.tag === "asked");
      if (relay === undefined) throw new Error("nobody is asked");
      counts.set(relay, (counts.get(relay) ?? 0) + 1);
      onDiscovery(node, relay, { tag: "answer", reply: null });
      keptAlive(node, [a, b], DISCOVERY_PAUSE_MS);
      onDiscovery(node, relay, { tag: "getNext" });
    }
    expect(counts.get(a)).toBe(20);
    expect(counts.get(b)).toBe(20);
  });

  test("peersMax is the limit of peersMin", () => {
    const node = relayNode({ peersMin: 9, peersMax: 2 });
    const [a] = peersNamed(node, ["a", "b"]) as [TestPeer, TestPeer];
    expect(tagsTo(onDiscovery(node, a, { tag: "getNext" }).effects, a)).toEqual([]);
  });

  test.each([
    ["what is kept for its own choice", 8, 6],
    ["the last slot, for which somebody would give way", 16, 11],
  ])("P25: a node that wants more asks for nobody who would take %s", (_what, peersMax, strangers) => {
    const askedWith = (count: number): readonly string[] => {
      const node = relayNode({ peersMin: peersMax, peersMax });
      const names = Array.from({ length: count }, (_, index) => `stranger ${index}`);
      const [relay] = peersNamed(node, names) as [TestPeer];
      return tagsTo(onDiscovery(node, relay, { tag: "getNext" }).effects, relay);
    };
    expect(askedWith(strangers - 1)).toEqual(["discover"]);
    expect(askedWith(strangers)).toEqual([]);
  });
});

describe("dialer: from Discovered to a connection", () => {
  test("an offer is made, sealed for the target and given to the relay; the slot is held from the beginning", () => {
    const scene = offering();
    expect(scene.node.state.peers.get(TARGET.peerId)?.dialing).toBe(scene.attemptId);
    const { relay, sent } = accepted();
    expect(tagsTo(sent, relay)).toEqual(["accept"]);
    expect(effectsOf(sent, "effect/postSignal")).toEqual([]);
  });

  test("the reply is opened and checked like one over HTTP", () => {
    const scene = accepted();
    const { effects } = answer(scene, ENVELOPE);
    const opening = effectOf(effects, "effect/openEnvelope");
    expect(opening.attemptId).toBe(scene.attemptId);
    const applied = continueDial(scene.node, scene.attemptId, effects);
    expect(effectOf(applied, "effect/applyAnswer").attemptId).toBe(scene.attemptId);
    expect(flowOf(scene)).toBe("none");
  });

  test("a Rejected ends the attempt, and the next permit is used", () => {
    const scene = accepted();
    answer(scene, ENVELOPE);
    const { node, attemptId, relay } = scene;
    const plaintext = rejectionOf(node, attemptId, 6, 0);
    node.feed({ type: "event/envelopeOpened", attemptId, plaintext });
    node.feed({ type: "event/signatureChecked", attemptId, valid: true });
    closeTransport(node, attemptId);
    expect(node.state.peers.has(TARGET.peerId)).toBe(false);
    scene.pass(DISCOVERY_PAUSE_MS);
    expect(tagsTo(onDiscovery(node, relay, { tag: "getNext" }).effects, relay)).toEqual(["discover"]);
  });

  test("a relay that gives its permits at once is asked once per 10 s all the same, without another word of it", () => {
    const scene = asked();
    const { node, relay } = scene;
    const askedNow = (effects: readonly Effect[]): boolean => tagsTo(effects, relay).includes("discover");
    for (let round = 0; round < 5; round++) {
      answer(scene);
      expect(askedNow(onDiscovery(node, relay, { tag: "getNext" }).effects)).toBe(false);
      expect(askedNow(scene.pass(DISCOVERY_PAUSE_MS - 1))).toBe(false);
      expect(askedNow(scene.pass(1))).toBe(true);
    }
  });

  test("whoever is no welcome peer is declined: a live one, a banned one, a key that is none, one too many", () => {
    const declined = (scene: Scene, target: string): void => {
      const { effects } = tell(scene, target);
      expect(tagsTo(effects, scene.relay)).toEqual(["reject"]);
      expect(effectsOf(effects, "effect/createOffer")).toEqual([]);
    };
    const live = asked();
    declined(live, live.relay.publicKey);
    declined(asked(), "ff".repeat(32));
    const banned = asked();
    const liar = readyPeer(banned.node, "liar");
    say(
      banned.node,
      liar.attemptId,
      control({ tag: "hello", version: 1, session: "00".repeat(32), userAgent: "", channels: 1 }),
    );
    closeTransport(banned.node, liar.attemptId);
    declined(banned, peerPublicKey(liar.peerId));
    const enough = asked();
    readyPeer(enough.node, "another");
    declined(enough, TARGET.publicKey);
  });
});

describe("dialer: only the relay's clock ends a flow, and ours the relay", () => {
  test("Answer None ends what was asked, offered or accepted; the attempt ends with it", () => {
    const early = asked();
    expect(endReason(answer(early))).toBeUndefined();
    expect(flowOf(early)).toBe("none");
    for (const scene of [offering(), accepted()]) {
      expect(endReason(answer(scene))).toBeUndefined();
      expect(flowOf(scene)).toBe("none");
      closeTransport(scene.node, scene.attemptId);
      expect(scene.node.state.attempts.has(scene.attemptId)).toBe(false);
      expect(scene.node.state.peers.has(TARGET.peerId)).toBe(false);
    }
  });

  test("one Answer None that crosses our Reject is ignored, a second is badState", () => {
    const scene = asked();
    tell(scene, scene.relay.publicKey);
    expect(endReason(answer(scene))).toBeUndefined();
    expect(endReason(answer(scene))).toBe("badState");
    const replied = asked();
    tell(replied, replied.relay.publicKey);
    expect(endReason(answer(replied, ENVELOPE))).toBe("badState");
  });

  test.each([
    ["asked", asked],
    ["offering", offering],
    ["accepted", accepted],
  ] as const)("a relay that is silent for 45 s after Discover is given up: %s", (tag, make) => {
    const scene = make();
    scene.pass(45 * SECOND_MS - 1);
    const isWithdrawn = tag === "offering";
    expect(liveOf(scene.node, scene.relay)).toBeDefined();
    scene.pass(1);
    expect(liveOf(scene.node, scene.relay) === undefined).toBe(!isWithdrawn);
    expect(scene.node.state.endings["us timeout"] ?? 0).toBe(isWithdrawn ? 0 : 1);
  });

  test("an offer that is not made within the deadline of its attempt is withdrawn by a Reject", () => {
    const scene = offering();
    const effects = scene.pass(15 * SECOND_MS);
    expect(tagsTo(effects, scene.relay)).toEqual(["reject"]);
    expect(flowOf(scene)).toBe("none");
    expect(endReason(answer(scene))).toBeUndefined();
  });

  test("an attempt whose offer is with the relay ends by its own deadline; the Answer may come later still", () => {
    const scene = accepted();
    expect(tagsTo(scene.pass(15 * SECOND_MS), scene.relay)).toEqual([]);
    closeTransport(scene.node, scene.attemptId);
    expect(scene.node.state.attempts.has(scene.attemptId)).toBe(false);
    const { effects } = answer(scene, ENVELOPE);
    expect(effectsOf(effects, "effect/openEnvelope")).toEqual([]);
    expect(flowOf(scene)).toBe("none");
  });

  test.each([
    ["offering", offering],
    ["accepted", accepted],
  ] as const)("a relay that leaves takes the attempt with it: %s", (_tag, make) => {
    const { node, relay, attemptId } = make();
    closeTransport(node, relay.attemptId);
    closeTransport(node, attemptId);
    expect(node.state.attempts.size).toBe(0);
    expect(node.state.peers.size).toBe(0);
  });

  test("a relay that leaves after its Answer is not needed any more", () => {
    const scene = accepted();
    answer(scene, ENVELOPE);
    closeTransport(scene.node, scene.relay.attemptId);
    expect(scene.node.state.attempts.get(scene.attemptId)?.phase.tag).toBe("openingReply");
  });

  test("an offer that is ready when the relay has come back is not for its new connection", () => {
    const scene = offering();
    const { node, attemptId, effects } = scene;
    closeTransport(node, scene.relay.attemptId);
    const again = readyPeer(node, "relay");
    const sent = node.state.attempts.has(attemptId) ? continueDial(node, attemptId, effects) : [];
    expect(relayed(sent, again)).toEqual([]);
  });
});

describe("dialer: violations", () => {
  test("Discovered with our own key is badState", () => {
    const scene = asked();
    expect(endReason(tell(scene, scene.node.state.config.publicKey))).toBe("badState");
  });

  test("Discovered that was not asked for, and a second one, are badState", () => {
    const node = relayNode();
    const relay = readyPeer(node, "relay");
    const { publicKey: target } = TARGET;
    expect(endReason(onDiscovery(node, relay, { tag: "discovered", target }))).toBe("badState");
    expect(endReason(tell(offering()))).toBe("badState");
    expect(endReason(tell(accepted()))).toBe("badState");
  });

  test("an Answer to nothing is badState: without a permit, with one that is not used, with a reply to no offer", () => {
    const node = relayNode();
    const relay = readyPeer(node, "relay");
    onDiscovery(node, relay, { tag: "getNext" });
    expect(endReason(onDiscovery(node, relay, { tag: "answer", reply: null }))).toBe("badState");
    expect(endReason(answer(asked(), ENVELOPE))).toBe("badState");
    expect(endReason(answer(offering(), ENVELOPE))).toBe("badState");
    const twice = accepted();
    answer(twice);
    expect(endReason(answer(twice))).toBe("badState");
  });

  test("a second GetNext is overLimit while the first is open or used", () => {
    const node = relayNode();
    const relay = readyPeer(node, "relay");
    onDiscovery(node, relay, { tag: "getNext" });
    expect(endReason(onDiscovery(node, relay, { tag: "getNext" }))).toBe("overLimit");
    for (const scene of [asked(), offering(), accepted()])
      expect(endReason(onDiscovery(scene.node, scene.relay, { tag: "getNext" }))).toBe("overLimit");
  });
});
