import type { KeyObject } from "node:crypto";
import type { ChainEvent } from "../../core/actions.ts";
import type { Block, BlockHeader } from "../../core/block.ts";
import { type Hex, toHex } from "../../core/bytes.ts";
import type { ChainParameters } from "../../core/chain.ts";
import type { AttemptId, Hash } from "../../core/ids.ts";
import type { Chain } from "../../core/services.ts";
import { rawPublicKey } from "../ed25519.ts";
import type { SharedThread } from "../shared-thread.ts";
import { adopt } from "./adoption.ts";
import { apply, applySnapshot, prepare, supply } from "./application.ts";
import { createAside } from "./aside.ts";
import { type BlockTree, createBlockTree } from "./blocks.ts";
import { signCommitment } from "./commitment.ts";
import type { Account, Genesis } from "./genesis.ts";
import { createItemStore } from "./items.ts";
import type { Parts, Producer } from "./parts.ts";
import { produce } from "./production.ts";
import { createProver } from "./prover.ts";
import { createSnapshots } from "./snapshots.ts";
import { createVerification } from "./verification.ts";

export interface EmbeddedChainOptions {
  readonly genesis: Genesis;
  readonly emit: (event: ChainEvent) => void;
  /** ms since the Unix epoch */
  readonly clock: () => number;
  /** Produces blocks and is paid for work; null: this node does neither, and requests for it stay without an event. */
  readonly account: KeyObject | null;
  /** Where what peers are served waits for its turn. */
  readonly serving: SharedThread<AttemptId>;
  /** The bytes of a ledger that was streamed to this node. */
  readonly received: (root: Hash) => Uint8Array | null;
}

export interface EmbeddedChain extends Chain {
  readonly chainId: Hex;
  readonly parameters: ChainParameters;
  /** At the best tip. */
  account(key: Hex): Account | undefined;
  /** The bytes of a kept transaction or piece of work. */
  item(hash: Hash): Uint8Array | undefined;
  /** An applied block with its body. */
  block(hash: Hash): Block | undefined;
  /** The ledger of a kept block, as it is streamed; null if no kept block names this root. */
  snapshot(root: Hash): Uint8Array | null;
  readonly keptItems: number;
  /** Prepared ones are counted too. */
  readonly keptBlocks: number;
}

/**
 * The default chain, in memory: an account ledger with ed25519-signed payments, one job of stand-in SNARK work for
 * each of them, blocks by lottery, and Mina's consensus state. Small and replaceable: it fits the contract of `Chain`
 * (core/services.ts), and nothing outside service/ knows more of it.
 */
export function createEmbeddedChain(options: EmbeddedChainOptions): EmbeddedChain {
  const { genesis, received } = options;
  const parts = partsOf(options);
  const { items, blocks } = parts;
  const snapshot = createSnapshots(blocks);
  return {
    chainId: genesis.chainId,
    parameters: genesis.parameters,
    account: (key) => blocks.best().ledger.accounts.get(key),
    item: (hash) => items.get(hash)?.bytes,
    block: (hash) => blockOf(blocks, hash),
    snapshot,
    get keptItems() {
      return items.size;
    },
    get keptBlocks() {
      return blocks.size;
    },
    ...createVerification(parts),
    ...loading(parts),
    ...applying(parts, received),
    ...making(parts),
  };
}

function partsOf({ genesis, emit, clock, account, serving }: EmbeddedChainOptions): Parts {
  const items = createItemStore(clock);
  const blocks = createBlockTree(genesis, items);
  const producer: Producer | null =
    account === null ? null : { key: account, publicKey: toHex(rawPublicKey(account)) };
  return {
    genesis,
    items,
    blocks,
    aside: createAside(items),
    emit,
    emitLater: (event) => {
      setImmediate(() => emit(event));
    },
    serving,
    clock,
    account: producer,
  };
}

/** Approximate bytes of an answer: who asks for long ones gets fewer turns. */
const HEADER_BYTES = 512;
const REFERENCE_BYTES = 64;

/** The look-up is immediate; encoding and sending wait for a turn. */
const loading = ({
  items,
  blocks,
  serving,
  emit,
}: Parts): Pick<Chain, "loadItems" | "loadBlock" | "loadAncestry"> => ({
  loadItems: (attemptId, rpcId, hashes) => {
    const found = hashes.map((hash) => items.get(hash)?.bytes ?? null);
    const bytes = found.reduce((sum, item) => sum + REFERENCE_BYTES + (item?.length ?? 0), 0);
    serving.add(attemptId, bytes, () => emit({ type: "event/itemsLoaded", attemptId, rpcId, items: found }));
  },
  loadBlock: (attemptId, rpcId, hash) => {
    const block = blockOf(blocks, hash) ?? null;
    const references = (block?.body.transactions.length ?? 0) + (block?.body.snarks.length ?? 0);
    const bytes = HEADER_BYTES + REFERENCE_BYTES * references;
    serving.add(attemptId, bytes, () => emit({ type: "event/blockLoaded", attemptId, rpcId, block }));
  },
  loadAncestry: (attemptId, rpcId, hash, count) => {
    const headers: BlockHeader[] = [];
    for (const { header } of blocks.chainOf(hash)) {
      if (headers.length >= count) break;
      headers.push(header);
    }
    const bytes = HEADER_BYTES * (1 + headers.length);
    serving.add(attemptId, bytes, () => emit({ type: "event/ancestryLoaded", attemptId, rpcId, headers }));
  },
});

type Applying = Pick<
  Chain,
  "prepareBlock" | "supplyItems" | "applyBlock" | "adoptTip" | "forgetBlocks" | "applySnapshot"
>;

const applying = (parts: Parts, received: EmbeddedChainOptions["received"]): Applying => ({
  prepareBlock: (hash, block) => {
    parts.emitLater({ type: "event/blockPrepared", hash, missing: prepare(parts, hash, block) });
  },
  supplyItems: (hash, items) => supply(parts, hash, items),
  applyBlock: (hash) => {
    void apply(parts, hash).then((verdict) => parts.emitLater({ type: "event/blockApplied", hash, verdict }));
  },
  adoptTip: (hash) => parts.emitLater({ type: "event/tipAdopted", change: adopt(parts, hash) }),
  forgetBlocks: (hashes) => {
    for (const hash of hashes) parts.blocks.forget(hash);
    parts.aside.forget(new Set(hashes));
  },
  applySnapshot: (tip) => {
    const verdict = applySnapshot(parts, tip, received(tip.ledgerRoot));
    parts.emitLater({ type: "event/snapshotApplied", hash: tip.hash, verdict });
  },
});

type Making = Pick<Chain, "produceBlock" | "signCommitment" | "makeSnark" | "abandonSnark">;

function making(parts: Parts): Making {
  const { genesis, account } = parts;
  // The prover is already in a later turn, and an event that waited longer could no longer be given up.
  const prover = createProver(genesis, ({ jobId }, bytes) =>
    parts.emit({ type: "event/snarkMade", jobId, bytes }),
  );
  return {
    produceBlock: (parent, slot, transactions, snarks) => {
      void produce(parts, parent, slot, { transactions, snarks }).then((header) =>
        parts.emitLater({ type: "event/blockProduced", slot, header }),
      );
    },
    signCommitment: (jobId, fee, issuedAt) => {
      if (account === null) return;
      void signCommitment(account.key, { jobId, fee, snarker: account.publicKey, issuedAt }).then(
        (commitment) => parts.emitLater({ type: "event/commitmentSigned", commitment }),
      );
    },
    makeSnark: (jobId, fee) => {
      if (account !== null) prover.start({ jobId, fee, prover: account.publicKey });
    },
    abandonSnark: prover.stop,
  };
}

function blockOf(blocks: BlockTree, hash: Hash): Block | undefined {
  const block = blocks.applied(hash);
  if (block === undefined || block.body === null) return undefined;
  return { header: block.header, body: block.body };
}
