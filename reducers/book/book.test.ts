import { describe, expect, test } from "vitest";
import { addressGroup } from "../../core/address.ts";
import { hear, prove, sample } from "../../core/address-book.ts";
import type { RpcRequest } from "../../core/channels/rpc.ts";
import { CHANNEL_NAMES } from "../../core/channels/table.ts";
import type { Effect } from "../../core/effects.ts";
import type { AttemptId, PeerId } from "../../core/ids.ts";
import {
  BOOK_ASK_AGAIN_MS,
  BOOK_ASK_MS,
  BOOK_ASKED_MAX,
  BOOK_DIALS_MAX,
  BOOK_GROUP_REST_MS,
  BOOK_IDLE_MS,
  BOOK_IP_REST_MS,
  BOOK_LOOK_MS,
  BOOK_VERIFY_AGAIN_MS,
  BOOK_VERIFY_MS,
  DIAL_BACKOFF_RESET_MS,
  DIAL_REFUSED_MS,
  DISCOVERY_PAUSE_MS,
  PEERS_ANSWER_MAX,
  ROTATE_MS,
} from "../../core/limits.ts";
import { type DialAddress, formatMultiaddr } from "../../core/multiaddr.ts";
import { REJECTIONS } from "../../core/reasons.ts";
import { SortedMap } from "../../core/sorted-map.ts";
import type { Config, LivePeer, State } from "../../core/state.ts";
import { isChosen } from "../attempts.ts";
import { brokenInvariants } from "../invariants.ts";
import { control, discovery, request, response, say } from "../testing/messages.ts";
import { freshRequestId, type Party, party, type TestNode, testNode } from "../testing/node.ts";
import {
  closeTransport,
  dialedPeer,
  liveOf,
  openTransport,
  readyPeer,
  sayHello,
  type TestPeer,
} from "../testing/peers.ts";
import { takenOffer } from "../testing/relays.ts";
import { effectsOf, requestsTo, sentOn } from "../testing/results.ts";
import {
  addressOf,
  continueDial,
  dialTo,
  FINGERPRINT,
  multiaddrOf,
  offerFrom,
  rejectionOf,
} from "../testing/signals.ts";
import { lacksPeers } from "./look.ts";
import { worstOf } from "./rotate.ts";
import { outgoingCount } from "./soon.ts";

const ASK: RpcRequest = { tag: "peers" };

/** Address `number`: an IP in a group of its own. */
const somewhere = (number: number, host = `50.0.${number}.1`, port = 7_300): DialAddress => ({
  ...addressOf(party(`somebody ${number}`)),
  host,
  port,
});

const source = { peerId: party("gossip").peerId, remoteAddress: "60.0.0.1" };

/** A node that has heard of these, and has proven those. */
const knowing = (
  heard: readonly DialAddress[],
  proven: readonly DialAddress[] = [],
  config: Partial<Config> = {},
): TestNode =>
  testNode({ peersMin: 8, peersMax: 32, ...config }, "us", undefined, (state): State => {
    let { addresses } = state.book;
    for (const address of heard) addresses = hear(addresses, address, source);
    for (const address of proven) addresses = prove(addresses, address, source, state.timeMs);
    return { ...state, book: { ...state.book, addresses } };
  });

const entryOf = (node: TestNode, address: DialAddress) =>
  node.state.book.addresses.entries.get(formatMultiaddr(address));

/** Something happens, so that the node looks at its book. */
const wake = (node: TestNode): TestPeer => readyPeer(node, "waker");

/** The dials that were begun, by host. */
const dialed = (node: TestNode, effects: readonly Effect[]): readonly string[] =>
  effectsOf(effects, "effect/createOffer").map(
    ({ attemptId }) => node.state.attempts.get(attemptId)?.target?.host ?? "ended",
  );

/** All dials are refused at once, for so long. @returns the hosts, with the times of their dials */
function refuseFor(node: TestNode, ms: number): readonly (readonly [string, number])[] {
  const dials: (readonly [string, number])[] = [];
  for (const untilMs = node.nowMs + ms; node.nowMs < untilMs; ) {
    for (const effect of effectsOf(node.pass(100), "effect/createOffer")) {
      const { attemptId } = effect;
      dials.push([node.state.attempts.get(attemptId)?.target?.host ?? "", node.nowMs]);
      continueDial(node, attemptId, [effect], "awaitingReply");
      node.feed({ type: "event/signalAnswered", attemptId, outcome: { tag: "failed", error: "refused" } });
      closeTransport(node, attemptId);
    }
  }
  return dials;
}

const answer = (node: TestNode, peer: TestPeer, addresses: readonly string[], id = 0) =>
  say(node, peer.attemptId, response(id, { tag: "peers", addresses }));

/** Time passes while this peer answers its pings, and requests with `addresses` if given. */
function passWith(
  node: TestNode,
  peer: TestPeer,
  ms: number,
  addresses?: readonly string[],
): readonly Effect[] {
  const effects: Effect[] = [];
  for (let passed = 0; passed < ms; passed += 1_000) {
    const now = node.pass(1_000);
    for (const { message } of sentOn(now, peer.attemptId)) {
      if (message.tag === "ping") say(node, peer.attemptId, control({ tag: "pong", n: message.n }));
    }
    for (const { id } of addresses === undefined ? [] : requestsTo(now, peer.attemptId))
      answer(node, peer, addresses ?? [], id);
    effects.push(...now);
  }
  return effects;
}

describe("addresses: asking", () => {
  test("a peer that we dialed is asked when it is ready, and again after 10 minutes at the soonest", () => {
    const node = knowing([]);
    const { attemptId } = dialTo(node, party("chosen"));
    openTransport(node, attemptId);
    const peer = { ...party("chosen"), attemptId };
    expect(requestsTo(sayHello(node, attemptId).effects, attemptId)).toMatchObject([{ body: ASK }]);
    answer(node, peer, []);
    const requests = requestsTo(passWith(node, peer, 2.5 * BOOK_ASK_MS, []), attemptId);
    const asked = requests.length;
    expect([asked, brokenInvariants(node.state)]).toEqual([2, []]);
  });

  test("one that had nothing to tell is asked again after a minute", () => {
    const node = knowing([]);
    const peer = dialedPeer(node, "chosen");
    say(node, peer.attemptId, response(0, { tag: "notFound" }));
    const asked = (ms: number) => requestsTo(passWith(node, peer, ms), peer.attemptId).length;
    expect([asked(BOOK_ASK_AGAIN_MS - 1_000), asked(2 * BOOK_IDLE_MS)]).toEqual([0, 1]);
  });

  test("who came by itself is not asked, and nobody by a node that wants no peers", () => {
    const node = knowing([]);
    const came = readyPeer(node, "came");
    expect(requestsTo(node.pass(9_000), came.attemptId)).toEqual([]);
    const content = knowing([somewhere(1)], [somewhere(2)], { peersMin: 0 });
    const chosen = dialedPeer(content, "chosen");
    expect(liveOf(content, chosen)?.rpc?.ours).toEqual([]);
    expect(effectsOf(content.pass(9_000), "effect/createOffer")).toEqual([]);
  });

  test("P17: what is told is unproven, whoever tells it; ourselves, a key twice and nonsense are left out", () => {
    const node = knowing([]);
    const peer = dialedPeer(node, "chosen");
    const [a, b] = [somewhere(1), somewhere(2)];
    const told = [
      formatMultiaddr(a),
      formatMultiaddr({ ...b, peerId: a.peerId }),
      formatMultiaddr(b),
      "nonsense",
      `${formatMultiaddr(somewhere(3))}/p2p-circuit`,
      multiaddrOf({ ...party("us") }),
      formatMultiaddr({ ...somewhere(4), host: "10.0.0.1" }),
      formatMultiaddr({ ...somewhere(5), host: "127.0.0.1" }),
      formatMultiaddr({ ...somewhere(6), hostKind: "dns4", host: "evil.example" }),
    ];
    expect(answer(node, peer, told).actions.map(({ type }) => type)).toContain("book/answered");
    const { entries } = node.state.book.addresses;
    const unproven = [...entries.values()].filter(({ table }) => table === "fresh");
    expect(unproven.map(({ address }) => address.host)).toEqual([a.host, b.host]);
    for (const entry of unproven) expect(entry.source.peerId).toBe(peer.peerId);
  });
});

describe("addresses: telling", () => {
  const toldTo = (node: TestNode, peer: TestPeer, id = 0): readonly string[] | undefined => {
    const sent = sentOn(say(node, peer.attemptId, request(id, ASK)).effects, peer.attemptId);
    const [body] = sent.flatMap(({ message }) => (message.tag === "response" ? [message.body] : []));
    return body !== undefined && "tag" in body && body.tag === "peers" ? body.addresses : undefined;
  };

  /** A live peer that is reached at this address. */
  function readyAt(node: TestNode, name: string, remoteAddress: string): TestPeer {
    const { attemptId } = offerFrom(node, party(name));
    node.feed({ type: "event/connected", attemptId, fingerprint: FINGERPRINT, remoteAddress });
    for (const channel of CHANNEL_NAMES) node.feed({ type: "event/channelOpened", attemptId, channel });
    sayHello(node, attemptId);
    return { ...party(name), attemptId };
  }

  test("P17: proven addresses only, 64 at most, and not the asker's own; NotFound where there are none", () => {
    const heard = Array.from({ length: 100 }, (_, number) => somewhere(number));
    const proven = Array.from({ length: 100 }, (_, number) => somewhere(100 + number));
    const asker = party("somebody 100");
    const node = knowing(heard, proven);
    const told = toldTo(node, readyPeer(node, "somebody 100"));
    expect(told?.length).toBe(PEERS_ANSWER_MAX);
    for (const text of told ?? []) {
      expect(node.state.book.addresses.entries.get(text)?.table).toBe("tried");
      expect(text).not.toContain(asker.peerId);
    }
    const ignorant = knowing(heard);
    expect(toldTo(ignorant, readyPeer(ignorant, "asker"))).toBeUndefined();
  });

  test("P17: private addresses are told to peers at private addresses only, loopback ones on this machine", () => {
    const proven = [somewhere(1), somewhere(2, "192.168.0.2"), somewhere(3, "127.0.0.1")];
    const hostsFor = (remoteAddress: string): readonly string[] => {
      const node = knowing([], proven);
      const told = toldTo(node, readyAt(node, "asker", remoteAddress)) ?? [];
      return told.map((text) => text.split("/")[2] ?? "").sort();
    };
    expect(hostsFor("20.1.1.1")).toEqual(["50.0.1.1"]);
    expect(hostsFor("10.1.1.1")).toEqual(["192.168.0.2", "50.0.1.1"]);
    expect(hostsFor("127.0.0.1")).toEqual(["127.0.0.1", "192.168.0.2", "50.0.1.1"]);
  });
});

describe("addresses: proof", () => {
  test("P17: an address is proven by a ready connection with its key that we dialed there, not before", () => {
    const node = knowing([]);
    const { attemptId } = dialTo(node, party("chosen"));
    openTransport(node, attemptId);
    expect(entryOf(node, addressOf(party("chosen")))).toBeUndefined();
    sayHello(node, attemptId);
    expect(entryOf(node, addressOf(party("chosen")))).toMatchObject({ table: "tried", failures: 0 });
  });

  test("P17: what an offer says of its sender's address is a claim; it counts only if it names its sender", () => {
    const node = knowing([]);
    const claim = (name: string, listen: string): void => {
      const { attemptId } = offerFrom(node, party(name), { changes: { listen } });
      openTransport(node, attemptId);
      sayHello(node, attemptId);
    };
    claim("honest", multiaddrOf(party("honest")));
    claim("liar", multiaddrOf(party("victim")));
    claim("odd", "nowhere");
    expect([...node.state.book.addresses.entries.values()]).toMatchObject([
      { address: addressOf(party("honest")), table: "fresh", source: { peerId: party("honest").peerId } },
    ]);
  });

  const claiming = (): {
    readonly node: TestNode;
    readonly peer: TestPeer;
    readonly address: DialAddress;
  } => {
    const node = knowing([], [], { peersMin: 1, peersMax: 3 });
    const changes = { listen: multiaddrOf(party("came")) };
    return { node, peer: readyPeer(node, "came", { changes }), address: addressOf(party("came")) };
  };

  const dialOf = (node: TestNode, { peerId }: Party) => node.state.peers.get(peerId)?.dialing ?? null;

  test("P17: a peer that has dialed us is dialed once: that it signs there to be connected is the proof", () => {
    const { node, peer, address } = claiming();
    const effects = node.pass(BOOK_VERIFY_MS);
    expect(dialed(node, effects)).toEqual([address.host]);
    const attemptId = dialOf(node, peer);
    if (attemptId === null) throw new Error("it is dialed");
    continueDial(node, attemptId, effects, "openingReply");
    const refusal = rejectionOf(node, attemptId, REJECTIONS.indexOf("alreadyConnected"), 0);
    node.feed({ type: "event/envelopeOpened", attemptId, plaintext: refusal });
    expect(entryOf(node, address)?.successMs).toBeNull();
    node.feed({ type: "event/signatureChecked", attemptId, valid: true });
    expect(entryOf(node, address)).toMatchObject({ successMs: node.nowMs, failures: 0 });
    // It came by itself: it is passed on, but has not chosen itself a place among those that we have chosen (P25).
    expect(entryOf(node, address)?.table).toBe("fresh");
    const told = sample(node.state.book.addresses, { rng: node.state.rng }, 64, () => true);
    expect(told).toEqual([address]);
    expect(liveOf(node, peer)?.attemptId).toBe(peer.attemptId);
    closeTransport(node, attemptId);
    expect(dialed(node, passWith(node, peer, 3 * BOOK_VERIFY_AGAIN_MS))).toEqual([]);
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("P17: what the operator wants dialed besides is proven by that as well, and no failure", () => {
    const { node, peer, address } = claiming();
    node.feed({ type: "command/dial", requestId: freshRequestId(), address });
    const effects = node.pass(BOOK_VERIFY_MS);
    const attemptId = dialOf(node, peer);
    if (attemptId === null) throw new Error("it is dialed");
    continueDial(node, attemptId, effects, "openingReply");
    const refusal = rejectionOf(node, attemptId, REJECTIONS.indexOf("alreadyConnected"), 0);
    node.feed({ type: "event/envelopeOpened", attemptId, plaintext: refusal });
    node.feed({ type: "event/signatureChecked", attemptId, valid: true });
    expect(entryOf(node, address)).toMatchObject({ successMs: node.nowMs, failures: 0 });
    expect(node.state.targets.get(formatMultiaddr(address))?.failures).toBe(0);
  });

  test("nobody is dialed in a group that the operator has banned, not even to verify a claim", () => {
    const node = knowing([], [], { peersMin: 1, peersMax: 3 });
    const address = addressOf(party("came"));
    const subject = { tag: "group", group: addressGroup(address.host) } as const;
    node.feed({ type: "command/ban", requestId: freshRequestId(), subject, forMs: null });
    const changes = { listen: formatMultiaddr(address) };
    const elsewhere = { remoteAddress: "88.0.0.1", selected: "88.0.0.1" };
    const peer = readyPeer(node, "came", { changes, ...elsewhere });
    expect(dialed(node, passWith(node, peer, BOOK_VERIFY_MS + BOOK_VERIFY_AGAIN_MS))).toEqual([]);
  });

  test("P25: a claim that is being verified is no peer of our choice: who comes by itself gets no slot by it", () => {
    // One of four slots is for our own choice.
    const node = knowing([], [], { peersMin: 1, peersMax: 4 });
    const changes = { listen: multiaddrOf(party("came")) };
    const came = readyPeer(node, "came", { changes });
    readyPeer(node, "second");
    readyPeer(node, "third");
    node.pass(BOOK_VERIFY_MS);
    expect(dialOf(node, came)).not.toBeNull();
    // It leaves, and keeps its slot by the dial: another must not take it for one of our own choice.
    closeTransport(node, came.attemptId);
    const { attemptId } = offerFrom(node, party("fourth"));
    expect(node.state.attempts.get(attemptId)?.phase.tag).not.toBe("connecting");
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test("P25: if it takes the offer instead, that is a proof too, but no connection of our choice", () => {
    const { node, peer, address } = claiming();
    const effects = node.pass(BOOK_VERIFY_MS);
    const attemptId = dialOf(node, peer);
    if (attemptId === null) throw new Error("it is dialed");
    continueDial(node, attemptId, effects);
    expect(entryOf(node, address)).toMatchObject({ table: "fresh", successMs: node.nowMs, failures: 0 });
    expect(node.state.attempts.get(attemptId)?.phase.tag).toBe("closing");
    expect(liveOf(node, peer)).toMatchObject({ attemptId: peer.attemptId, direction: "incoming" });
    expect(brokenInvariants(node.state)).toEqual([]);
  });

  test.each(REJECTIONS.filter((name) => name !== "alreadyConnected"))(
    "P17: another answer there, %s, proves nothing",
    (name) => {
      const { node, peer, address } = claiming();
      const effects = node.pass(BOOK_VERIFY_MS);
      const attemptId = dialOf(node, peer);
      if (attemptId === null) throw new Error("it is dialed");
      continueDial(node, attemptId, effects, "openingReply");
      const refusal = rejectionOf(node, attemptId, REJECTIONS.indexOf(name), 0);
      node.feed({ type: "event/envelopeOpened", attemptId, plaintext: refusal });
      node.feed({ type: "event/signatureChecked", attemptId, valid: true });
      expect(entryOf(node, address)).toMatchObject({ table: "fresh", failures: 1 });
    },
  );

  test("P17: a claim where nobody answers is dialed a few times, then no more", () => {
    const { node, peer } = claiming();
    let dials = 0;
    for (let round = 0; round < 600; round++) {
      for (const effect of effectsOf(passWith(node, peer, 1_000), "effect/createOffer")) {
        dials += 1;
        continueDial(node, effect.attemptId, [effect], "awaitingReply");
        const outcome = { tag: "failed", error: "refused" } as const;
        node.feed({ type: "event/signalAnswered", attemptId: effect.attemptId, outcome });
        closeTransport(node, effect.attemptId);
      }
    }
    expect([dials, liveOf(node, peer) !== undefined]).toEqual([3, true]);
  });
});

describe("addresses: dialing", () => {
  test("one per second and four at once, until there are enough", () => {
    const node = knowing(
      [],
      Array.from({ length: 60 }, (_, number) => somewhere(number)),
    );
    wake(node);
    const perSecond = Array.from({ length: 8 }, () => dialed(node, node.pass(BOOK_LOOK_MS)).length);
    expect(perSecond.every((count) => count <= 1)).toBe(true);
    expect(perSecond.reduce((sum, count) => sum + count, 0)).toBe(BOOK_DIALS_MAX);
    expect(node.state.targets.size).toBe(0);
  });

  test("fewer than peersMin, or fewer chosen ones than are kept free, is too few; peersMax is never passed", () => {
    const proven = Array.from({ length: 60 }, (_, number) => somewhere(number));
    const connectedWith = (config: Partial<Config>): readonly [number, number] => {
      const node = knowing([], proven, config);
      for (let number = 0; number < 3; number++) readyPeer(node, `came ${number}`);
      for (let round = 0; round < 60; round++) {
        for (const effect of effectsOf(node.pass(1_000), "effect/createOffer")) {
          continueDial(node, effect.attemptId, [effect]);
          openTransport(node, effect.attemptId);
          sayHello(node, effect.attemptId);
        }
        expect(node.state.peers.size).toBeLessThanOrEqual(config.peersMax ?? 0);
        expect(brokenInvariants(node.state)).toEqual([]);
        if (round === 15) break;
      }
      const outgoing = [...node.state.peers.values()].filter(({ live }) => live?.direction === "outgoing");
      return [node.state.peers.size, outgoing.length];
    };
    expect(connectedWith({ peersMin: 1, peersMax: 32 })).toEqual([11, 8]);
    expect(connectedWith({ peersMin: 1, peersMax: 8 })).toEqual([5, 2]);
    expect(connectedWith({ peersMin: 12, peersMax: 32 })).toEqual([12, 9]);
    expect(connectedWith({ peersMin: 9, peersMax: 5 })).toEqual([5, 2]);
  });

  test("P25: whom a relay names is not of our choice: it takes no slot that is kept for that, and may have to go", () => {
    const node = knowing(
      [],
      Array.from({ length: 60 }, (_, number) => somewhere(number)),
    );
    const relay = readyPeer(node, "relay");
    for (let number = 0; number < 7; number++) {
      say(node, relay.attemptId, discovery({ tag: "getNext" }));
      const { attemptId, peerId, sealed } = takenOffer(node, relay, `named ${number}`);
      expect(sentOn(sealed, relay.attemptId).map(({ message }) => message.tag)).toContain("accept");
      openTransport(node, attemptId);
      sayHello(node, attemptId);
      expect(node.state.peers.get(peerId)?.live?.direction).toBe("outgoing");
      node.freeze(DISCOVERY_PAUSE_MS);
    }
    expect(outgoingCount(node.state)).toBe(0);
    expect(lacksPeers(node.state)).toBe(true);
    for (let number = 0; number < 15; number++) readyPeer(node, `came ${number}`);
    const { attemptId } = offerFrom(node, party("one too many"));
    openTransport(node, attemptId);
    sayHello(node, attemptId);
    expect([...node.state.peers.values()].filter(({ live }) => live !== null)).toHaveLength(23);
  });

  test("P17: unproven addresses: one dial per IP and minute, one per group and 10 s", () => {
    const victim = Array.from({ length: 50 }, (_, number) => somewhere(number, "70.0.0.1", 1_000 + number));
    const neighbours = Array.from({ length: 10 }, (_, number) =>
      somewhere(100 + number, `70.0.0.${number + 2}`),
    );
    const node = knowing([...victim, ...neighbours]);
    wake(node);
    const dials = refuseFor(node, 5 * 60_000);
    const atVictim = dials.filter(([host]) => host === "70.0.0.1").map(([, atMs]) => atMs);
    expect(atVictim.length).toBeGreaterThan(1);
    const leastGap = (times: readonly number[]): number =>
      Math.min(...times.slice(1).map((atMs, index) => atMs - (times[index] ?? 0)));
    expect(leastGap(atVictim)).toBeGreaterThanOrEqual(BOOK_IP_REST_MS - 100);
    expect(leastGap(dials.map(([, atMs]) => atMs))).toBeGreaterThanOrEqual(BOOK_GROUP_REST_MS - 100);
    expect(node.state.book.resting.size).toBeLessThanOrEqual(12);
  });

  test("on one machine each socket counts by itself", () => {
    const local = Array.from({ length: 5 }, (_, number) => somewhere(number, "127.0.0.1", 7_300 + number));
    const node = knowing([], [], { peersMin: 8 });
    const addresses = local.reduce(
      (book, address) => hear(book, address, { ...source, remoteAddress: "127.0.0.1" }),
      node.state.book.addresses,
    );
    const here = node.at({ ...node.state, book: { ...node.state.book, addresses } });
    wake(here);
    expect(refuseFor(here, 8_000).length).toBeGreaterThanOrEqual(5);
  });

  test("an address that fails is dialed less and less, one whose connection lasted soon again", () => {
    const address = somewhere(1);
    const node = knowing([], [address]);
    wake(node);
    const times = refuseFor(node, 200_000).map(([, atMs]) => atMs);
    const gaps = times.slice(1).map((atMs, index) => atMs - (times[index] ?? 0));
    expect(gaps.at(-1)).toBeGreaterThan(2 * (gaps[1] ?? 0));
    expect(entryOf(node, address)?.failures).toBe(times.length);
  });

  test("what the operator disconnects is left alone for ten minutes", () => {
    const address = somewhere(1);
    const node = knowing([], [address]);
    wake(node);
    const begun = node.pass(2_000);
    const [effect] = effectsOf(begun, "effect/createOffer");
    if (effect === undefined) throw new Error("it is dialed");
    continueDial(node, effect.attemptId, begun);
    openTransport(node, effect.attemptId);
    sayHello(node, effect.attemptId);
    node.feed({ type: "command/disconnect", requestId: freshRequestId(), peerId: address.peerId });
    closeTransport(node, effect.attemptId);
    expect(entryOf(node, address)?.nextMs).toBe(node.nowMs + DIAL_REFUSED_MS);
  });

  test("banned and resting keys, groups that are shut out, ourselves, who is connected and what the operator dials are passed over", () => {
    const [banned, resting, us] = [somewhere(1), somewhere(2), addressOf(party("us"))];
    const shutOut = somewhere(3);
    const connected = { ...addressOf(party("waker")), host: "50.0.9.1" };
    const node = knowing([], [banned, resting, shutOut, us, connected]);
    const offender = { bannedUntilMs: 0, bannedFor: null, restUntilMs: 0, strikesMs: [] };
    const untilMs = node.nowMs + 10 * DIAL_BACKOFF_RESET_MS;
    const offenders = node.state.offenders
      .set(banned.peerId, { ...offender, bannedUntilMs: untilMs })
      .set(resting.peerId, { ...offender, restUntilMs: untilMs });
    const group = { bannedUntilMs: untilMs, bannedFor: "badState", violations: [] } as const;
    const groups = node.state.groups.set(addressGroup(shutOut.host), group);
    const here = node.at({ ...node.state, offenders, groups });
    wake(here);
    expect(effectsOf(here.pass(2 * BOOK_IDLE_MS - 1_000), "effect/createOffer")).toEqual([]);
    expect(here.state.book.lookedMs).toBeGreaterThan(node.nowMs);
  });

  test("whoever fills the table of those who were asked fills it for ten minutes", () => {
    const full = (state: State): State => ({
      ...state,
      book: {
        ...state.book,
        asked: SortedMap.from(
          Array.from(
            { length: BOOK_ASKED_MAX },
            (_, index) => [`asked ${index}` as PeerId, state.timeMs + BOOK_ASK_MS] as const,
          ),
        ),
      },
    });
    const node = testNode({ peersMin: 8 }, "us", undefined, full);
    const early = dialedPeer(node, "early");
    expect(requestsTo(node.pass(9_000), early.attemptId)).toEqual([]);
    node.freeze(BOOK_ASK_MS);
    const later = dialedPeer(node, "later");
    node.pass(1_000);
    expect(node.state.book.asked.has(later.peerId)).toBe(true);
    expect(node.state.book.asked.size).toBeLessThan(BOOK_ASKED_MAX);
  });

  test("a node that stops dials nobody, and forgets when it would have looked", () => {
    const node = knowing([], [somewhere(1)]);
    wake(node);
    node.feed({ type: "command/stop" });
    expect(effectsOf(node.pass(60_000), "effect/createOffer")).toEqual([]);
    expect(node.state.deadlines.byName.has("book")).toBe(false);
  });
});

describe("addresses: replacing peers", () => {
  /** A node with four peers of its own choice, which answer everything, and more addresses. */
  function settled(config: Partial<Config> = {}): {
    readonly node: TestNode;
    readonly run: (ms: number) => void;
  } {
    const proven = Array.from({ length: 40 }, (_, number) => somewhere(number));
    const node = knowing([], proven, { peersMin: 1, peersMax: 16, ...config });
    const run = (ms: number): void => {
      for (const untilMs = node.nowMs + ms; node.nowMs < untilMs; ) {
        const effects = node.pass(1_000);
        for (const effect of effectsOf(effects, "effect/createOffer")) {
          continueDial(node, effect.attemptId, [effect]);
          openTransport(node, effect.attemptId);
          sayHello(node, effect.attemptId);
        }
        for (const { attemptId, message } of effectsOf(effects, "effect/send")) {
          if (message.tag === "ping") say(node, attemptId, control({ tag: "pong", n: message.n }));
        }
        for (const { attemptId } of effectsOf(effects, "effect/close")) closeTransport(node, attemptId);
        expect(brokenInvariants(node.state)).toEqual([]);
      }
    };
    wake(node);
    run(15_000);
    return { node, run };
  }

  const outgoing = (node: TestNode): readonly PeerId[] =>
    [...node.state.peers.values()].flatMap(({ peerId, live }) =>
      live?.direction === "outgoing" ? [peerId] : [],
    );

  /** The live peer with these changes. */
  const change = (node: TestNode, peerId: PeerId, changes: Partial<LivePeer>): TestNode =>
    node.at({
      ...node.state,
      peers: node.state.peers.update(peerId, (peer) => ({
        ...peer,
        live: peer.live === null ? null : { ...peer.live, ...changes },
      })),
    });

  test("P25: every 5 minutes one more is tried, and the youngest of too many leaves: who serves well stays", () => {
    const { node, run } = settled();
    const chosen = outgoing(node);
    expect(chosen.length).toBe(4);
    const tried: (PeerId | undefined)[] = [];
    for (let round = 0; round < 8; round++) {
      run(ROTATE_MS);
      const now = outgoing(node);
      expect(now).toEqual(expect.arrayContaining([...chosen]));
      expect(now.length).toBeLessThanOrEqual(5);
      tried.push(now.find((peerId) => !chosen.includes(peerId)));
    }
    // Who was tried before may be tried again.
    expect(new Set(tried).size).toBeGreaterThanOrEqual(5);
    const replaced = tried.filter((peerId, round) => round > 0 && peerId !== tried[round - 1]);
    expect(node.state.endings["us useless"]).toBe(replaced.length);
  });

  test("the worst is who is behind, then who is slow, then the youngest; anchors and the operator's never", () => {
    const { node } = settled();
    const bySince = [...outgoing(node)].sort((a, b) => (liveSince(node, a) ?? 0) - (liveSince(node, b) ?? 0));
    const [anchor, second, third, youngest] = bySince as [PeerId, PeerId, PeerId, PeerId];
    const worstIn = (of: TestNode) =>
      of.state.attempts.get(worstOf(of.state, isChosen)?.attemptId as AttemptId)?.peerId;
    expect(worstIn(node)).toBe(youngest);
    const slow = { promptness: "slow", asked: 1, withheld: 0, sinceMs: 0 } as const;
    for (const [peerId, worst] of [
      [third, third],
      [second, youngest],
      [anchor, youngest],
    ] as const)
      expect(worstIn(change(node, peerId, { record: slow }))).toBe(worst);
    // The others announce a tip that is far ahead of the one that `third` has.
    const tip = { ...node.state.chain.tip, height: 10 };
    let ahead = node.at({ ...node.state, chain: { ...node.state.chain, tip } });
    for (const peerId of [anchor, second, youngest]) {
      const bestTip = node.state.peers.get(peerId)?.live?.bestTip ?? null;
      ahead = change(ahead, peerId, { bestTip: bestTip === null ? null : { ...bestTip, received: tip } });
    }
    expect(worstIn(change(ahead, youngest, { record: slow }))).toBe(third);
    const target = node.state.attempts.get(
      node.state.peers.get(youngest)?.live?.attemptId as AttemptId,
    )?.target;
    if (target == null) throw new Error("it was dialed");
    node.feed({ type: "command/dial", requestId: freshRequestId(), address: target });
    expect(worstIn(node)).toBe(third);
  });

  test("nobody leaves when there are no more than peersMin", () => {
    const { node, run } = settled({ peersMin: 6, peersMax: 8 });
    expect(node.state.peers.size).toBe(6);
    for (let round = 0; round < 60; round++) {
      run(20_000);
      expect(node.state.peers.size).toBeGreaterThanOrEqual(6);
      expect(node.state.peers.size).toBeLessThanOrEqual(8);
    }
    expect(node.state.endings["us useless"] ?? 0).toBeGreaterThan(0);
  });

  const liveSince = (node: TestNode, peerId: PeerId) => node.state.peers.get(peerId)?.live?.sinceMs;
});
