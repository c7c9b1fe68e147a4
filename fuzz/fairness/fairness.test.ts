import { describe, expect, test } from "vitest";
import type { Input } from "../../core/actions.ts";
import type { OurPermit, PermitChannel } from "../../core/channels/permits.ts";
import type { Effect } from "../../core/effects.ts";
import type { AttemptId } from "../../core/ids.ts";
import { CHUNK_BYTES } from "../../core/limits.ts";
import type { Fetch, State } from "../../core/state.ts";
import { book, type Conversation, freshConversation } from "../conversation.ts";
import { identityOf } from "../sim-identity.ts";
import type { ClusterObserver } from "../simulator.ts";
import { nameOf, readWire, type WireEvent } from "../wire.ts";
import { createFairness, type End } from "./fairness.ts";
import { beginStreams, HUB, payment, star } from "./star.ts";
import { BYPASS_MAX } from "./turns.ts";

/** As much as nobody has fetched when it is looked. */
const STREAM_CHUNKS = 140;

interface Planted {
  /** What the node seems not to have sent, to whom. */
  readonly hides?: (event: WireEvent, to: number) => boolean;
  /** What it seems to be in. */
  readonly doctors?: (state: State) => State;
  /** Which effects of a step it seems not to have had. */
  readonly drops?: (state: State, input: Input, effect: Effect) => boolean;
}

/** What fairness is told by the hub, and what it finds. */
function watchingHub({ hides = () => false, doctors = (state) => state, drops = () => false }: Planted) {
  const fairness = createFairness();
  const talks = new Map<AttemptId, Conversation>();
  const problems: string[] = [];
  const seen = (node: End): End => ({ index: node.index, life: node.life, state: doctors(node.state) });
  let hub: End | null = null;
  let before: State | null = null;
  const hear = (node: End, attemptId: AttemptId, event: WireEvent): void => {
    const talk = talks.get(attemptId) ?? freshConversation();
    talks.set(attemptId, talk);
    problems.push(...fairness.hear(seen(node), attemptId, event, talk));
    const { state } = node;
    book(talk, event, { state, judged: new Map(), peerId: null, body: () => undefined });
  };
  const observer: ClusterObserver = {
    before: (node, input) => {
      if (node.index !== HUB) return;
      [hub, before] = [node, node.state];
      problems.push(...fairness.judge(seen(node)));
      if (input.type !== "event/message") return;
      const wire = readWire(input.channel, input.bytes);
      if (typeof wire !== "string") hear(node, input.attemptId, { way: "received", wire });
    },
    after: (node, input, result) => {
      if (node.index !== HUB || before === null) return;
      const effects = result.effects.filter((effect) => !drops(node.state, input, effect));
      fairness.after(seen(node), doctors(before), input, { effects });
    },
    sent: (from, attemptId, to, channel, bytes) => {
      const wire = readWire(channel, bytes);
      if (from.index !== HUB || hub === null || typeof wire === "string") return;
      const event: WireEvent = { way: "sent", wire };
      if (!hides(event, to.index)) hear(hub, attemptId, event);
    },
  };
  return { observer, problems };
}

/** Everybody submits, one peer seldom, and all make blocks: each service is given to everybody, many times. */
function bustle(planted: Planted): readonly string[] {
  const { observer, problems } = watchingHub(planted);
  const cluster = star(5, { observers: [observer] });
  for (let round = 0; round < 12; round++) {
    for (let node = 0; node < 5; node++) {
      if (node !== VICTIM) cluster.submit(node, payment(node, round));
      else if (round % RESTS_ROUNDS === 0) cluster.submit(node, payment(node, round / RESTS_ROUNDS));
    }
    if (round % 2 === 1) cluster.produce(round % 5);
    cluster.runFor(1_500);
  }
  return problems;
}

const VICTIM = 2;
/** So many rounds of the others are one of its own: as many as may pass it over, and one. */
const RESTS_ROUNDS = BYPASS_MAX + 2;
const victimId = identityOf(`node ${VICTIM}`).peerId;

const hiding =
  (name: string) =>
  ({ wire }: WireEvent, to: number): boolean =>
    to === VICTIM && nameOf(wire) === name;

/** From some moment on the hub seems to be stuck with an item that this one peer alone has announced. */
function stuck(stage: Fetch["stage"]): (state: State) => State {
  let held: { readonly fetching: Fetch; readonly ours: OurPermit } | null = null;
  return (state) => {
    const ours = state.peers.get(victimId)?.live?.pools.transaction?.ours;
    const fetching = [...state.fetches.values()].find(
      ({ announcers }) => announcers.size === 1 && announcers.has(victimId),
    );
    if (fetching !== undefined && ours !== undefined) held ??= { fetching, ours };
    if (held === null) return state;
    const fetches = state.fetches.set(held.fetching.hash, { ...held.fetching, stage });
    return withVictim({ ...state, fetches }, { ours: held.ours });
  };
}

const withVictim = (state: State, changes: Partial<PermitChannel>): State => ({
  ...state,
  peers: state.peers.update(victimId, (peer) => {
    if (peer.live?.pools.transaction == null) return peer;
    const transaction = { ...peer.live.pools.transaction, ...changes };
    return { ...peer, live: { ...peer.live, pools: { ...peer.live.pools, transaction } } };
  }),
});

/** Nothing that this peer has sent is being verified. */
function withoutStoring(state: State): State {
  const { download } = state;
  if (download === null) return state;
  const sources = download.sources.update(victimId, (source) => ({ ...source, storing: 0 }));
  return { ...state, download: { ...download, sources } };
}

const passedOver = (service: string): string => ` ${service} ${BYPASS_MAX + 1} times while ${victimId} waits`;

describe("P30: fairness sees who is passed over", () => {
  test("nobody is, in what really happens", () => {
    expect(bustle({})).toEqual([]);
  });

  test.each([
    ["rpc response", "answer of items"],
    ["transaction getNext", "permit transaction"],
    ["best-tip bestTip", "tip"],
    ["best-tip getNext", "tip permit"],
  ])("by a node that sends one peer no %s", (name, service) => {
    expect(bustle({ hides: hiding(name) }).join("\n")).toContain(passedOver(service));
  });

  test("by a node that never offers one peer what is new", () => {
    const doctors = (state: State): State => withVictim(state, { cursor: 0 });
    expect(bustle({ hides: hiding("transaction infos"), doctors }).join("\n")).toContain(
      passedOver("infos transaction"),
    );
  });

  test("by a node that never asks one peer for what it alone has", () => {
    const found = bustle({ hides: hiding("rpc request"), doctors: stuck({ tag: "waiting" }) });
    expect(found.join("\n")).toContain(passedOver("request transaction"));
  });

  test("by a node that never looks at what one peer has brought", () => {
    const found = bustle({
      hides: hiding("rpc request"),
      doctors: stuck({ tag: "requested", from: [victimId], isLate: false }),
      drops: ({ attempts }, input, { type }) =>
        type === "effect/verifyItems" &&
        input.type === "event/message" &&
        attempts.get(input.attemptId)?.peerId === victimId,
    });
    expect(found.join("\n")).toContain(passedOver("verification transaction"));
  });

  test.each([
    ["streaming-rpc chunk", "chunk", [1, 2, 3, 4]],
    ["streaming-rpc next", "chunk permit", [HUB]],
  ])("by a node that sends one peer no %s", (name, service, downloaders) => {
    const found = (planted: Planted): string => {
      const { observer, problems } = watchingHub(planted);
      const cluster = star(5, { chain: { ballast: STREAM_CHUNKS * CHUNK_BYTES }, observers: [observer] });
      beginStreams(cluster, downloaders);
      cluster.runFor(500);
      return problems.join("\n");
    };
    expect(found({})).toBe("");
    expect(found({ hides: hiding(name), doctors: withoutStoring })).toContain(passedOver(service));
  });
});
