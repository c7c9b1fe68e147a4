import type { Hash } from "../core/ids.ts";
import type { Chain } from "../core/services.ts";
import { POOL } from "./sim-adoption.ts";
import { blockService } from "./sim-blocks.ts";
import { DEFAULT_CONSENSUS } from "./sim-consensus.ts";
import { PADDING_MAX, signed } from "./sim-items.ts";
import { encodeLedger } from "./sim-ledger.ts";
import { bestBlock, type ChainHost, type ChainOptions, createParts, type Judgement } from "./sim-parts.ts";
import { createProver, type ProofCounts } from "./sim-prover.ts";
import type { TreeBlock } from "./sim-tree.ts";
import { itemService } from "./sim-verdicts.ts";

/**
 * A second chain, trivial and independent of the real one: it proves that core, reducers and effects know nothing of
 * either. Items and headers say themselves what is to be thought of them, and the scenario decides who produces when.
 */
export interface SimChain extends Chain {
  readonly best: () => TreeBlock;
  /** Blocks that are applied and kept. */
  readonly tree: ReadonlyMap<Hash, TreeBlock>;
  readonly bytesOf: (hash: Hash) => Uint8Array | null;
  /** What it keeps because it called it valid and was not told to forget it. */
  readonly held: () => readonly Hash[];
  /** Of every hash that it ever judged the last judgement. */
  readonly judged: ReadonlyMap<Hash, Judgement>;
  readonly proofs: ProofCounts;
  /** What peers may have streamed: the ledger after a block. */
  readonly provide: (root: Hash) => Uint8Array | null;
}

export const DEFAULT_CHAIN: ChainOptions = {
  ...DEFAULT_CONSENSUS,
  transactionsMax: 16,
  jobsMax: 64,
  isBatchOnly: false,
  isGullible: () => false,
  mayProduce: () => true,
  proofMs: [2_000, 6_000],
  proofSize: PADDING_MAX,
};

export function createChain(host: ChainHost, options: ChainOptions): SimChain {
  const parts = createParts(host, options);
  const { store, tree, judged } = parts;
  const drawMs = (): number => host.between(...options.proofMs);
  const prover = createProver({ ...host, drawMs, size: options.proofSize }, (jobId, bytes) =>
    host.give({ type: "event/snarkMade", jobId, bytes }),
  );
  return {
    tree,
    judged,
    proofs: prover.counts,
    best: () => bestBlock(parts),
    bytesOf: store.bytesOf,
    held: () => store.claimedBy(POOL),
    provide: (root) => {
      const block = [...tree.values()].find(({ tip }) => tip.ledgerRoot === root);
      return block === undefined ? store.bytesOf(root) : encodeLedger(block.ledger);
    },
    ...itemService(parts),
    ...blockService(parts),
    signCommitment: (jobId, fee, issuedAt) => {
      const commitment = signed({ jobId, fee, snarker: host.publicKey, issuedAt });
      host.later(() => host.give({ type: "event/commitmentSigned", commitment }));
    },
    makeSnark: prover.make,
    abandonSnark: prover.abandon,
  };
}
