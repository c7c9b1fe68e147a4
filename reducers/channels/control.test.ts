import { describe, expect, test } from "vitest";
import { CHANNEL_BITS, CHANNEL_NAMES } from "../../core/channels/table.ts";
import type { AttemptId } from "../../core/ids.ts";
import {
  ATTEMPT_TIMEOUT_MS,
  BAN_MS,
  GOODBYE_DRAIN_MS,
  IGNORED_BURST,
  PING_AFTER_MS,
  PONG_TIMEOUT_MS,
  STALLED_AFTER_MS,
  STRIKES_REST_MS,
} from "../../core/limits.ts";
import { REASONS, type Reason, severity } from "../../core/reasons.ts";
import { brokenInvariants } from "../invariants.ts";
import { announce, itemOf, submit } from "../testing/items.ts";
import { control, getNext, infos, refloor, request, response, say } from "../testing/messages.ts";
import { freshRequestId, type Party, party, type TestNode, testNode } from "../testing/node.ts";
import {
  channelsWithout,
  closeTransport,
  dialedPeer,
  liveOf,
  openTransport,
  readyPeer,
  sayHello,
  WITHOUT_TIPS,
} from "../testing/peers.ts";
import { effectsOf, endings, endReason, goodbyes, requestsTo, sentOn } from "../testing/results.ts";
import { offerFrom, targetOf } from "../testing/signals.ts";

const ping = (n: number) => control({ tag: "ping", n });
const goodbye = (reason: Reason, banMs = 0) =>
  control({ tag: "goodbye", reason: REASONS.indexOf(reason), banMs });

/** An incoming connection whose channels are open and whose Hello is awaited. */
function opened(name = "peer"): {
  readonly node: TestNode;
  readonly attemptId: AttemptId;
  readonly who: Party;
} {
  const node = testNode();
  const { attemptId } = offerFrom(node, party(name));
  openTransport(node, attemptId);
  return { node, attemptId, who: party(name) };
}

describe("control: Hello", () => {
  test("leaves with the session as soon as control is open, once", () => {
    const node = testNode();
    const { attemptId } = offerFrom(node, party("peer"));
    node.feed({ type: "event/connected", attemptId, fingerprint: "ab".repeat(32), remoteAddress: "1.2.3.4" });
    const { effects } = node.feed({ type: "event/channelOpened", attemptId, channel: "control" });
    const session = node.state.attempts.get(attemptId)?.session;
    expect(sentOn(effects, attemptId)).toEqual([
      {
        channel: "control",
        message: { tag: "hello", version: 1, session, userAgent: "pollen/test", channels: CHANNEL_BITS },
      },
    ]);
    expect(session).toMatch(/^[0-9a-f]{64}$/);
    expect(node.feed({ type: "event/channelOpened", attemptId, channel: "control" }).effects).toEqual([]);
  });

  test.each([ping(1), control({ tag: "pong", n: 1 }), goodbye("operator")])(
    "$message.tag before it is badState, and nobody is punished",
    (first) => {
      const { node, attemptId, who } = opened();
      expect(goodbyes(say(node, attemptId, first).effects)).toEqual(["badState 0"]);
      expect(node.state.offenders.has(who.peerId)).toBe(false);
      expect(node.state.peers.size).toBe(0);
    },
  );

  test("of another session closes with badSignature, and the key is not banned", () => {
    const { node, attemptId, who } = opened();
    const hello = {
      tag: "hello",
      version: 1,
      session: "00".repeat(32),
      userAgent: "",
      channels: CHANNEL_BITS,
    };
    const { effects } = say(node, attemptId, control(hello as never));
    expect(goodbyes(effects)).toEqual(["badSignature 0"]);
    expect(node.state.offenders.has(who.peerId)).toBe(false);
  });

  test.each([
    [0, CHANNEL_BITS],
    [1, CHANNEL_BITS & ~1],
  ])("of version %s and channels %s is undecodable", (version, channels) => {
    const { node, attemptId } = opened();
    const session = node.state.attempts.get(attemptId)?.session ?? "";
    const said = say(node, attemptId, control({ tag: "hello", version, session, userAgent: "", channels }));
    expect(goodbyes(said.effects)).toEqual(["undecodable 0"]);
  });

  test("a greater version is spoken to in ours; unknown bits are ignored", () => {
    const { node, attemptId, who } = opened();
    const session = node.state.attempts.get(attemptId)?.session ?? "";
    say(node, attemptId, control({ tag: "hello", version: 9, session, userAgent: "x", channels: 0xffff }));
    expect(liveOf(node, who)).toMatchObject({ version: 1, userAgent: "x" });
  });

  test("makes ready only with every channel that both enable, in whatever order they open", () => {
    for (const late of CHANNEL_NAMES) {
      const node = testNode();
      const who = party("peer");
      const { attemptId } = offerFrom(node, who);
      openTransport(
        node,
        attemptId,
        CHANNEL_NAMES.filter((name) => name !== late),
      );
      if (late !== "control") {
        sayHello(node, attemptId);
        expect(liveOf(node, who)).toBeUndefined();
      }
      node.feed({ type: "event/channelOpened", attemptId, channel: late });
      if (late === "control") sayHello(node, attemptId);
      expect(liveOf(node, who)?.attemptId).toBe(attemptId);
    }
  });

  test("a channel that the peer does not enable is neither awaited nor used", () => {
    const node = testNode();
    const who = party("peer");
    const { attemptId } = offerFrom(node, who);
    openTransport(node, attemptId, ["control"]);
    const { effects } = sayHello(node, attemptId, 1);
    expect(liveOf(node, who)).toMatchObject({
      bestTip: null,
      pools: { transaction: null, snark: null, "snark-job-commitment": null },
      rpc: null,
      streaming: null,
    });
    expect(sentOn(effects, attemptId)).toEqual([]);
    expect(say(node, attemptId, getNext(0)).actions.map(({ type }) => type)).toEqual(["event/message"]);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("none within the attempt's deadline is a timeout, and the peer is told", () => {
    const { node, attemptId } = opened();
    const effects = node.pass(ATTEMPT_TIMEOUT_MS);
    expect(goodbyes(effects)).toEqual(["timeout 0"]);
    expect(node.state.attempts.get(attemptId)?.phase.tag).toBe("closing");
  });
});

/** Both have said Hello, and only control is open. */
function greeted() {
  const node = testNode();
  const { attemptId } = offerFrom(node, party("peer"));
  openTransport(node, attemptId, ["control"]);
  sayHello(node, attemptId);
  return { node, attemptId };
}

describe("control: messages that arrive before Hello", () => {
  test("wait for it and are processed in order; our permit comes after them", () => {
    const { node, attemptId } = opened();
    submit(node, [itemOf("held")]);
    const early = [getNext(0), refloor(1), request(0, { tag: "peers" })];
    for (const said of early) expect(say(node, attemptId, said).effects).toEqual([]);
    const { effects } = sayHello(
      node,
      attemptId,
      channelsWithout(
        "signaling/discovery",
        "signaling/exchange",
        "best-tip",
        "snark",
        "snark-job-commitment",
      ),
    );
    expect(sentOn(effects, attemptId).map(({ message }) => message.tag)).toEqual([
      "infos",
      "response",
      "getNext",
    ]);
  });

  test("Pongs between Hello and ready, which can answer nothing, wait like Pings, 64 of them", () => {
    const pong = (n: number) => control({ tag: "pong", n });
    const { node, attemptId } = greeted();
    for (let n = 0; n < 64; n++) expect(say(node, attemptId, pong(n)).effects).toEqual([]);
    expect(goodbyes(say(node, attemptId, pong(64)).effects)).toEqual([`overLimit ${BAN_MS}`]);
  });

  test("pings between Hello and ready wait too, 64 of them", () => {
    const { node, attemptId } = greeted();
    for (let n = 0; n < 64; n++) expect(say(node, attemptId, ping(n)).effects).toEqual([]);
    const full = node.at(node.state);
    expect(goodbyes(say(full, attemptId, ping(64)).effects)).toEqual([`overLimit ${BAN_MS}`]);
    const effects = CHANNEL_NAMES.flatMap((channel) =>
      channel === "control" ? [] : node.feed({ type: "event/channelOpened", attemptId, channel }).effects,
    );
    const pongs = sentOn(effects, attemptId).filter(({ message }) => message.tag === "pong");
    expect(pongs.map(({ message }) => message.tag === "pong" && message.n)).toEqual(
      Array.from({ length: 64 }, (_, n) => n),
    );
  });

  test("two of them that are violations end the connection once", () => {
    const { node, attemptId } = opened();
    for (const id of [3, 4]) say(node, attemptId, request(id, { tag: "peers" }));
    const result = sayHello(node, attemptId);
    expect(goodbyes(result.effects)).toEqual([`badState ${BAN_MS}`]);
    expect(endings(result.actions)).toEqual(["us badState"]);
  });

  test("a violation among them keeps the later ones from being processed", () => {
    const { node, attemptId } = opened();
    say(node, attemptId, request(5, { tag: "peers" }));
    say(node, attemptId, getNext(0));
    const { effects } = sayHello(node, attemptId);
    expect(sentOn(effects, attemptId).map(({ message }) => message.tag)).toEqual(["goodbye"]);
  });
});

describe("control: Goodbye", () => {
  test("of the peer ends the connection without an answer; everything after it is ignored", () => {
    const node = testNode();
    const peer = readyPeer(node, "peer");
    const { effects, actions } = say(node, peer.attemptId, goodbye("shutdown"));
    expect(endings(actions)).toEqual(["them shutdown"]);
    expect(effects).toEqual([{ type: "effect/close", attemptId: peer.attemptId, graceful: true }]);
    expect(say(node, peer.attemptId, getNext(0)).actions).toEqual([]);
    expect(node.state.offenders.size).toBe(0);
  });

  test("of the peer while channels are still opening ends the attempt", () => {
    const { node, attemptId } = opened("peer");
    const half = testNode();
    const other = offerFrom(half, party("peer"));
    openTransport(half, other.attemptId, ["control"]);
    sayHello(half, other.attemptId);
    say(half, other.attemptId, goodbye("capacity"));
    expect(half.state.attempts.get(other.attemptId)?.phase.tag).toBe("closing");
    expect(half.state.peers.size).toBe(0);
    expect(brokenInvariants(half.state)).toEqual([]);
    expect(node.state.attempts.get(attemptId)?.phase.tag).toBe("connecting");
  });

  test("of ours drains for at most 2 s, then the connection is cut", () => {
    const node = testNode();
    const peer = readyPeer(node, "peer");
    node.feed({ type: "command/disconnect", requestId: freshRequestId(), peerId: peer.peerId });
    expect(effectsOf(node.pass(GOODBYE_DRAIN_MS - 1), "effect/close")).toEqual([]);
    expect(node.pass(1)).toEqual([{ type: "effect/close", attemptId: peer.attemptId, graceful: false }]);
  });

  test("banMs of the peer keeps us from dialing it that long", () => {
    const node = testNode();
    const peer = dialedPeer(node, "peer");
    say(node, peer.attemptId, goodbye("noPermit", 3_600_000));
    closeTransport(node, peer.attemptId);
    expect(targetOf(node, peer)?.nextMs).toBe(node.nowMs + 3_600_000);
  });

  test("goes before every close that we decide on, in every phase in which the peer can hear it", () => {
    const ends: readonly (readonly [string, (node: TestNode) => readonly unknown[]])[] = [
      ["shutdown 0", (node) => node.feed({ type: "command/stop" }).effects],
      [
        "operator 0",
        (node) => {
          const { peerId } = party("peer");
          return node.feed({ type: "command/disconnect", requestId: freshRequestId(), peerId }).effects;
        },
      ],
    ];
    for (const [expected, end] of ends) {
      const waiting = opened();
      expect(goodbyes(end(waiting.node) as never)).toEqual([expected]);
      const ready = testNode();
      readyPeer(ready, "peer");
      expect(goodbyes(end(ready) as never)).toEqual([expected]);
      expect(brokenInvariants(waiting.node.state)).toEqual([]);
    }
  });
});

describe("control: keepalive", () => {
  test("every Ping is answered with its number; a Pong that matches nothing is ignored, but no flood of them", () => {
    const node = testNode();
    const peer = readyPeer(node, "peer");
    const { effects } = say(node, peer.attemptId, ping(0xffffffff));
    expect(sentOn(effects, peer.attemptId)).toEqual([
      { channel: "control", message: { tag: "pong", n: 0xffffffff } },
    ]);
    const before = liveOf(node, peer);
    expect(say(node, peer.attemptId, control({ tag: "pong", n: 5 })).effects).toEqual([]);
    const { ignoredBudget } = liveOf(node, peer)?.control ?? {};
    expect(liveOf(node, peer)).toEqual({ ...before, control: { ...before?.control, ignoredBudget } });
    for (let count = 1; count < IGNORED_BURST; count++)
      say(node, peer.attemptId, control({ tag: "pong", n: 5 }));
    expect(liveOf(node, peer)).toBeDefined();
    expect(endReason(say(node, peer.attemptId, control({ tag: "pong", n: 5 })))).toBe("overLimit");
  });

  test("P27: a silent peer gets a Ping after 10 s and is gone in at most 25 s, with a strike", () => {
    const node = testNode();
    const peer = readyPeer(node, "peer");
    expect(node.pass(PING_AFTER_MS - 1)).toEqual([]);
    expect(sentOn(node.pass(1), peer.attemptId)).toEqual([
      { channel: "control", message: { tag: "ping", n: 0 } },
    ]);
    expect(node.pass(PONG_TIMEOUT_MS - 1)).toEqual([]);
    expect(goodbyes(node.pass(1))).toEqual(["timeout 0"]);
    expect(node.state.offenders.get(peer.peerId)).toMatchObject({
      bannedUntilMs: 0,
      strikesMs: [node.nowMs],
    });
  });

  test("P27: whatever a peer does before it falls silent, it is gone within 25 s", () => {
    for (let spokeMs = 0; spokeMs < 30_000; spokeMs += 1_300) {
      const node = testNode();
      const peer = readyPeer(node, "peer");
      for (let ms = 0; ms < spokeMs; ms += 650) {
        node.pass(650);
        const open = liveOf(node, peer)?.control.awaitingPong;
        say(node, peer.attemptId, open == null ? ping(1) : control({ tag: "pong", n: open.n }));
      }
      node.pass(25_000);
      expect(liveOf(node, peer)).toBeUndefined();
    }
  });

  test("the right Pong keeps a peer, forever", () => {
    const node = testNode();
    const peer = readyPeer(node, "peer");
    for (let round = 0; round < 20; round++) {
      const sent = sentOn(node.pass(PING_AFTER_MS), peer.attemptId).filter(
        ({ channel }) => channel === "control",
      );
      expect(sent).toEqual([{ channel: "control", message: { tag: "ping", n: round } }]);
      node.pass(PONG_TIMEOUT_MS - 1);
      say(node, peer.attemptId, control({ tag: "pong", n: round }));
    }
    expect(liveOf(node, peer)?.control.awaitingPong).toBeNull();
  });

  test("anything that arrives postpones the Ping", () => {
    const node = testNode();
    const peer = readyPeer(node, "peer");
    for (let round = 0; round < 10; round++) {
      expect(node.pass(8_000)).toEqual([]);
      say(node, peer.attemptId, refloor(round));
    }
  });

  test("who has sent more ahead than all permits allow is banned for overLimit", () => {
    const node = testNode();
    const peer = readyPeer(node, "peer");
    const { effects } = node.feed({ type: "event/inboxFull", attemptId: peer.attemptId });
    expect(goodbyes(effects)).toEqual([`overLimit ${BAN_MS}`]);
    expect(liveOf(node, peer)).toBeUndefined();
  });

  test("64 pings at once are taken, and then one per 5 s", () => {
    const node = testNode();
    const peer = readyPeer(node, "peer");
    for (let n = 0; n < 64; n++) say(node, peer.attemptId, ping(n));
    node.freeze(5_000);
    expect(endReason(say(node, peer.attemptId, ping(64)))).toBeUndefined();
    expect(endReason(say(node, peer.attemptId, ping(65)))).toBe("overLimit");
  });

  test("a node that slept through many deadlines ends each connection once", () => {
    const node = testNode();
    const peers = ["a", "b", "c"].map((name) => readyPeer(node, name));
    for (const { attemptId } of peers) {
      for (const channel of CHANNEL_NAMES) node.feed({ type: "event/channelBlocked", attemptId, channel });
    }
    node.pass(7_000);
    node.freeze(60_000);
    const result = node.feed({ type: "tick" });
    expect(endings(result.actions)).toEqual(["us stalled", "us stalled", "us stalled"]);
    expect(goodbyes(result.effects)).toHaveLength(3);
    expect(brokenInvariants(node.state)).toEqual([]);
  });
});

describe("control: back-pressure", () => {
  test("no progress for 8 s is stalled; progress and draining are not", () => {
    const node = testNode();
    const { attemptId, peerId } = readyPeer(node, "peer");
    const blocked = { type: "event/channelBlocked", attemptId, channel: "rpc" } as const;
    node.feed(blocked);
    node.pass(STALLED_AFTER_MS - 1);
    say(node, attemptId, ping(0));
    node.feed(blocked);
    expect(goodbyes(node.pass(STALLED_AFTER_MS - 1))).toEqual([]);
    node.feed({ ...blocked, type: "event/channelDrained" });
    expect(goodbyes(node.pass(1_000))).toEqual([]);
    say(node, attemptId, refloor(0));
    node.feed(blocked);
    expect(goodbyes(node.pass(STALLED_AFTER_MS))).toEqual(["stalled 0"]);
    expect(node.state.offenders.get(peerId)?.strikesMs).toHaveLength(1);
  });

  test("P35: nothing is written to a full channel, and what waited leaves when it has drained", () => {
    const node = testNode();
    const peer = readyPeer(node, "peer", WITHOUT_TIPS);
    const { attemptId } = peer;
    for (const channel of ["transaction", "rpc"] as const) {
      node.feed({ type: "event/channelBlocked", attemptId, channel });
    }
    expect(sentOn(say(node, attemptId, getNext(0)).effects, attemptId)).toEqual([]);
    expect(sentOn(submit(node, [itemOf("x")]), attemptId)).toEqual([]);
    for (const id of [0, 1, 2, 3]) {
      expect(sentOn(say(node, attemptId, request(id, { tag: "peers" })).effects, attemptId)).toEqual([]);
    }
    const copy = node.at(node.state);
    expect(endReason(say(copy, attemptId, request(4, { tag: "peers" })))).toBe("overLimit");
    expect(brokenInvariants(node.state)).toEqual([]);
    const drained = (channel: "transaction" | "rpc") =>
      sentOn(node.feed({ type: "event/channelDrained", attemptId, channel }).effects, attemptId);
    expect(drained("transaction").map(({ message }) => message.tag)).toEqual(["infos"]);
    const ids = drained("rpc").map(({ message }) => message.tag === "response" && message.id);
    expect(ids).toEqual([0, 1, 2, 3]);
    expect(liveOf(node, peer)?.rpc).toMatchObject({ theirs: [] });
  });

  test("our own requests wait for a full channel too", () => {
    const node = testNode();
    const peer = readyPeer(node, "peer");
    const { attemptId } = peer;
    node.feed({ type: "event/channelBlocked", attemptId, channel: "rpc" });
    expect(requestsTo(announce(node, peer, [itemOf("x")]).effects, attemptId)).toEqual([]);
    const { effects } = node.feed({ type: "event/channelDrained", attemptId, channel: "rpc" });
    expect(requestsTo(effects, attemptId)).toHaveLength(1);
  });
});

describe("penalties (section 5)", () => {
  test("violations, strikes and neutral reasons are the ones of the list", () => {
    const names = (kind: string) => REASONS.filter((reason) => severity(reason) === kind);
    expect(names("unreliable")).toEqual(["timeout", "stalled", "doesNotHave"]);
    expect(names("neutral")).toEqual([
      "capacity",
      "shutdown",
      "duplicate",
      "operator",
      "connectionLost",
      "useless",
    ]);
    expect(names("violation")).toEqual(REASONS.slice(0, 12));
  });

  test("P24: a violation bans the key for 24 h, the Goodbye says so, and then it may come again", () => {
    const node = testNode();
    const peer = readyPeer(node, "peer");
    const { effects } = say(node, peer.attemptId, infos(9, [itemOf("x").info]));
    expect(goodbyes(effects)).toEqual([`badState ${BAN_MS}`]);
    closeTransport(node, peer.attemptId);
    node.pass(BAN_MS - 1);
    expect(offerFrom(node, peer, { until: "sealingRejection" }).effects).toHaveLength(1);
    expect(node.state.peers.size).toBe(0);
    node.pass(ATTEMPT_TIMEOUT_MS);
    readyPeer(node, "peer");
  });

  test("three strikes in 10 min are a rest of 30 min, two or slower ones are none, and none is ever a ban", () => {
    const strike = (node: TestNode): void => {
      const peer = readyPeer(node, "peer");
      node.pass(PING_AFTER_MS + PONG_TIMEOUT_MS);
      closeTransport(node, peer.attemptId);
    };
    const fast = testNode();
    for (let count = 0; count < 3; count++) strike(fast);
    const { peerId } = party("peer");
    expect(fast.state.offenders.get(peerId)).toEqual({
      bannedUntilMs: 0,
      bannedFor: null,
      restUntilMs: fast.nowMs + STRIKES_REST_MS,
      strikesMs: [],
    });
    offerFrom(fast, party("peer"), { until: "sealingRejection" });
    expect(fast.state.peers.size).toBe(0);
    fast.pass(STRIKES_REST_MS);
    readyPeer(fast, "peer");

    const slow = testNode();
    for (let count = 0; count < 6; count++) {
      strike(slow);
      slow.pass(300_000);
    }
    expect(slow.state.offenders.get(peerId)?.restUntilMs).toBe(0);
  });

  test("a key that was banned on one connection does not become ready on another", () => {
    const node = testNode();
    const peer = readyPeer(node, "peer");
    offerFrom(node, peer);
    node.pass(2_000);
    const newcomer = [...node.state.attempts.values()].find(({ id }) => id !== peer.attemptId);
    expect(newcomer?.phase.tag).toBe("answering");
    say(node, peer.attemptId, response(0, { tag: "notFound" }));
    expect(node.state.peers.size).toBe(0);
    expect(brokenInvariants(node.state)).toEqual([]);
  });
});
