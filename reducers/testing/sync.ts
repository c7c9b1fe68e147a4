import { type Block, type BlockBody, type BlockHeader, bodyRoot, type Tip, tipOf } from "../../core/block.ts";
import { ascii } from "../../core/bytes.ts";
import type { BlockVerdict, ItemRef, TipChange } from "../../core/chain.ts";
import type { RpcRequest, RpcResponse } from "../../core/channels/rpc.ts";
import type { StreamingMessage } from "../../core/channels/streaming-rpc.ts";
import type { Effect } from "../../core/effects.ts";
import { itemHash, leafHashes } from "../../core/hash.ts";
import type { AttemptId, Hash } from "../../core/ids.ts";
import { CHUNK_BYTES } from "../../core/limits.ts";
import type { Config } from "../../core/state.ts";
import { createTree, manifestOf, proofOf } from "../../core/stream.ts";
import { brokenInvariants } from "../invariants.ts";
import { CHAIN, childOf, headerOf } from "./chain.ts";
import { control, response, say } from "./messages.ts";
import { type TestNode, testNode } from "./node.ts";
import { readyPeer, type TestPeer } from "./peers.ts";
import type { Result } from "./results.ts";

// Blocks, a chain that applies them and peers that serve them: each effect of a node is answered by an input.

export interface MadeBlock extends Block {
  readonly tip: Tip;
}

const made = new Map<Hash, MadeBlock>();
const bytesOf = new Map<Hash, Uint8Array>();

export interface BlockOptions {
  readonly transactions?: readonly string[];
  readonly snarks?: readonly string[];
  readonly changes?: Partial<BlockHeader>;
}

/** An item that blocks refer to, known to every peer that serves honestly. */
export function blockItem(name: string): Hash {
  const bytes = ascii(`block item ${name}`);
  const hash = itemHash(bytes) as Hash;
  bytesOf.set(hash, bytes);
  return hash;
}

/** A block on this one; the same name on the same parent is the same block. */
export function blockOn(parent: Tip, name = "child", options: BlockOptions = {}): Tip {
  const body: BlockBody = {
    transactions: (options.transactions ?? []).map(blockItem),
    snarks: (options.snarks ?? []).map((snark) => {
      const hash = blockItem(snark);
      return { jobId: hash as never, hash, fee: 1n, prover: hash };
    }),
  };
  const tip = childOf(parent, name, { bodyRoot: bodyRoot(body), ...options.changes });
  made.set(tip.hash, { tip, header: headerOf(tip), body });
  return tip;
}

/** @returns the blocks, the lowest first */
export function chainOn(
  parent: Tip,
  length: number,
  name = "child",
  options: BlockOptions = {},
): readonly Tip[] {
  const tips: Tip[] = [];
  for (let tip = parent; tips.length < length; ) {
    tip = blockOn(tip, name, options);
    tips.push(tip);
  }
  return tips;
}

/** Null: the peer is silent. */
export type Server = (body: RpcRequest, world: World) => RpcResponse | null;

/** Serves every block and item there is. */
export const honest: Server = (body) => {
  switch (body.tag) {
    case "block": {
      const block = made.get(body.hash);
      return block === undefined
        ? { tag: "notFound" }
        : { tag: "block", header: block.header, body: block.body };
    }
    case "ancestry": {
      const headers: BlockHeader[] = [];
      for (let hash = body.hash; headers.length < body.count; ) {
        const header =
          made.get(hash)?.header ?? (hash === CHAIN.genesis.hash ? headerOf(CHAIN.genesis) : null);
        if (header === null) break;
        headers.push(header);
        hash = header.parent;
      }
      return headers.length === 0 ? { tag: "notFound" } : { tag: "ancestry", headers };
    }
    case "transactions":
    case "snarks":
      return {
        tag: "items",
        found: body.hashes.map((hash) => {
          const bytes = bytesOf.get(hash);
          return bytes === undefined ? { tag: "none" } : { tag: "some", bytes };
        }),
      };
    default:
      return { tag: "notFound" };
  }
};

/** Serves only what this tip consists of. */
export const keeping =
  (tip: Tip): Server =>
  (body, world) => {
    const [blocks, items] = [new Set<Hash>(), new Set<Hash>()];
    for (let block = made.get(tip.hash); block !== undefined; block = made.get(block.tip.parent)) {
      blocks.add(block.tip.hash);
      for (const hash of [...block.body.transactions, ...block.body.snarks.map((snark) => snark.hash)])
        items.add(hash);
    }
    const answer = honest(body, world);
    if ("hash" in body) return blocks.has(body.hash) ? answer : { tag: "notFound" };
    if (answer?.tag !== "items" || !("hashes" in body)) return answer;
    return {
      ...answer,
      found: answer.found.map((found, at) => (items.has(body.hashes[at] as Hash) ? found : NONE)),
    };
  };

const NONE = { tag: "none" } as const;

export const silent: Server = () => null;
export const empty: Server = () => ({ tag: "notFound" });

export interface Asked {
  readonly atMs: number;
  readonly attemptId: AttemptId;
  readonly body: RpcRequest;
}

/** A node, its chain and its peers. */
export interface World {
  readonly node: TestNode;
  /** A live peer that serves so. */
  readonly peer: (name: string, server?: Server) => TestPeer;
  /** It serves otherwise from now on. */
  readonly serve: (peer: TestPeer, server: Server) => void;
  /** The peer says that this is its best tip, and everything that follows at once happens. */
  readonly announce: (peer: TestPeer, tip: Tip) => Result;
  /** The chain's verdicts where they are not `valid`: of headers, of blocks, of ledgers. */
  readonly headerVerdicts: Map<Hash, BlockVerdict>;
  readonly blockVerdicts: Map<Hash, BlockVerdict>;
  readonly ledgerVerdicts: Map<Hash, BlockVerdict>;
  /** Items that the chain has. */
  readonly kept: Set<Hash>;
  /** Blocks that the chain holds, prepared or applied. */
  readonly held: Set<Hash>;
  /** What the chain is asked and does not answer for now. */
  readonly paused: Set<Effect["type"]>;
  readonly changes: Map<Hash, Partial<TipChange>>;
  /** Ledgers that peers stream, by root. Silent peers do not. */
  readonly ledgers: Map<Hash, Uint8Array>;
  readonly asked: Asked[];
  readonly effects: Effect[];
  /** Answers everything that is not answered, until nothing is left. */
  readonly settle: () => void;
  /** Time passes, a tenth of a second at a time. */
  readonly pass: (ms: number) => void;
}

/** The invariants are looked at after every input. */
export function createWorld(changes: Partial<Config> = {}): World {
  const pending: Effect[] = [];
  const servers = new Map<AttemptId, Server>();
  const missing = new Map<Hash, Set<Hash>>();
  const node = testNode(changes, "us", (input, result) => {
    const broken = brokenInvariants(result.state);
    if (broken.length > 0) throw new Error(`after ${input.type}: ${broken.join("; ")}`);
    pending.push(...result.effects);
    world.effects.push(...result.effects);
  });
  const world: World = {
    node,
    peer: (name, server = honest) => {
      const peer = readyPeer(node, name);
      servers.set(peer.attemptId, server);
      world.settle();
      return peer;
    },
    serve: ({ attemptId }, server) => servers.set(attemptId, server),
    announce: (peer, tip) => {
      const result = sayTip(node, peer, tip);
      world.settle();
      return result;
    },
    headerVerdicts: new Map(),
    blockVerdicts: new Map(),
    ledgerVerdicts: new Map(),
    kept: new Set(),
    held: new Set([CHAIN.genesis.hash]),
    paused: new Set(),
    changes: new Map(),
    ledgers: new Map(),
    asked: [],
    effects: [],
    settle: () => {
      const later: Effect[] = [];
      for (let effect = pending.shift(); effect !== undefined; effect = pending.shift()) {
        if (world.paused.has(effect.type)) later.push(effect);
        else answer(effect);
      }
      pending.push(...later);
    },
    pass: (ms) => {
      for (let passed = 0; passed < ms; passed += 100) {
        node.pass(Math.min(100, ms - passed));
        world.settle();
      }
    },
  };

  function answer(effect: Effect): void {
    if (effect.type === "effect/send" && effect.channel === "rpc" && effect.message.tag === "request") {
      const { attemptId, message } = effect;
      world.asked.push({ atMs: node.nowMs, attemptId, body: message.body });
      const body = servers.get(attemptId)?.(message.body, world) ?? null;
      if (body !== null) say(node, attemptId, response(message.id, body));
    } else if (effect.type === "effect/send" && effect.channel === "streaming-rpc") {
      const { attemptId, message } = effect;
      if (servers.get(attemptId) !== silent) streamTo(world, attemptId, message);
    } else if (
      effect.type === "effect/send" &&
      effect.channel === "control" &&
      effect.message.tag === "ping"
    ) {
      say(node, effect.attemptId, control({ tag: "pong", n: effect.message.n }));
    } else if (effect.type === "effect/close") {
      node.feed({ type: "event/connectionClosed", attemptId: effect.attemptId, error: null });
    } else {
      answerAsChain(world, missing, effect);
    }
  }
  return world;
}

export const sayTip = (node: TestNode, { attemptId }: TestPeer, tip: Tip): Result =>
  say(node, attemptId, { channel: "best-tip", message: { tag: "bestTip", header: headerOf(tip) } });

const streamed = new Map<string, Uint8Array>();

/** As an honest peer serves a stream. */
function streamTo({ node, ledgers }: World, attemptId: AttemptId, message: StreamingMessage): void {
  const answer = (said: StreamingMessage): void => {
    say(node, attemptId, { channel: "streaming-rpc", message: said });
  };
  const key = `${attemptId} ${message.id}`;
  if (message.tag === "request") {
    const bytes = ledgers.get(message.root);
    if (bytes !== undefined) streamed.set(key, bytes);
    answer({ tag: "manifest", id: message.id, manifest: bytes === undefined ? null : manifestOf(bytes) });
  } else if (message.tag === "next") {
    const bytes = streamed.get(key) ?? new Uint8Array();
    const tree = createTree(leafHashes(bytes));
    for (let index = message.from; index < message.from + message.count; index++) {
      const data = bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES);
      answer({ tag: "chunk", id: message.id, index, data, proof: proofOf(tree, index) });
    }
  }
}

function answerAsChain(world: World, missing: Map<Hash, Set<Hash>>, effect: Effect): void {
  const { node, held, kept } = world;
  switch (effect.type) {
    case "effect/verifyHeaders": {
      const { checkId, headers } = effect;
      const verdicts = headers.map((header) => world.headerVerdicts.get(tipOf(header).hash));
      const verdict = verdicts.find((found) => found !== undefined) ?? { tag: "valid" };
      node.feed({ type: "event/headersVerified", checkId, verdict });
      return;
    }
    case "effect/prepareBlock": {
      const { hash, block } = effect;
      held.add(hash);
      const refs: readonly ItemRef[] = [
        ...block.body.transactions.map((item) => ({ pool: "transaction" as const, hash: item })),
        ...block.body.snarks.map((item) => ({ pool: "snark" as const, hash: item.hash })),
      ];
      const lacking = refs.filter((item) => !kept.has(item.hash));
      missing.set(hash, new Set(lacking.map((item) => item.hash)));
      node.feed({ type: "event/blockPrepared", hash, missing: lacking });
      return;
    }
    case "effect/supplyItems":
      for (const item of effect.items) {
        if (missing.get(effect.hash)?.delete(item.hash) !== true) throw new Error("an item nobody lacks");
        kept.add(item.hash);
      }
      return;
    case "effect/applyBlock": {
      const { hash } = effect;
      if (missing.get(hash)?.size !== 0) throw new Error("applied although something is missing");
      const parent = made.get(hash)?.tip.parent;
      if (parent === undefined || !held.has(parent)) throw new Error("applied before its parent");
      node.feed({
        type: "event/blockApplied",
        hash,
        verdict: world.blockVerdicts.get(hash) ?? { tag: "valid" },
      });
      return;
    }
    case "effect/adoptTip":
      adoptTip(world, effect.hash);
      return;
    case "effect/applySnapshot": {
      const { hash } = effect.tip;
      const verdict = world.ledgerVerdicts.get(hash) ?? { tag: "valid" };
      if (verdict.tag === "valid") held.add(hash);
      node.feed({ type: "event/snapshotApplied", hash, verdict });
      return;
    }
    case "effect/storeChunk": {
      const { attemptId, streamId, chunk } = effect;
      const { root, index } = chunk;
      node.feed({ type: "event/chunkStored", attemptId, streamId, root, index, outcome: "stored" });
      return;
    }
    case "effect/forgetBlocks":
      for (const hash of effect.hashes) if (!held.delete(hash)) throw new Error("forgets what is not held");
  }
}

function adoptTip({ node, changes }: World, hash: Hash): void {
  const tip = made.get(hash)?.tip;
  if (tip === undefined) throw new Error("adopts an unknown block");
  const change: TipChange = {
    tip,
    extendsOld: tip.parent === node.state.chain.tip.hash,
    removed: [],
    returned: [],
    jobsAdded: [],
    jobsRemoved: [],
    lockHeight: tip.height,
    ...changes.get(hash),
  };
  node.feed({ type: "event/tipAdopted", change });
}
