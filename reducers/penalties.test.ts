import { describe, expect, test } from "vitest";
import { addressGroup } from "../core/address.ts";
import { hear } from "../core/address-book.ts";
import { decode } from "../core/codec/codec.ts";
import type { Effect } from "../core/effects.ts";
import type { PeerId } from "../core/ids.ts";
import {
  ACQUAINTED_AFTER_MS,
  ACQUAINTED_MAX,
  BAN_MS,
  BOOK_IDLE_MS,
  ENVELOPE_BYTES_MAX,
  GROUP_BAN_MS,
  GROUP_WINDOW_MS,
  GROUPS_MAX,
  OFFENDERS_MAX,
} from "../core/limits.ts";
import { REJECTIONS } from "../core/reasons.ts";
import { unsignedRejectedSchema } from "../core/signals.ts";
import { SortedMap } from "../core/sorted-map.ts";
import type { State } from "../core/state.ts";
import { listBans } from "./bans.ts";
import { brokenInvariants } from "./invariants.ts";
import { banGroup, noteAcquaintance, punish } from "./penalties.ts";
import { control, getNext, response, say } from "./testing/messages.ts";
import { freshRequestId, party, type TestNode, testNode } from "./testing/node.ts";
import { dialedPeer, liveOf, openTransport, readyPeer, sayHello } from "./testing/peers.ts";
import { onDiscovery, takenOffer } from "./testing/relays.ts";
import { effectOf, effectsOf, goodbyes } from "./testing/results.ts";
import { addressOf, continueDial, dialTo, offerFrom, PUBLIC_IP } from "./testing/signals.ts";

const FAR = "50.60.70.80";
const NEIGHBOUR = "50.60.70.81";
const GROUP = addressGroup(FAR);

/** A peer at an address violates the protocol. */
function violate(node: TestNode, name: string, selected = FAR): void {
  const { attemptId } = readyPeer(node, name, { selected, remoteAddress: selected });
  say(node, attemptId, response(0, { tag: "notFound" }));
  node.feed({ type: "event/connectionClosed", attemptId, error: null });
}

function violateAll(node: TestNode, names: readonly string[], selected = FAR): void {
  for (const name of names) violate(node, name, selected);
}

const THREE = ["a", "b", "c"] as const;

/** `reason retryAfterMs` of what an offer is refused with; undefined if it is answered or probed. */
function refusalOf(node: TestNode, name: string, remoteAddress = NEIGHBOUR): string | undefined {
  return rejectionIn(offerFrom(node, party(name), { remoteAddress, until: "sealingRejection" }).effects);
}

function rejectionIn(effects: readonly Effect[]): string | undefined {
  const [seal] = effectsOf(effects, "effect/sealSignal").filter(({ label }) => label === "pollen/reject/1");
  if (seal === undefined) return undefined;
  const decoded = decode(unsignedRejectedSchema, seal.unsigned, ENVELOPE_BYTES_MAX);
  if (decoded.tag !== "decoded") return undefined;
  return `${REJECTIONS[decoded.value.reason]} ${decoded.value.retryAfterMs}`;
}

describe("P24: address groups (section 5)", () => {
  test("P24: violations by three keys of a group shut it out to unknown keys for 10 min", () => {
    const node = testNode();
    violateAll(node, ["a", "b"]);
    expect(refusalOf(node, "x")).toBeUndefined();
    violate(node, "c");
    expect(refusalOf(node, "stranger")).toBe(`banned ${GROUP_BAN_MS}`);
    expect(listBans(node.state)[0]).toEqual({
      subject: { tag: "group", group: GROUP },
      untilMs: node.nowMs + GROUP_BAN_MS,
      reason: "responseMismatch",
    });
    expect(refusalOf(node, "elsewhere", "50.60.71.80")).toBeUndefined();
    node.pass(GROUP_BAN_MS - 1);
    expect(refusalOf(node, "stranger")).toBe("banned 1");
    node.pass(1);
    expect(refusalOf(node, "stranger")).toBeUndefined();
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("P24: whom a relay has named, and the transport finds in a group that is shut out, does not become ready", () => {
    const node = testNode({ peersMin: 8, peersMax: 32 });
    violateAll(node, THREE);
    const relay = readyPeer(node, "relay", { remoteAddress: "20.0.0.1", selected: "20.0.0.1" });
    onDiscovery(node, relay, { tag: "getNext" });
    const stranger = takenOffer(node, relay, "stranger");
    openTransport(node, stranger.attemptId, undefined, NEIGHBOUR);
    expect(goodbyes(sayHello(node, stranger.attemptId).effects)).toEqual(["capacity 0"]);
    expect(liveOf(node, stranger)).toBeUndefined();
  });

  test("P24: nor who was dialed at an address of the book elsewhere; whom the operator wants does", () => {
    const stranger = party("stranger");
    const address = { ...addressOf(stranger), host: "99.0.0.1" };
    const source = { peerId: party("teller").peerId, remoteAddress: "60.0.0.1" };
    for (const isWanted of [false, true]) {
      const node = testNode({ peersMin: isWanted ? 0 : 8, peersMax: 32 }, "us", undefined, (state) => ({
        ...state,
        book: { ...state.book, addresses: hear(state.book.addresses, address, source) },
      }));
      violateAll(node, THREE);
      const begun = isWanted
        ? node.feed({ type: "command/dial", requestId: freshRequestId(), address }).effects
        : node.pass(BOOK_IDLE_MS);
      const { attemptId } = effectOf(begun, "effect/createOffer");
      continueDial(node, attemptId, begun);
      openTransport(node, attemptId, undefined, NEIGHBOUR);
      sayHello(node, attemptId);
      expect(liveOf(node, stranger) !== undefined).toBe(isWanted);
    }
  });

  test("one key that violates three times in a day counts once", () => {
    const node = testNode();
    violate(node, "a");
    for (let count = 0; count < 2; count++) {
      node.pass(BAN_MS);
      violate(node, "a");
    }
    violate(node, "b");
    expect(node.state.groups.get(GROUP)?.violations).toHaveLength(2);
    expect(refusalOf(node, "stranger")).toBeUndefined();
  });

  test("violations further apart than 10 min do not add up", () => {
    const node = testNode();
    for (const name of ["a", "b", "c", "d"]) {
      violate(node, name);
      node.pass(GROUP_WINDOW_MS / 2);
    }
    expect(refusalOf(node, "stranger")).toBeUndefined();
  });

  test("what is unreliable or neutral does not count", () => {
    const node = testNode();
    for (const name of THREE) {
      readyPeer(node, name, { selected: FAR });
      node.pass(20_000);
    }
    expect([node.state.groups.size, node.state.offenders.size]).toEqual([0, 3]);
  });

  test("the group is where the transport found the peer, not what its SDP says", () => {
    const node = testNode();
    for (const name of THREE) {
      const { attemptId } = readyPeer(node, name, { selected: "50.1.1.1", remoteAddress: FAR });
      say(node, attemptId, response(0, { tag: "notFound" }));
    }
    expect([...node.state.groups.keys()]).toEqual([addressGroup("50.1.1.1")]);
    expect(refusalOf(node, "stranger", PUBLIC_IP)).toBeUndefined();
  });

  test("who comes over another socket is found out by the selected address, and told before it is ready", () => {
    const node = testNode();
    violateAll(node, THREE);
    const { attemptId } = offerFrom(node, party("stranger"), { remoteAddress: "60.1.1.1" });
    openTransport(node, attemptId, undefined, NEIGHBOUR);
    expect(goodbyes(sayHello(node, attemptId).effects)).toEqual(["capacity 0"]);
    expect(liveOf(node, party("stranger"))).toBeUndefined();
    expect(node.state.offenders.has(party("stranger").peerId)).toBe(false);
  });

  test("live peers stay, may come again, and are found to be exempt only while they are live", () => {
    const node = testNode();
    const peer = readyPeer(node, "friend", { selected: NEIGHBOUR, remoteAddress: NEIGHBOUR });
    violateAll(node, THREE);
    expect(liveOf(node, peer)).toBeDefined();
    expect(refusalOf(node, "friend")).toBeUndefined();
    node.feed({ type: "event/connectionClosed", attemptId: peer.attemptId, error: null });
    expect(refusalOf(node, "friend")).toBe(`banned ${GROUP_BAN_MS}`);
  });

  test("a key that was ready for 10 min is exempt after it has left; one that was not so long is not", () => {
    const node = testNode();
    const live = readyPeer(node, "friend", { selected: NEIGHBOUR });
    const pong = (): void => {
      node.pass(5_000);
      say(node, live.attemptId, control({ tag: "ping", n: 0 }));
    };
    while (node.nowMs - (liveOf(node, live)?.sinceMs ?? 0) < ACQUAINTED_AFTER_MS) pong();
    node.feed({ type: "event/connectionClosed", attemptId: live.attemptId, error: null });
    violateAll(node, THREE);
    expect(refusalOf(node, "friend")).toBeUndefined();
    expect(refusalOf(node, "stranger")).toBe(`banned ${GROUP_BAN_MS}`);
    violate(node, "friend", NEIGHBOUR);
    expect(node.state.acquainted.size).toBe(0);
  });

  test.each(["127.0.0.1", "10.0.0.9", "192.168.1.2", "fe80::1", "fd00::1", "not an address"])(
    "loopback and private groups are never shut out: %s",
    (address) => {
      const node = testNode();
      violateAll(node, THREE, address);
      expect(node.state.groups.size).toBe(0);
      expect(refusalOf(node, "stranger", address)).toBeUndefined();
    },
  );

  test("what is dialed because the operator wants it is not refused for what its neighbours did", () => {
    const node = testNode();
    violateAll(node, THREE, PUBLIC_IP);
    const { attemptId } = dialTo(node, party("wanted"));
    openTransport(node, attemptId, undefined, PUBLIC_IP);
    sayHello(node, attemptId);
    expect(liveOf(node, party("wanted"))).toBeDefined();
  });

  test("an offer that lies about its key is refused before its signature is looked at", () => {
    const node = testNode();
    violateAll(node, THREE);
    const { effects } = offerFrom(node, party("stranger"), {
      remoteAddress: NEIGHBOUR,
      isSigned: false,
      until: "sealingRejection",
    });
    expect(rejectionIn(effects)).toBe(`banned ${GROUP_BAN_MS}`);
  });
});

describe("P24: an offender does not return by another connection", () => {
  test("P24: a violation on a connection that is not ready yet ends the live one of the same key", () => {
    const node = testNode();
    const live = dialedPeer(node, "peer");
    const { attemptId } = offerFrom(node, live);
    node.pass(2_000);
    const probed = [...node.state.attempts.values()].find(({ id }) => id === attemptId);
    expect(probed?.phase.tag).toBe("answering");
    const seal = node.feed({ type: "event/localDescription", attemptId, sdp: "v=0" }).effects;
    const { unsigned, prefix } = effectOf(seal, "effect/sealSignal");
    node.feed({ type: "event/signalSealed", attemptId, signed: unsigned, envelope: prefix });
    openTransport(node, attemptId, ["control", "best-tip"]);
    sayHello(node, attemptId);
    const effects = Array.from({ length: 5 }, () => say(node, attemptId, getNext(0)).effects).flat();
    expect(goodbyes(effects)).toContain(`overLimit ${BAN_MS}`);
    expect(liveOf(node, live)).toBeUndefined();
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("P24: a key that is banned while its connection is set up does not become ready", () => {
    const node = testNode();
    const { attemptId, peerId } = offerFrom(node, party("peer"));
    openTransport(node, attemptId);
    const draft: State = { ...node.state };
    punish(draft, peerId, "badChunk", null);
    const punished = node.at(draft);
    punished.pass(1_000);
    expect(goodbyes(sayHello(punished, attemptId).effects)).toEqual([`badChunk ${BAN_MS - 1_000}`]);
    expect(punished.state.peers.size).toBe(0);
  });
});

describe("penalties: the tables are bounded", () => {
  /** Many keys or groups at once, as states have no inputs for. */
  const changed = (change: (draft: { -readonly [Field in keyof State]: State[Field] }) => void): State => {
    const draft = { ...testNode().state };
    change(draft);
    return draft;
  };

  test("of keys the ban that ends first makes room, never one of the operator", () => {
    const peers = Array.from(
      { length: OFFENDERS_MAX + 1 },
      (_, index) => party(`key ${index % 5}`).peerId + index,
    );
    const state = changed((draft) => {
      const offenders = peers.slice(0, OFFENDERS_MAX).map((id, index) => {
        const bannedFor = index === 0 ? ("operator" as const) : ("badState" as const);
        const offender = {
          bannedUntilMs: draft.timeMs + 1 + index,
          bannedFor,
          restUntilMs: 0,
          strikesMs: [],
        };
        return [id as typeof draft.config.peerId, offender] as const;
      });
      draft.offenders = SortedMap.from(offenders);
      punish(draft, party("late").peerId, "badState", null);
    });
    expect(state.offenders.size).toBe(OFFENDERS_MAX);
    const has = (index: number): boolean => state.offenders.has(peers[index] as typeof state.config.peerId);
    expect([has(0), has(1), has(2), state.offenders.has(party("late").peerId)]).toEqual([
      true,
      false,
      true,
      true,
    ]);
  });

  test("of known keys who left first is forgotten", () => {
    const node = testNode();
    const live = liveOf(node, readyPeer(node, "peer"));
    if (live === undefined) throw new Error("the peer is live");
    const left = Array.from({ length: ACQUAINTED_MAX + 1 }, (_, index) => `${index}` as PeerId);
    const draft = { ...node.state, timeMs: live.sinceMs + ACQUAINTED_AFTER_MS };
    for (const peerId of left) {
      draft.timeMs += 1;
      noteAcquaintance(draft, peerId, live);
    }
    expect(left.filter((peerId) => !draft.acquainted.has(peerId))).toEqual(left.slice(0, 1));
  });

  test("of groups likewise, never one of the operator", () => {
    const state = changed((draft) => {
      banGroup(draft, "1.2.3.0/24", draft.timeMs + 1, "operator");
      for (let index = 0; index <= GROUPS_MAX; index++) {
        banGroup(draft, `50.${index >> 8}.${index & 255}.0/24`, draft.timeMs + 2 + index, "badState");
      }
    });
    expect(state.groups.size).toBe(GROUPS_MAX);
    expect(state.groups.has("1.2.3.0/24")).toBe(true);
    expect(state.groups.has("50.0.0.0/24")).toBe(false);
  });
});
