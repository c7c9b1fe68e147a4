import type { Tip } from "../../core/block.ts";
import type { StreamingMessage } from "../../core/channels/streaming-rpc.ts";
import type { ChannelMessage, ChannelName } from "../../core/channels/table.ts";
import type { Hash } from "../../core/ids.ts";
import { RATE_BURST, RPC_OPEN_MAX, STREAM_OUTSTANDING_MAX } from "../../core/limits.ts";
import type { PoolName } from "../../core/pools.ts";
import { GREATEST_PRIORITY } from "../../core/priority.ts";
import { REASONS, type Reason } from "../../core/reasons.ts";
import { adopt, CHAIN, childOf, headerOf, START_MS } from "./chain.ts";
import { announce, commitmentOf, type Item, itemOf, serve, snarkOf } from "./items.ts";
import { control, discovery, exchange, getNext, infos, refloor, request, response, say } from "./messages.ts";
import { cause, type TestNode } from "./node.ts";
import type { TestPeer } from "./peers.ts";
import { chunk, snapshotOf, streaming } from "./streams.ts";

// One row for each channel: what its contract (contract.test.ts) is tried with. Written from sections 4, 5 and 7 alone.

type Prepare = (node: TestNode, peer: TestPeer) => void;

export interface Case {
  readonly name: string;
  readonly reason: Reason;
  /** Brings a node with one live peer to where the messages are meant for. */
  readonly prepare?: Prepare;
  /** All but the last are in order. */
  readonly said: readonly ChannelMessage[];
}

export interface ChannelRow {
  /** Right messages of some kinds, for mutations to start from. */
  readonly samples: readonly ChannelMessage[];
  /** Without a permit, a second permit, over the limit, out of turn: each with its reason. */
  readonly violations: readonly Case[];
  /** What looks like one of these and is none: races and what section 7 allows in so many words. */
  readonly allowed: readonly Omit<Case, "reason">[];
  /** How many messages are kept before Hello - what gives one permit and what uses one - and the nth of them. */
  readonly early: { readonly allowed: number; readonly make: (index: number) => ChannelMessage };
  /** Every state the channel can be in when its connection ends. */
  readonly states: readonly (readonly [name: string, prepare: Prepare])[];
}

const said =
  (...messages: readonly ChannelMessage[]): Prepare =>
  (node, { attemptId }) => {
    for (const message of messages) say(node, attemptId, message);
  };

const times = (count: number, make: (index: number) => ChannelMessage): readonly ChannelMessage[] =>
  Array.from({ length: count }, (_, index) => make(index));

const [x, y] = [itemOf("x"), itemOf("y", 200n)];

const ping = (n: number): ChannelMessage => control({ tag: "ping", n });
const hello = control({ tag: "hello", version: 1, session: "00".repeat(32), userAgent: "", channels: 1 });

const controlRow: ChannelRow = {
  samples: [
    ping(7),
    control({ tag: "pong", n: 7 }),
    control({ tag: "goodbye", reason: REASONS.indexOf("shutdown"), banMs: 0 }),
    hello,
  ],
  violations: [
    { name: "a second Hello", reason: "badState", said: [hello] },
    { name: "65 Pings at once", reason: "overLimit", said: times(RATE_BURST + 1, ping) },
  ],
  allowed: [
    { name: "a Pong that matches nothing", said: [control({ tag: "pong", n: 99 })] },
    { name: "64 Pings at once", said: times(RATE_BURST, ping) },
  ],
  early: { allowed: RATE_BURST, make: ping },
  states: [
    ["nothing open", () => {}],
    ["our ping open", (node) => void node.pass(10_500)],
  ],
};

const tip = childOf(CHAIN.genesis);

const giveTip: ChannelMessage = { channel: "best-tip", message: { tag: "getNext" } };
const tipSaid = (said: Tip): ChannelMessage => ({
  channel: "best-tip",
  message: { tag: "bestTip", header: headerOf(said) },
});

const bestTipRow: ChannelRow = {
  samples: [giveTip, tipSaid(tip)],
  violations: [
    {
      name: "a tip while the one before is processed: no permit",
      reason: "noPermit",
      said: [tipSaid(tip), tipSaid(childOf(tip))],
    },
    // The first is answered with our tip, the second waits for a better one.
    { name: "a second GetNext while one is open", reason: "overLimit", said: [giveTip, giveTip, giveTip] },
    {
      name: "a tip that is the one before",
      reason: "inferiorTip",
      said: [tipSaid(CHAIN.genesis), tipSaid(CHAIN.genesis)],
    },
    {
      name: "a tip that is worse than the one before, though that is ours",
      reason: "inferiorTip",
      prepare: (node) => void adopt(node, {}, tip),
      said: [tipSaid(tip), tipSaid(CHAIN.genesis)],
    },
  ],
  allowed: [
    {
      name: "a tip that is worse than ours",
      prepare: (node) => void adopt(node, {}, tip),
      said: [tipSaid(CHAIN.genesis)],
    },
    { name: "better and better ones", said: [tipSaid(CHAIN.genesis), tipSaid(tip)] },
  ],
  early: { allowed: 2, make: () => giveTip },
  states: [
    ["permits open in both directions", said(giveTip, giveTip)],
    ["a tip processed", said(giveTip, tipSaid(tip))],
    [
      "our tip waits for the buffer",
      (node, { attemptId }) => {
        node.feed({ type: "event/channelBlocked", attemptId, channel: "best-tip" });
        say(node, attemptId, giveTip);
        adopt(node, {}, tip);
      },
    ],
  ],
};

const envelope = { ephemeral: new Uint8Array(32), nonce: new Uint8Array(12), ciphertext: new Uint8Array(16) };

const discoveryRow: ChannelRow = {
  samples: [
    discovery({ tag: "getNext" }),
    discovery({ tag: "discover" }),
    discovery({ tag: "discovered", target: "0d".repeat(32) }),
    discovery({ tag: "reject" }),
    discovery({ tag: "accept", offer: envelope }),
    discovery({ tag: "answer", reply: envelope }),
    discovery({ tag: "answer", reply: null }),
  ],
  violations: [
    {
      name: "a second GetNext while one is open",
      reason: "overLimit",
      said: times(2, () => discovery({ tag: "getNext" })),
    },
    // The first is answered at once, for there is nobody; the next permit takes ten seconds.
    {
      name: "a second Discover for one permit",
      reason: "noPermit",
      said: times(2, () => discovery({ tag: "discover" })),
    },
    { name: "a Reject of nothing", reason: "badState", said: [discovery({ tag: "reject" })] },
    {
      name: "an Accept of nothing",
      reason: "badState",
      said: [discovery({ tag: "accept", offer: envelope })],
    },
    {
      name: "Discovered without Discover",
      reason: "badState",
      said: [discovery({ tag: "discovered", target: "0d".repeat(32) })],
    },
    { name: "an Answer to nothing", reason: "badState", said: [discovery({ tag: "answer", reply: null })] },
  ],
  allowed: [
    { name: "Discover, with nobody to be found", said: [discovery({ tag: "discover" })] },
    { name: "a permit", said: [discovery({ tag: "getNext" })] },
  ],
  early: { allowed: 1, make: () => discovery({ tag: "getNext" }) },
  states: [
    ["a permit of the peer open", said(discovery({ tag: "getNext" }))],
    ["the peer's Discover answered", said(discovery({ tag: "discover" }))],
  ],
};

const exchangeRow: ChannelRow = {
  samples: [
    exchange({ tag: "getNext" }),
    exchange({ tag: "offer", from: "0f".repeat(32), offer: envelope }),
    exchange({ tag: "answer", reply: envelope }),
    exchange({ tag: "answer", reply: null }),
  ],
  violations: [
    {
      name: "a second GetNext while one is open",
      reason: "overLimit",
      said: times(2, () => exchange({ tag: "getNext" })),
    },
    {
      name: "a second Offer for one permit",
      reason: "noPermit",
      said: times(2, () => exchange({ tag: "offer", from: "0f".repeat(32), offer: envelope })),
    },
    {
      name: "an Answer without an Offer",
      reason: "badState",
      said: [exchange({ tag: "answer", reply: null })],
    },
  ],
  allowed: [
    {
      name: "an Offer that cannot be opened",
      said: [exchange({ tag: "offer", from: "0f".repeat(32), offer: envelope })],
    },
    { name: "a permit", said: [exchange({ tag: "getNext" })] },
  ],
  early: { allowed: 1, make: () => exchange({ tag: "getNext" }) },
  states: [
    ["a permit of the peer open", said(exchange({ tag: "getNext" }))],
    [
      "an offer of the peer being opened",
      said(exchange({ tag: "offer", from: "0f".repeat(32), offer: envelope })),
    ],
  ],
};

function poolRow(pool: PoolName, make: (name: string) => Item): ChannelRow {
  const [a, b] = [make("a"), make("b")];
  const permit = (seq: number, changes: Parameters<typeof getNext>[1] = {}) => getNext(seq, changes, pool);
  const window = (seq: number, changes: Parameters<typeof refloor>[1] = {}) => refloor(seq, changes, pool);
  const announced = (seq: number, ...items: readonly Item[]) =>
    infos(
      seq,
      items.map(({ info }) => info),
      {},
      pool,
    );
  const floor = { floor: { class: 3, hash: a.hash } };
  const isFetched = pool !== "snark-job-commitment";
  return {
    samples: [
      permit(0),
      permit(3, { band: GREATEST_PRIORITY, resume: { epoch: 1n, next: 2n } }),
      window(4, { band: GREATEST_PRIORITY }),
      announced(0, a, b),
    ],
    violations: [
      { name: "Infos twice for one permit", reason: "noPermit", said: [announced(0, a), announced(0, b)] },
      { name: "a second GetNext while one is open", reason: "overLimit", said: [permit(0), permit(1)] },
      { name: "a GetNext whose seq does not grow", reason: "badState", said: [window(5), permit(5)] },
      { name: "a Refloor whose seq does not grow", reason: "badState", said: [permit(5), window(5)] },
      { name: "a Refloor whose seq falls", reason: "badState", said: [window(3), window(2)] },
      { name: "Infos for a window that was not given", reason: "badState", said: [announced(1, a)] },
      { name: "empty Infos without a band", reason: "badState", said: [announced(0)] },
      { name: "65 Refloors at once", reason: "overLimit", said: times(RATE_BURST + 1, (seq) => window(seq)) },
      ...(pool === "transaction"
        ? []
        : ([
            { name: "a floor in a GetNext", reason: "badState", said: [permit(0, floor)] },
            { name: "a floor in a Refloor", reason: "badState", said: [permit(0), window(1, floor)] },
          ] as const)),
    ],
    allowed: [
      { name: "64 Refloors at once, without a permit", said: times(RATE_BURST, (seq) => window(seq)) },
      { name: "a seq that skips many", said: [permit(0), window(2 ** 32 - 1)] },
      {
        name: "a cursor of another log, beyond its end",
        said: [permit(0, { resume: { epoch: 9n, next: 9n } })],
      },
    ],
    // A Refloor may follow a permit, for whatever became of the Hello on another channel.
    early: { allowed: 2, make: (index) => (index === 0 ? permit(0) : window(index)) },
    states: [
      ["permits open in both directions", said(permit(0))],
      ["something announced", (node, peer) => void announce(node, peer, [a, b])],
      [
        "something verified",
        (node, peer) => {
          announce(node, peer, [a]);
          if (isFetched) serve(node, peer, 0, a);
        },
      ],
      [
        "its permit waits for the buffer",
        (node, { attemptId }) => {
          node.feed({ type: "event/channelBlocked", attemptId, channel: pool });
          say(node, attemptId, permit(0));
        },
      ],
      [
        "a Refloor of ours is due",
        (node) => {
          adopt(node, { extendsOld: false });
        },
      ],
    ],
  };
}

const HASHES: readonly Hash[] = [x.hash];
const peersAsked = (id: number): ChannelMessage => request(id, { tag: "peers" });
const itemsAsked = (id: number): ChannelMessage => request(id, { tag: "transactions", hashes: HASHES });

const rpcRow: ChannelRow = {
  samples: [
    itemsAsked(0),
    peersAsked(0),
    request(0, { tag: "ancestry", hash: x.hash, count: 3 }),
    response(0, { tag: "items", found: [{ tag: "some", bytes: Uint8Array.of(1, 2, 3) }] }),
  ],
  violations: [
    { name: "a request id that skips one", reason: "badState", said: [peersAsked(1)] },
    { name: "a request id twice", reason: "badState", said: [peersAsked(0), peersAsked(0)] },
    { name: "a fifth open request", reason: "overLimit", said: times(RPC_OPEN_MAX + 1, itemsAsked) },
    { name: "a response to nothing", reason: "responseMismatch", said: [response(0, { tag: "notFound" })] },
    {
      name: "a response of another kind",
      reason: "responseMismatch",
      prepare: (node, peer) => void announce(node, peer, [x]),
      said: [response(0, { tag: "peers", addresses: [] })],
    },
    {
      name: "a second response",
      reason: "responseMismatch",
      prepare: (node, peer) => void announce(node, peer, [x]),
      said: [response(0, { tag: "busy" }), response(0, { tag: "busy" })],
    },
  ],
  allowed: [
    { name: "four open requests", said: times(RPC_OPEN_MAX, itemsAsked) },
    { name: "many that are answered", said: times(20, peersAsked) },
  ],
  early: { allowed: RPC_OPEN_MAX, make: peersAsked },
  states: [
    ["requests of the peer open", said(itemsAsked(0), itemsAsked(1))],
    ["ours open", (node, peer) => void announce(node, peer, [x, y])],
    [
      "all our slots abandoned",
      (node, peer) => {
        for (let count = 0; count < RPC_OPEN_MAX; count++)
          cause(node, {
            type: "rpc/request",
            peerId: peer.peerId,
            purpose: "sync",
            body: { tag: "bestTip" },
          });
        node.pass(5_000);
      },
    ],
    [
      "answers wait for the buffer",
      (node, { attemptId }) => {
        node.feed({ type: "event/channelBlocked", attemptId, channel: "rpc" });
        say(node, attemptId, peersAsked(0));
      },
    ],
  ],
};

const { root, manifest } = snapshotOf("contract", 40);
const stream = (message: StreamingMessage): ChannelMessage => streaming(message);
const asked = (id: number): ChannelMessage => stream({ tag: "request", id, root });
const next = (id: number, from: number, count: number): ChannelMessage =>
  stream({ tag: "next", id, from, count });

/** We serve stream 0 to the peer, of 40 chunks. */
const serving: Prepare = (node, { attemptId }) => {
  say(node, attemptId, asked(0));
  node.feed({ type: "event/streamOpened", attemptId, streamId: 0, manifest });
};

/** We have asked the peer for a stream. */
const fetching: Prepare = (node) => void cause(node, { type: "stream/fetch", root });

const streamingRow: ChannelRow = {
  samples: [
    asked(0),
    next(0, 0, 2),
    stream({ tag: "manifest", id: 0, manifest }),
    stream(chunk(0, 3)),
    stream({ tag: "cancel", id: 0 }),
  ],
  violations: [
    { name: "a Request id that skips one", reason: "badState", said: [asked(1)] },
    { name: "a second open stream", reason: "overLimit", said: [asked(0), asked(1)] },
    { name: "a Next for a stream never opened", reason: "badState", said: [next(0, 0, 1)] },
    {
      name: "a Manifest for what was never asked",
      reason: "badState",
      said: [stream({ tag: "manifest", id: 0, manifest })],
    },
    { name: "a Chunk for what was never asked", reason: "badState", said: [stream(chunk(0, 0))] },
    { name: "a Next beyond the end", reason: "overLimit", prepare: serving, said: [next(0, 39, 2)] },
    {
      name: "a Next for more than 16",
      reason: "overLimit",
      prepare: serving,
      said: [next(0, 0, 17)],
    },
    {
      name: "a seventeenth chunk outstanding",
      reason: "overLimit",
      prepare: serving,
      said: [next(0, 0, STREAM_OUTSTANDING_MAX), next(0, STREAM_OUTSTANDING_MAX, 1)],
    },
    {
      name: "a Manifest that does not hash to the root",
      reason: "badChunk",
      prepare: fetching,
      said: [stream({ tag: "manifest", id: 0, manifest: { ...manifest, size: 1n } })],
    },
    {
      name: "a Chunk without a Next",
      reason: "badState",
      prepare: fetching,
      said: [stream({ tag: "manifest", id: 0, manifest }), stream(chunk(0, 39))],
    },
  ],
  allowed: [
    { name: "sixteen chunks outstanding", prepare: serving, said: [next(0, 0, 8), next(0, 8, 8)] },
    { name: "the last chunk", prepare: serving, said: [next(0, 39, 1)] },
    { name: "a chunk again", prepare: serving, said: [next(0, 0, 1), next(0, 0, 1)] },
    {
      name: "Next and Cancel of a stream that has ended",
      prepare: serving,
      said: [stream({ tag: "cancel", id: 0 }), next(0, 0, 1), stream({ tag: "cancel", id: 0 })],
    },
    { name: "the next stream", prepare: serving, said: [stream({ tag: "cancel", id: 0 }), asked(1)] },
    {
      name: "Manifest and Chunk of a stream that we gave up",
      prepare: (node, peer) => {
        fetching(node, peer);
        cause(node, { type: "stream/abandon", root });
      },
      said: [stream({ tag: "manifest", id: 0, manifest }), stream(chunk(0, 0))],
    },
  ],
  early: { allowed: 2, make: (index) => (index === 0 ? asked(0) : stream({ tag: "cancel", id: 0 })) },
  states: [
    ["a stream of the peer is looked up", said(asked(0))],
    ["a stream of the peer is open", serving],
    [
      "chunks of the peer are permitted",
      (node, peer) => {
        serving(node, peer);
        say(node, peer.attemptId, next(0, 0, 4));
      },
    ],
    ["we have asked for one", fetching],
    [
      "we wait for chunks",
      (node, peer) => {
        fetching(node, peer);
        say(node, peer.attemptId, stream({ tag: "manifest", id: 0, manifest }));
      },
    ],
    [
      "a chunk is stored",
      (node, peer) => {
        fetching(node, peer);
        said(stream({ tag: "manifest", id: 0, manifest }), stream(chunk(0, 0)))(node, peer);
      },
    ],
  ],
};

/** Whoever adds a channel adds its row. */
export const ROWS: { readonly [Name in ChannelName]: ChannelRow } = {
  control: controlRow,
  "signaling/discovery": discoveryRow,
  "signaling/exchange": exchangeRow,
  "best-tip": bestTipRow,
  transaction: poolRow("transaction", (name) => itemOf(name)),
  snark: poolRow("snark", (name) => snarkOf(name)),
  "snark-job-commitment": poolRow("snark-job-commitment", (name) => commitmentOf(name, START_MS)),
  rpc: rpcRow,
  "streaming-rpc": streamingRow,
};
