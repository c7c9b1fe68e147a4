import { describe, expect, test } from "vitest";
import type { Tip } from "../../core/block.ts";
import type { RpcRequest } from "../../core/channels/rpc.ts";
import { isBetterTip } from "../../core/consensus.ts";
import type { CheckId, Hash } from "../../core/ids.ts";
import { BLOCKS_KEPT_MIN, SNAPSHOT_DEPTH, SYNC_AHEAD_MAX, SYNC_BUSY_MS } from "../../core/limits.ts";
import { streamRootOf } from "../../core/stream.ts";
import { bytes32, CHAIN, childOf, headerOf } from "../testing/chain.ts";
import { say } from "../testing/messages.ts";
import type { TestPeer } from "../testing/peers.ts";
import { effectsOf, sentOn } from "../testing/results.ts";
import {
  blockItem,
  blockOn,
  chainOn,
  createWorld,
  empty,
  honest,
  type Server,
  sayTip,
  silent,
  type World,
} from "../testing/sync.ts";

const GENESIS = CHAIN.genesis;

const tipOfNode = (world: World): Hash => world.node.state.chain.tip.hash;
const last = (tips: readonly Tip[]): Tip => tips.at(-1) as Tip;

const askedOf = (world: World, { attemptId }: TestPeer, tag: RpcRequest["tag"]): readonly RpcRequest[] =>
  world.asked
    .filter((asked) => asked.attemptId === attemptId && asked.body.tag === tag)
    .map(({ body }) => body);

const blocksAsked = (world: World): readonly Hash[] =>
  world.asked.flatMap(({ body }) => (body.tag === "block" ? [body.hash] : []));

describe("sync: one block", () => {
  test("is checked, fetched, prepared, applied and adopted, one after the other", () => {
    const world = createWorld();
    const peer = world.peer("a");
    world.effects.length = 0;
    const tip = blockOn(GENESIS, "child", { transactions: ["t"] });
    world.announce(peer, tip);
    const seen = world.effects.map((effect) =>
      effect.type === "effect/send" ? `${effect.channel} ${effect.message.tag}` : effect.type,
    );
    expect(seen).toEqual([
      "effect/verifyHeaders",
      "rpc request",
      "effect/prepareBlock",
      "rpc request",
      "effect/supplyItems",
      "effect/applyBlock",
      "effect/adoptTip",
      "best-tip getNext",
    ]);
    expect(tipOfNode(world)).toBe(tip.hash);
    expect(world.node.state.sync).toMatchObject({ pursuit: null, applying: null, adopting: null });
  });

  test("needs nobody for items that the chain has", () => {
    const world = createWorld();
    const peer = world.peer("a");
    world.kept.add(blockItem("t"));
    world.announce(peer, blockOn(GENESIS, "child", { transactions: ["t"] }));
    expect(world.asked.map(({ body }) => body.tag)).toEqual(["block"]);
    expect(tipOfNode(world)).not.toBe(GENESIS.hash);
  });

  test("a tip that is not better than ours costs nothing", () => {
    const world = createWorld();
    const peer = world.peer("a");
    world.effects.length = 0;
    world.announce(peer, GENESIS);
    expect(effectsOf(world.effects, "effect/verifyHeaders")).toEqual([]);
    expect(world.asked).toEqual([]);
  });

  test("one that is applied already is adopted without asking anybody", () => {
    const world = createWorld();
    const tips = chainOn(GENESIS, 4, "half");
    const withheld = last(tips).hash;
    const a = world.peer("a", (body) =>
      body.tag === "block" && body.hash === withheld ? { tag: "notFound" } : honest(body, world),
    );
    world.announce(a, last(tips));
    expect(tipOfNode(world)).toBe(GENESIS.hash);
    world.asked.length = 0;
    world.announce(world.peer("b"), tips[2] as Tip);
    expect(world.asked).toEqual([]);
    expect(tipOfNode(world)).toBe(tips[2]?.hash);
  });
});

describe("sync: many blocks", () => {
  test("200 behind: fetched from three peers in parallel, each block once, and adopted once", () => {
    const world = createWorld();
    const peers = ["a", "b", "c"].map((name) => world.peer(name));
    const tips = chainOn(GENESIS, 200, "long");
    world.paused.add("effect/verifyHeaders");
    for (const peer of peers) world.announce(peer, last(tips));
    world.paused.clear();
    world.settle();
    expect(tipOfNode(world)).toBe(last(tips).hash);
    expect(world.node.state.chain.blocks.size).toBe(201);
    const asked = blocksAsked(world);
    expect(new Set(asked)).toEqual(new Set(tips.map(({ hash }) => hash)));
    expect(asked).toHaveLength(200);
    for (const peer of peers) expect(askedOf(world, peer, "block").length).toBeGreaterThan(50);
    expect(effectsOf(world.effects, "effect/adoptTip")).toHaveLength(1);
    // The announced header is checked alone, then the rest in two batches.
    const checked = effectsOf(world.effects, "effect/verifyHeaders").map(({ headers }) => headers.length);
    expect(checked).toEqual([1, 128, 71]);
    expect(world.asked.filter(({ body }) => body.tag === "ancestry")).toHaveLength(2);
  });

  test("no more than two requests are open per peer, and 16 blocks ahead of what is applied", () => {
    const world = createWorld();
    const peers = ["a", "b", "c"].map((name) => world.peer(name));
    const tips = chainOn(GENESIS, 40, "long");
    world.paused.add("effect/applyBlock");
    for (const peer of peers) world.announce(peer, last(tips));
    expect(blocksAsked(world)).toEqual(tips.slice(0, SYNC_AHEAD_MAX).map(({ hash }) => hash));
    world.paused.clear();
    world.settle();
    expect(tipOfNode(world)).toBe(last(tips).hash);

    const slow = createWorld();
    const open = ["a", "b", "c"].map((name) =>
      slow.peer(name, (body) => (body.tag === "block" ? null : honest(body, slow))),
    );
    for (const peer of open) slow.announce(peer, last(tips));
    for (const peer of open) expect(askedOf(slow, peer, "block")).toHaveLength(2);
    expect(new Set(blocksAsked(slow)).size).toBe(6);
  });

  test("blocks that come in any order are applied from the lowest up", () => {
    const world = createWorld();
    const held: RpcRequest[] = [];
    const peers = ["a", "b", "c"].map((name) => world.peer(name));
    const tips = chainOn(GENESIS, 6, "six");
    const answers: (() => void)[] = [];
    for (const peer of peers) {
      world.serve(peer, (body) => {
        if (body.tag !== "block") return honest(body, world);
        held.push(body);
        const live = world.node.state.peers.get(peer.peerId)?.live;
        const id = live?.rpc?.ours.find((request) => request.body === body)?.id ?? -1;
        answers.push(() => {
          const message = { tag: "response", id, body: honest(body, world) ?? { tag: "notFound" } } as const;
          say(world.node, peer.attemptId, { channel: "rpc", message });
        });
        return null;
      });
      world.announce(peer, last(tips));
    }
    expect(held).toHaveLength(6);
    for (const answer of answers.reverse()) answer();
    world.settle();
    const applied = effectsOf(world.effects, "effect/applyBlock").map(({ hash }) => hash);
    expect(applied).toEqual(tips.map(({ hash }) => hash));
    expect(tipOfNode(world)).toBe(last(tips).hash);
  });

  test("what is missing of a block is fetched from several peers, 16 at a time, and more where it did not fit", () => {
    const world = createWorld();
    const few: Server = (body) => {
      const answer = honest(body, world);
      return answer?.tag === "items" ? { ...answer, found: answer.found.slice(0, 10) } : answer;
    };
    const [a, b] = [world.peer("a", few), world.peer("b")];
    const names = Array.from({ length: 80 }, (_, index) => `item ${index}`);
    const tip = blockOn(GENESIS, "full", { transactions: names.slice(0, 70), snarks: names.slice(70) });
    world.paused.add("effect/verifyHeaders");
    for (const peer of [a, b]) world.announce(peer, tip);
    world.paused.clear();
    world.settle();
    expect(tipOfNode(world)).toBe(tip.hash);
    for (const peer of [a, b]) expect(askedOf(world, peer, "transactions").length).toBeGreaterThan(1);
    const snarks = [...askedOf(world, a, "snarks"), ...askedOf(world, b, "snarks")];
    expect(snarks.every((body) => body.tag === "snarks" && body.hashes.length <= 10)).toBe(true);
    const supplied = effectsOf(world.effects, "effect/supplyItems").flatMap(({ items }) => items);
    expect(supplied).toHaveLength(80);
  });

  test("an item that one peer does not have comes from another, who alone is asked for the rest", () => {
    const world = createWorld();
    const missing = blockItem("item 3");
    const lacking: Server = (body) => {
      const answer = honest(body, world);
      if (answer?.tag !== "items" || body.tag !== "transactions") return answer;
      return {
        ...answer,
        found: answer.found.map((found, index) => (body.hashes[index] === missing ? { tag: "none" } : found)),
      };
    };
    const [a, b] = [world.peer("a", lacking), world.peer("b", lacking)];
    const names = Array.from({ length: 40 }, (_, index) => `item ${index}`);
    const tip = blockOn(GENESIS, "lacked", { transactions: names });
    for (const peer of [a, b]) world.announce(peer, tip);
    expect(tipOfNode(world)).toBe(GENESIS.hash);
    world.announce(world.peer("c"), tip);
    expect(tipOfNode(world)).toBe(tip.hash);
  });
});

describe("sync: branches", () => {
  test("a better branch is adopted, and only its own blocks are fetched", () => {
    const world = createWorld();
    const [a, b] = [world.peer("a"), world.peer("b")];
    const common = chainOn(GENESIS, 5, "common");
    const ours = chainOn(last(common), 3, "ours");
    const theirs = chainOn(last(common), 4, "theirs");
    world.announce(a, last(ours));
    world.asked.length = 0;
    world.announce(b, last(theirs));
    expect(tipOfNode(world)).toBe(last(theirs).hash);
    expect(blocksAsked(world)).toEqual(theirs.map(({ hash }) => hash));
    const { headers } = effectsOf(world.effects, "effect/verifyHeaders").at(-1) ?? { headers: [] };
    expect(headers.map(({ height }) => height)).toEqual([8, 7, 6]);
  });

  test("what was applied for a tip that was given up is not fetched again", () => {
    const world = createWorld();
    const tips = chainOn(GENESIS, 6, "shared");
    const withheld = tips[4]?.hash;
    const a = world.peer("a", (body) =>
      body.tag === "block" && body.hash === withheld ? { tag: "notFound" } : honest(body, world),
    );
    world.announce(a, last(tips));
    expect(world.node.state.chain.blocks.size).toBe(5);
    expect(world.node.state.sync.pursuit).toBeNull();
    world.asked.length = 0;
    world.announce(world.peer("b"), blockOn(last(tips), "next"));
    expect(world.node.state.chain.tip.height).toBe(7);
    expect(blocksAsked(world)).toHaveLength(3);
    // The block that a does not have was asked of b only.
    expect(blocksAsked(world).filter((hash) => hash === withheld)).toHaveLength(1);
  });

  test("the next candidate follows at once", () => {
    const world = createWorld();
    const [a, b] = [world.peer("a"), world.peer("b")];
    const tips = chainOn(GENESIS, 4, "two");
    world.paused.add("effect/applyBlock");
    world.announce(a, tips[1] as Tip);
    world.announce(b, last(tips));
    expect(world.node.state.sync.pursuit?.tip.hash).toBe(tips[1]?.hash);
    world.paused.clear();
    world.settle();
    expect(tipOfNode(world)).toBe(last(tips).hash);
    expect(effectsOf(world.effects, "effect/adoptTip").map(({ hash }) => hash)).toEqual([
      tips[1]?.hash,
      last(tips).hash,
    ]);
  });

  test("progress can be seen: the phase, where it began and ends, and how much is applied", () => {
    const world = createWorld();
    const peer = world.peer("a");
    const tips = chainOn(GENESIS, 20, "seen");
    world.paused.add("effect/applyBlock");
    world.announce(peer, last(tips));
    const seen = () => {
      const { pursuit } = world.node.state.sync;
      return [pursuit?.stage.tag, pursuit?.fromHeight, pursuit?.tip.height, pursuit?.applied];
    };
    expect(seen()).toEqual(["blocks", 0, 20, 0]);
    world.node.feed({ type: "event/blockApplied", hash: tips[0]?.hash as Hash, verdict: { tag: "valid" } });
    expect(seen()).toEqual(["blocks", 0, 20, 1]);
  });
});

describe("sync: snapshots", () => {
  const LEDGER = new Uint8Array(60_001).fill(7);
  const LENGTH = BLOCKS_KEPT_MIN + 20;
  const tips = chainOn(GENESIS, LENGTH, "deep", { changes: { ledgerRoot: streamRootOf(LEDGER) } });
  const anchor = tips[LENGTH - 1 - SNAPSHOT_DEPTH] as Tip;

  test("deeper than what everybody keeps, the ledger of an ancestor is streamed and the rest applied on it", () => {
    const world = createWorld();
    world.ledgers.set(anchor.ledgerRoot, LEDGER);
    world.announce(world.peer("a"), last(tips));
    expect(tipOfNode(world)).toBe(last(tips).hash);
    expect(effectsOf(world.effects, "effect/applySnapshot").map(({ tip }) => tip)).toEqual([anchor]);
    expect(blocksAsked(world)).toHaveLength(SNAPSHOT_DEPTH);
    const counts = world.asked.flatMap(({ body }) => (body.tag === "ancestry" ? [body.count] : []));
    expect(counts).toEqual([128, 128, BLOCKS_KEPT_MIN - 1 - 256]);
    // What was streamed is thrown away once it is used.
    expect(effectsOf(world.effects, "effect/discardStream")).toHaveLength(1);
  });

  test("exactly so deep, blocks suffice", () => {
    const world = createWorld();
    const tip = tips[BLOCKS_KEPT_MIN - 1] as Tip;
    world.announce(world.peer("a"), tip);
    expect(tipOfNode(world)).toBe(tip.hash);
    expect(effectsOf(world.effects, "effect/applySnapshot")).toEqual([]);
  });

  test("a ledger that nobody has: given up, and fetched later from who has it", () => {
    const world = createWorld();
    const peer = world.peer("a");
    world.announce(peer, last(tips));
    expect(world.node.state.sync.pursuit).toBeNull();
    expect(world.node.state.sync.givenUp.has(last(tips).hash)).toBe(true);
    expect(world.node.state.peers.get(peer.peerId)?.live).not.toBeNull();
    world.ledgers.set(anchor.ledgerRoot, LEDGER);
    world.pass(1_000);
    expect(tipOfNode(world)).toBe(last(tips).hash);
  });

  test("a ledger that is not what its header says: the announcer is to blame", () => {
    const world = createWorld();
    const peer = world.peer("a");
    world.ledgers.set(anchor.ledgerRoot, LEDGER);
    world.ledgerVerdicts.set(anchor.hash, { tag: "invalid", detail: "a balance below zero" });
    world.announce(peer, last(tips));
    expect(world.node.state.endings).toEqual({ "us invalidBlock": 1 });
    expect(effectsOf(world.effects, "effect/discardStream")).toHaveLength(1);
  });

  test("one that stalls makes room for another tip, one that comes on does not", () => {
    const world = createWorld();
    const [a, b] = [world.peer("a"), world.peer("b", silent)];
    world.ledgers.set(anchor.ledgerRoot, LEDGER);
    world.paused.add("effect/storeChunk");
    world.announce(a, last(tips));
    const other = blockOn(GENESIS, "other");
    world.announce(b, other);
    world.serve(b, honest);
    world.pass(2_900);
    const [stored] = effectsOf(world.effects, "effect/storeChunk");
    if (stored === undefined) throw new Error("a chunk is stored");
    const { attemptId, streamId, chunk } = stored;
    const { root, index } = chunk;
    world.node.feed({ type: "event/chunkStored", attemptId, streamId, root, index, outcome: "stored" });
    world.pass(3_000);
    expect(world.node.state.sync.pursuit?.stage).toMatchObject({ tag: "snapshot", stored: 1 });
    world.pass(200);
    expect(tipOfNode(world)).toBe(other.hash);
    // What is stored of it is kept for then.
    expect(world.node.state.download).toMatchObject({ isActive: false, stored: 1 });
    // It is better still: tried again.
    expect(world.node.state.sync.givenUp.get(last(tips).hash)?.failures).toBe(1);
    world.pass(1_000);
    expect(world.node.state.sync.pursuit?.tip.hash).toBe(last(tips).hash);
  });

  test("the first block is forgotten: a better chain that begins there comes by a snapshot of its lowest block", () => {
    const world = createWorld();
    for (const tip of chainOn(GENESIS, BLOCKS_KEPT_MIN + 10, "ours")) {
      world.held.add(tip.hash);
      world.node.feed({ type: "event/blockProduced", slot: tip.slot, header: headerOf(tip) });
      world.settle();
    }
    expect(world.node.state.chain.blocks.has(GENESIS.hash)).toBe(false);
    const consensus = { ...GENESIS.consensus, minWindowDensity: 77, stakingLock: bytes32("another lock") };
    const changes = { consensus, ledgerRoot: streamRootOf(LEDGER) };
    const denser = chainOn(GENESIS, 5, "denser", { changes });
    world.ledgers.set(streamRootOf(LEDGER), LEDGER);
    world.announce(world.peer("a"), last(denser));
    expect(effectsOf(world.effects, "effect/applySnapshot").map(({ tip }) => tip.hash)).toEqual([
      denser[0]?.hash,
    ]);
    expect(tipOfNode(world)).toBe(last(denser).hash);
  });
});

describe("sync: blocks made here", () => {
  test("are known at once, and adopted if they are better than ours", () => {
    const world = createWorld();
    const peer = world.peer("a");
    const made = blockOn(GENESIS, "made");
    const next = { channel: "best-tip", message: { tag: "getNext" } } as const;
    for (let given = 0; given < 2; given++) say(world.node, peer.attemptId, next);
    world.effects.length = 0;
    world.node.feed({ type: "event/blockProduced", slot: made.slot, header: headerOf(made) });
    world.settle();
    expect(tipOfNode(world)).toBe(made.hash);
    expect(sentOn(world.effects, peer.attemptId).map(({ message }) => message.tag)).toEqual(["bestTip"]);
  });

  test("nothing was made: nothing happens", () => {
    const world = createWorld();
    const { effects } = world.node.feed({ type: "event/blockProduced", slot: 7, header: null });
    expect(effects).toEqual([]);
  });

  test("one that is made while another tip is adopted is compared with that one", () => {
    for (const isBetter of [true, false]) {
      const world = createWorld();
      const peer = world.peer("a");
      const theirs = isBetter ? blockOn(GENESIS, "theirs") : last(chainOn(GENESIS, 3, "theirs"));
      const made = last(chainOn(GENESIS, 2, "made"));
      world.paused.add("effect/adoptTip");
      world.announce(peer, theirs);
      world.node.feed({ type: "event/blockProduced", slot: made.slot, header: headerOf(made) });
      world.paused.clear();
      world.settle();
      expect(tipOfNode(world)).toBe(isBetter ? made.hash : theirs.hash);
    }
  });

  test("the pursued tip ends without a trace when what we made is better", () => {
    const world = createWorld();
    const peer = world.peer("a");
    const theirs = blockOn(GENESIS, "theirs", { transactions: ["t"] });
    world.paused.add("effect/supplyItems");
    world.serve(peer, (body) => (body.tag === "transactions" ? null : honest(body, world)));
    world.announce(peer, theirs);
    expect(world.held.has(theirs.hash)).toBe(true);
    const made = last(chainOn(GENESIS, 2, "made"));
    world.node.feed({ type: "event/blockProduced", slot: made.slot, header: headerOf(made) });
    world.settle();
    expect(world.node.state.sync).toMatchObject({ pursuit: null });
    expect(world.held.has(theirs.hash)).toBe(false);
    expect(world.node.state.sync.givenUp.size).toBe(0);
  });
});

describe("sync: what is not awaited is dropped", () => {
  test("events of the chain: late, repeated, never asked for", () => {
    const world = createWorld();
    const peer = world.peer("a");
    const tip = blockOn(GENESIS, "child", { transactions: ["t"] });
    world.announce(peer, tip);
    const before = world.node.state;
    const { hash } = tip;
    const change = {
      tip: childOf(tip),
      extendsOld: true,
      removed: [],
      returned: [],
      jobsAdded: [],
      jobsRemoved: [],
      lockHeight: 0,
    };
    const strays = [
      { type: "event/headersVerified", checkId: 1 as CheckId, verdict: { tag: "invalid", detail: "" } },
      { type: "event/headersVerified", checkId: 99 as CheckId, verdict: { tag: "valid" } },
      { type: "event/blockPrepared", hash, missing: [] },
      { type: "event/blockApplied", hash, verdict: { tag: "invalid", detail: "" } },
      { type: "event/tipAdopted", change },
      { type: "event/snapshotApplied", hash, verdict: { tag: "valid" } },
    ] as const;
    for (const stray of strays) expect(world.node.feed(stray)).toMatchObject({ actions: [], effects: [] });
    expect({ ...world.node.state, dropped: {} }).toEqual({ ...before, dropped: {} });
  });

  test("a second answer about a block that is prepared", () => {
    const world = createWorld();
    const peer = world.peer("a");
    const tip = blockOn(GENESIS, "child", { transactions: ["t"] });
    world.serve(peer, (body) => (body.tag === "transactions" ? null : honest(body, world)));
    world.announce(peer, tip);
    const { effects } = world.node.feed({ type: "event/blockPrepared", hash: tip.hash, missing: [] });
    expect(effects).toEqual([]);
  });

  test("a header that arrives while the node stops is not pursued", () => {
    const world = createWorld();
    const peer = world.peer("a");
    world.node.feed({ type: "command/stop" });
    sayTip(world.node, peer, blockOn(GENESIS));
    expect(world.node.state.sync.pursuit).toBeNull();
  });
});

describe("sync: who is asked", () => {
  test("announcers before others, others if they are as high, and nobody who is lower", () => {
    const world = createWorld();
    const tips = chainOn(GENESIS, 3, "who");
    const rival = chainOn(GENESIS, 3, "rival");
    const [low, high, announcer] = [world.peer("a"), world.peer("b"), world.peer("c")];
    world.paused.add("effect/verifyHeaders");
    const isRivalBetter = isBetterTip(last(rival), last(tips), CHAIN);
    const [worse, better] = isRivalBetter ? [last(tips), last(rival)] : [last(rival), last(tips)];
    world.announce(low, tips[0] as Tip);
    world.announce(high, worse);
    world.announce(announcer, better);
    // The one that is lower is checked first; it ends, and the best of the others is pursued.
    world.paused.clear();
    world.settle();
    expect(tipOfNode(world)).toBe(better.hash);
    const own = better.hash === last(tips).hash ? tips : rival;
    const wanted = own.filter(({ hash }) => hash !== tips[0]?.hash).map(({ hash }) => hash);
    const asked = (peer: TestPeer) =>
      askedOf(world, peer, "block").map((body) => (body.tag === "block" ? body.hash : ""));
    expect(asked(low)).toEqual([tips[0]?.hash]);
    expect(new Set([...asked(announcer), ...asked(high)])).toEqual(new Set(wanted));
    expect(asked(announcer).length).toBeGreaterThan(0);
  });

  test("nobody for a block that is higher than its tip, even if nobody else answers", () => {
    const world = createWorld();
    const tips = chainOn(GENESIS, 5, "higher");
    const low = world.peer("low");
    const high = world.peer("high", (body) => (body.tag === "ancestry" ? honest(body, world) : null));
    world.announce(low, blockOn(GENESIS, "low"));
    world.asked.length = 0;
    world.announce(high, last(tips));
    world.pass(5_000);
    const heights = (peer: TestPeer) =>
      askedOf(world, peer, "block").map(
        (body) => tips.find(({ hash }) => "hash" in body && hash === body.hash)?.height,
      );
    expect(heights(high)).toEqual([1, 2]);
    expect(heights(low)).toEqual([1]);
  });

  test("Busy is asked again after a second, NotFound never again", () => {
    const world = createWorld();
    const a = world.peer("a", () => ({ tag: "busy" }));
    const tip = blockOn(GENESIS);
    world.announce(a, tip);
    expect(blocksAsked(world)).toHaveLength(1);
    world.pass(SYNC_BUSY_MS - 100);
    expect(blocksAsked(world)).toHaveLength(1);
    world.pass(100);
    expect(blocksAsked(world)).toHaveLength(2);
    world.serve(a, empty);
    world.pass(SYNC_BUSY_MS);
    expect(blocksAsked(world)).toHaveLength(3);
    expect(world.node.state.sync.pursuit).toBeNull();
  });

  test("P20: who did not serve is not asked again, another one too after a second", () => {
    const world = createWorld();
    const [a, b] = [world.peer("a", () => null), world.peer("b", () => null)];
    const tip = blockOn(GENESIS);
    for (const peer of [a, b]) world.announce(peer, tip);
    expect(world.asked).toHaveLength(1);
    world.pass(1_000);
    expect(world.asked.map(({ attemptId }) => attemptId)).toEqual([a.attemptId, b.attemptId]);
    world.pass(7_900);
    expect(world.asked).toHaveLength(2);
    world.pass(100);
    expect(world.node.state.sync.pursuit).toBeNull();
    expect(world.node.state.sync.givenUp.get(tip.hash)?.failures).toBe(1);
  });

  test("P19: who let a request time out is not asked for anything more before it answers", () => {
    const world = createWorld();
    const a = world.peer("a", silent);
    const tips = chainOn(GENESIS, 10, "slots");
    world.announce(a, last(tips));
    const [stuck] = world.node.state.peers.get(a.peerId)?.live?.rpc?.ours ?? [];
    world.pass(20_000);
    expect(world.asked).toHaveLength(1);
    expect(world.node.state.sync.givenUp.get(last(tips).hash)?.failures).toBeGreaterThan(1);
    world.serve(a, honest);
    const body = { tag: "notFound" } as const;
    say(world.node, a.attemptId, { channel: "rpc", message: { tag: "response", id: stuck?.id ?? -1, body } });
    world.pass(60_000);
    expect(tipOfNode(world)).toBe(last(tips).hash);
  });
});
