import { describe, expect, test } from "vitest";
import type { Input } from "../core/actions.ts";
import type { OurPermit, PermitChannel } from "../core/channels/permits.ts";
import type { ChannelMessage } from "../core/channels/table.ts";
import type { Effect } from "../core/effects.ts";
import type { AttemptId, Hash, PeerId } from "../core/ids.ts";
import { CHUNK_BYTES } from "../core/limits.ts";
import type { Fetch, State } from "../core/state.ts";
import { book, type Conversation, freshConversation } from "./conversation.ts";
import { BYPASS_MAX, createFairness, type End, type Fairness } from "./fairness.ts";
import type { Problems } from "./invariants.ts";
import { identityOf } from "./sim-identity.ts";
import { accountOf } from "./sim-items.ts";
import { type Cluster, type ClusterObserver, type ClusterOptions, createCluster } from "./simulator.ts";
import { createWatched } from "./watched.ts";
import { nameOf, readWire, type WireEvent } from "./wire.ts";

/** Node 0 is the one that is watched, or that has to be fair; the others are alike. */
const HUB = 0;
/** More than eight sources are permitted at once, 16 each: each could have more at any time. */
const STREAM_CHUNKS = 140;
const EQUAL_LINKS = { latencyMs: [20, 20], jitterMs: 2, closedChance: 0 } as const;

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

const payment = (sender: number, nonce: number) =>
  ({ fee: BigInt(1 + nonce), sender: accountOf(sender), nonce, verdict: "valid", salt: 0 }) as const;

/** A star: all others dial the hub. */
function connect(cluster: Cluster): void {
  for (let node = 1; node < cluster.nodes.length; node++) cluster.dial(node, HUB);
  cluster.runUntilQuiet();
}

function star(nodes: number, options: Partial<ClusterOptions>): Cluster {
  const cluster = createCluster({ nodes, seed: 1, link: EQUAL_LINKS, ...options });
  connect(cluster);
  return cluster;
}

/** Everybody submits, and the hub makes blocks: each service is given to everybody, many times. */
function bustle(planted: Planted): readonly string[] {
  const { observer, problems } = watchingHub(planted);
  const cluster = star(5, { observers: [observer] });
  for (let round = 0; round < 12; round++) {
    for (let node = 0; node < 5; node++) cluster.submit(node, payment(node, round));
    if (round % 2 === 1) cluster.produce(round % 5);
    cluster.runFor(1_500);
  }
  return problems;
}

/** A star in which some fetch the ledger that all have, from all whom they know, for a while. */
function stream(options: Partial<ClusterOptions>, downloaders: readonly number[], ms: number): Cluster {
  const cluster = star(options.nodes ?? 5, { chain: { ballast: STREAM_CHUNKS * CHUNK_BYTES }, ...options });
  beginStreams(cluster, downloaders);
  cluster.runFor(ms);
  return cluster;
}

function beginStreams(cluster: Cluster, downloaders: readonly number[]): void {
  const root = cluster.node(HUB).state.chain.tip.ledgerRoot;
  // What catching up would begin after many blocks.
  for (const node of downloaders) cluster.node(node).give({ type: "stream/fetch", root } as never);
}

const VICTIM = 2;
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

/** A peer of the hub, and what the hub and it have said to each other. */
interface Guest {
  readonly peerId: PeerId;
  readonly attemptId: AttemptId;
  readonly talk: Conversation;
}

/** A hub with four peers that nobody says anything to any more, and a fairness that has heard nothing yet. */
function quietHub() {
  const { state } = star(5, {}).node(HUB);
  const guests = [...state.peers.values()].flatMap(({ peerId, live }): readonly Guest[] =>
    live === null ? [] : [{ peerId, attemptId: live.attemptId, talk: freshConversation() }],
  );
  return { fairness: createFairness(), state, guests };
}

function says(
  { attemptId, talk }: Guest,
  fairness: Fairness,
  state: State,
  way: WireEvent["way"],
  wire: ChannelMessage,
): Problems {
  const problems = fairness.hear({ index: HUB, life: 0, state }, attemptId, { way, wire }, talk);
  book(talk, { way, wire }, { state, judged: new Map(), peerId: null, body: () => undefined });
  return problems;
}

const ancestry = (id: number): ChannelMessage => ({
  channel: "rpc",
  message: { tag: "request", id, body: { tag: "ancestry", hash: "00".repeat(32) as Hash, count: 1 } },
});

const refusal = (id: number, tag: "busy" | "notFound"): ChannelMessage => ({
  channel: "rpc",
  message: { tag: "response", id, body: { tag } },
});

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
      stream({ observers: [observer] }, downloaders, 500);
      return problems.join("\n");
    };
    expect(found({})).toBe("");
    expect(found({ hides: hiding(name), doctors: withoutStoring })).toContain(passedOver(service));
  });

  test("by one that says Busy to whom has asked little", () => {
    const { fairness, state, guests } = quietHub();
    const [guest] = guests;
    if (guest === undefined) throw new Error("there are guests");
    says(guest, fairness, state, "received", ancestry(0));
    expect(says(guest, fairness, state, "sent", refusal(0, "busy"))[0]).toContain("is busy");
  });
});

describe("a node that everybody asks at once", () => {
  /** Loading takes longer than the way there and back: who is not served in turn is not served for long. */
  const link = { ...EQUAL_LINKS, latencyMs: [1, 1], jitterMs: 0, serviceMs: [4, 8] } as const;

  test("passes nobody over who fetches items from it", () => {
    const { cluster } = createWatched({ nodes: 9, seed: 1, link });
    connect(cluster);
    for (let nonce = 0; nonce < 200; nonce++) cluster.submit(HUB, payment(nonce % 5, nonce));
    cluster.runUntilQuiet();
    expect(cluster.nodes.every(({ state }) => state.pools.transaction.entries.size === 200)).toBe(true);
  });

  test("passes nobody over who streams from it", () => {
    const { cluster } = createWatched({ nodes: 5, seed: 1, link, chain: { ballast: 60 * CHUNK_BYTES } });
    connect(cluster);
    beginStreams(cluster, [1, 2, 3, 4]);
    expect(cluster.nodes.filter(({ state }) => state.download !== null)).toHaveLength(4);
    cluster.runFor(1_000);
    expect(cluster.nodes.filter(({ state }) => state.download !== null)).toEqual([]);
  });
});

describe("P30: a server of one answer at a time", () => {
  /** Everybody asks again as soon as he was answered. */
  function serveFor(answers: number, choose: (waiting: readonly Guest[]) => Guest | undefined): Problems {
    const { fairness, state, guests } = quietHub();
    const ids = new Map(guests.map((guest) => [guest, 0]));
    // In the order in which they asked.
    let waiting = guests;
    for (const guest of guests) says(guest, fairness, state, "received", ancestry(0));
    const problems: string[] = [];
    for (let answer = 0; answer < answers; answer++) {
      const guest = choose(waiting);
      if (guest === undefined) throw new Error("somebody waits");
      const id = ids.get(guest) ?? 0;
      says(guest, fairness, state, "sent", refusal(id, "notFound"));
      problems.push(...fairness.judge({ index: HUB, life: 0, state }));
      says(guest, fairness, state, "received", ancestry(id + 1));
      ids.set(guest, id + 1);
      waiting = [...waiting.filter((other) => other !== guest), guest];
    }
    return problems;
  }

  test("may take turns", () => {
    expect(serveFor(40, ([first]) => first)).toEqual([]);
  });

  test("may not answer the greatest peer first", () => {
    const greatest = (waiting: readonly Guest[]): Guest | undefined =>
      [...waiting].sort((a, b) => (a.peerId < b.peerId ? 1 : -1))[0];
    expect(serveFor(40, greatest).length).toBeGreaterThan(0);
  });

  test("may not answer the last one first", () => {
    expect(serveFor(40, (waiting) => waiting.at(-1)).length).toBeGreaterThan(0);
  });

  test("may not pass one of them over for a dozen turns", () => {
    let turn = 0;
    const lazy = (waiting: readonly Guest[]): Guest | undefined =>
      waiting.find(({ peerId }) => peerId !== victimId || ++turn % 12 === 0);
    expect(serveFor(60, lazy).length).toBeGreaterThan(0);
  });
});

describe("Jain's index over equal peers is at least 0.95", () => {
  const PEERS = 16;
  const ITEMS = 100;
  const everybody = Array.from({ length: PEERS }, (_, number) => number + 1);
  const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);
  const jain = (shares: readonly number[]): number =>
    sum(shares) ** 2 / (shares.length * sum(shares.map((share) => share ** 2)));

  const ownOf = (node: number) => Array.from({ length: ITEMS }, (_, nonce) => payment(node % PEERS, nonce));

  /** A line of 100 bytes in a millisecond: what is asked for at once does not come at once. */
  const link = { ...EQUAL_LINKS, bytesPerMs: 100 };
  /** A chunk takes 60 ms. */
  const fast = { ...EQUAL_LINKS, bytesPerMs: 1_000 };

  /** How many bodies have travelled, by `from to`. */
  function bodies(counts: (from: number, to: number) => boolean) {
    const shares = new Map<string, number>();
    const observer: ClusterObserver = {
      sent: (from, _attemptId, to, channel, bytes) => {
        if (channel !== "rpc" || !counts(from.index, to.index)) return;
        const wire = readWire(channel, bytes);
        if (typeof wire === "string" || wire.channel !== "rpc" || !("body" in wire.message)) return;
        const { body } = wire.message;
        const found = body.tag === "items" ? body.found.filter(({ tag }) => tag === "some").length : 0;
        const key = `${from.index} ${to.index}`;
        shares.set(key, (shares.get(key) ?? 0) + found);
      },
    };
    return { shares, observer };
  }

  test("is 1 for equal shares, and 1/n if one has everything", () => {
    expect(jain([3, 3, 3])).toBeCloseTo(1);
    expect(jain([9, 0, 0])).toBeCloseTo(1 / 3);
  });

  test("one node serves as many downloads of items", () => {
    const { shares, observer } = bodies((from) => from === HUB);
    const cluster = star(PEERS + 1, { link, observers: [observer] });
    for (let nonce = 0; nonce < ITEMS; nonce++) cluster.submit(HUB, payment(nonce % 5, nonce));
    while (sum([...shares.values()]) < (PEERS * ITEMS) / 2) cluster.runFor(5);
    expect(jain(everybody.map((to) => shares.get(`${HUB} ${to}`) ?? 0))).toBeGreaterThanOrEqual(0.95);
  });

  test("one node serves as many streams", () => {
    const cluster = stream({ nodes: PEERS + 1, link: fast }, everybody, 1_500);
    const shares = everybody.map((node) => cluster.node(node).state.download?.stored ?? 0);
    expect(Math.min(...shares)).toBeGreaterThan(0);
    expect(jain(shares)).toBeGreaterThanOrEqual(0.95);
  });

  test.each([
    // Each has its own, or all have the same, each in its own order.
    ["what each alone has", (node: number) => ownOf(node)],
    ["what all of them have", (node: number) => everybody.flatMap((other) => ownOf((node + other) % PEERS))],
  ])("one node fetches from as many announcers: %s", (_what, itemsOf) => {
    const { shares, observer } = bodies((_from, to) => to === HUB);
    const cluster = createCluster({ nodes: PEERS + 1, seed: 1, link, observers: [observer] });
    for (const node of everybody) for (const item of itemsOf(node)) cluster.submit(node, item);
    cluster.runFor(1_000);
    for (const node of everybody) cluster.dial(HUB, node);
    while (sum([...shares.values()]) < (PEERS * ITEMS) / 2) cluster.runFor(5);
    expect(jain(everybody.map((from) => shares.get(`${from} ${HUB}`) ?? 0))).toBeGreaterThanOrEqual(0.95);
  });

  test("one node fetches a stream from eight sources", () => {
    const cluster = stream({ nodes: 9, link: fast }, [HUB], 700);
    const shares = [...(cluster.node(HUB).state.download?.sources.values() ?? [])].map(
      ({ stored }) => stored,
    );
    expect(shares).toHaveLength(8);
    expect(Math.min(...shares)).toBeGreaterThan(0);
    expect(jain(shares)).toBeGreaterThanOrEqual(0.95);
  });
});
