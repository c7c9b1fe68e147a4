import { assert } from "../core/assert.ts";
import type { Block } from "../core/block.ts";
import type { Hex } from "../core/bytes.ts";
import type { ChainParameters, ItemVerdict } from "../core/chain.ts";
import type { Hash } from "../core/ids.ts";
import type { PoolName } from "../core/pools.ts";
import type { ConsensusOptions } from "./sim-consensus.ts";
import type { Give, Later } from "./sim-host.ts";
import { type Content, readItem } from "./sim-items.ts";
import type { Room } from "./sim-ledger.ts";
import { createStore, type Store } from "./sim-store.ts";
import { genesisTree, type TreeBlock } from "./sim-tree.ts";

/** Each is one property of all nodes' chains; where a node is named, of that one. */
export interface ChainOptions extends ConsensusOptions, Room {
  /** Of a batch that is not valid as a whole it cannot tell which item is not. */
  readonly isBatchOnly: boolean;
  /** A liar's: it believes in what says itself that it is not valid. */
  readonly isGullible: (node: number) => boolean;
  /** Who wins which slot; asked for what the core or the scenario wants to produce. */
  readonly mayProduce: (node: number, slot: number) => boolean;
  /** Virtual time that a proof takes, drawn for each. */
  readonly proofMs: readonly [number, number];
  /** Bytes of padding in a proof. */
  readonly proofSize: number;
}

/** The process that a chain serves. */
export interface ChainHost {
  readonly node: number;
  readonly publicKey: Hex;
  readonly parameters: ChainParameters;
  readonly nowMs: () => number;
  readonly between: (from: number, to: number) => number;
  readonly after: (delayMs: number, run: () => void) => void;
  readonly later: Later;
  readonly give: Give;
  /** What was streamed to this process; null if it is not all there. */
  readonly received: (root: Hash) => Uint8Array | null;
}

export interface Judgement {
  readonly tag: ItemVerdict["tag"];
  readonly atMs: number;
}

/** What the parts of one chain share. */
export interface Parts {
  readonly host: ChainHost;
  readonly options: ChainOptions;
  readonly isGullible: boolean;
  readonly store: Store;
  /** Applied blocks that are kept. */
  readonly tree: Map<Hash, TreeBlock>;
  readonly prepared: Map<Hash, Block>;
  /** Which pool an item is for, of all that were ever kept. */
  readonly pools: Map<Hash, PoolName>;
  /** Of every hash that was ever judged the last judgement. */
  readonly judged: Map<Hash, Judgement>;
  best: Hash;
}

export function createParts(host: ChainHost, options: ChainOptions): Parts {
  const { genesis } = host.parameters;
  return {
    host,
    options,
    isGullible: options.isGullible(host.node),
    store: createStore(),
    tree: genesisTree(genesis, options.ballast),
    prepared: new Map(),
    pools: new Map(),
    judged: new Map(),
    best: genesis.hash,
  };
}

export function bestBlock({ tree, best }: Parts): TreeBlock {
  const block = tree.get(best);
  assert(block !== undefined, "the best tip is an applied block that is kept");
  return block;
}

/** What a kept item is; null also for what says itself that it is not valid. */
export function contentOf({ pools, store, isGullible }: Parts, hash: Hash): Content | null {
  const [pool, bytes] = [pools.get(hash), store.bytesOf(hash)];
  if (pool === undefined || bytes === null) return null;
  const { content, says } = readItem(pool, bytes);
  return says === "valid" || isGullible ? content : null;
}
