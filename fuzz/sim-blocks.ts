import { assert } from "../core/assert.ts";
import { type Block, type BlockHeader, bodyRoot, type Tip, tipOf } from "../core/block.ts";
import type { BlockVerdict, ItemRef } from "../core/chain.ts";
import type { Hash } from "../core/ids.ts";
import type { Chain } from "../core/services.ts";
import { adopt } from "./sim-adoption.ts";
import { headerAfter, judgeHeader, refusalAfter } from "./sim-consensus.ts";
import { applyBody, decodeLedger, fillBody, ledgerRoot } from "./sim-ledger.ts";
import { contentOf, type Parts } from "./sim-parts.ts";
import { chainOf, itemsOf } from "./sim-tree.ts";

/** The simulated chain's blocks: from a header that somebody announced to the best tip, and to peers who ask. */
type BlockService = Pick<
  Chain,
  | "verifyHeaders"
  | "loadBlock"
  | "loadAncestry"
  | "prepareBlock"
  | "supplyItems"
  | "applyBlock"
  | "adoptTip"
  | "forgetBlocks"
  | "produceBlock"
  | "applySnapshot"
>;

export function blockService(parts: Parts): BlockService {
  const { host, store, tree, prepared } = parts;
  const { later, give, parameters } = host;
  return {
    verifyHeaders: (checkId, headers) => {
      later(() => {
        const verdicts = headers.map((header) => judgeHeader(parameters, header, host.nowMs()));
        const verdict =
          verdicts.find(({ tag }) => tag === "invalid") ??
          verdicts.find(({ tag }) => tag === "notNow") ??
          ({ tag: "valid" } as const);
        give({ type: "event/headersVerified", checkId, verdict });
      });
    },
    loadBlock: (attemptId, rpcId, hash) => {
      later(() => {
        const known = tree.get(hash);
        const block = known?.body == null ? null : { header: known.tip, body: known.body };
        give({ type: "event/blockLoaded", attemptId, rpcId, block });
      });
    },
    loadAncestry: (attemptId, rpcId, hash, count) => {
      later(() => {
        const headers = chainOf(tree, hash)
          .slice(0, count)
          .map(({ tip }) => tip);
        give({ type: "event/ancestryLoaded", attemptId, rpcId, headers });
      });
    },
    prepareBlock: (hash, block) => {
      const refs = prepare(parts, hash, block);
      later(() => {
        const missing = refs.filter((ref) => store.bytesOf(ref.hash) === null);
        give({ type: "event/blockPrepared", hash, missing });
      });
    },
    supplyItems: (hash, items) => {
      assert(prepared.has(hash) || tree.has(hash), "items are supplied for a block that was prepared");
      for (const item of items) store.supply(item.hash, item.bytes);
    },
    applyBlock: (hash) =>
      later(() => give({ type: "event/blockApplied", hash, verdict: apply(parts, hash) })),
    adoptTip: (hash) => {
      later(() => {
        const change = adopt(parts, hash);
        parts.best = hash;
        give({ type: "event/tipAdopted", change });
      });
    },
    forgetBlocks: (hashes) => {
      for (const hash of hashes) {
        if (hash === parts.best || hash === parameters.genesis.hash) continue;
        tree.delete(hash);
        prepared.delete(hash);
        store.releaseAll(claimOf(hash));
      }
    },
    applySnapshot: (tip) =>
      later(() =>
        give({ type: "event/snapshotApplied", hash: tip.hash, verdict: applySnapshot(parts, tip) }),
      ),
    produceBlock: (parent, slot, transactions, snarks) => {
      const isAllowed = parts.options.mayProduce(host.node, slot);
      later(() => {
        const header = isAllowed ? produce(parts, parent, slot, [...transactions, ...snarks]) : null;
        give({ type: "event/blockProduced", slot, header });
      });
    },
  };
}

/** The ledger is what the header names; that the header is the chain's own was found out before. */
function applySnapshot({ host, tree }: Parts, tip: Tip): BlockVerdict {
  const bytes = host.received(tip.ledgerRoot);
  const ledger = bytes === null ? null : decodeLedger(bytes);
  if (ledger === null) return { tag: "notNow", detail: "its ledger is not here" };
  if (ledgerRoot(ledger) !== tip.ledgerRoot || ledger.height !== tip.height)
    return { tag: "invalid", detail: "another ledger" };
  if (!tree.has(tip.hash)) tree.set(tip.hash, { tip, body: null, ledger });
  return { tag: "valid" };
}

const claimOf = (block: Hash): string => `block ${block}`;

function prepare({ store, tree, prepared, pools }: Parts, hash: Hash, block: Block): readonly ItemRef[] {
  assert(bodyRoot(block.body) === block.header.bodyRoot, "a block is prepared with its own body");
  if (!tree.has(hash)) prepared.set(hash, block);
  const { transactions, snarks } = block.body;
  const refs: readonly ItemRef[] = [
    ...transactions.map((item) => ({ pool: "transaction", hash: item }) as const),
    ...snarks.map((item) => ({ pool: "snark", hash: item.hash }) as const),
  ];
  for (const ref of refs) {
    store.claim(claimOf(hash), ref.hash);
    pools.set(ref.hash, ref.pool);
  }
  return refs;
}

function apply(parts: Parts, hash: Hash): BlockVerdict {
  const { host, store, tree, prepared } = parts;
  if (tree.has(hash)) return { tag: "valid" };
  const block = prepared.get(hash);
  const parent = block === undefined ? undefined : tree.get(block.header.parent);
  if (block === undefined || parent === undefined)
    return { tag: "notNow", detail: "it or its parent is not known" };
  const { header, body } = block;
  assert(
    itemsOf(body).every((item) => store.bytesOf(item) !== null),
    "a block is applied when nothing of it is missing",
  );
  const refusal = refusalAfter(host.parameters, parent.tip, header);
  if (refusal !== null) return { tag: "invalid", detail: refusal };
  const applied = applyBody(parent.ledger, body, (item) => contentOf(parts, item));
  if (applied.tag === "refused") return { tag: "invalid", detail: applied.detail };
  if (ledgerRoot(applied.ledger) !== header.ledgerRoot)
    return { tag: "invalid", detail: "another ledger root" };
  tree.set(hash, { tip: { ...header, hash }, body, ledger: applied.ledger });
  prepared.delete(hash);
  return { tag: "valid" };
}

function produce(parts: Parts, parentHash: Hash, slot: number, offered: readonly Hash[]): BlockHeader | null {
  const { host, options, store, tree } = parts;
  const parent = tree.get(parentHash);
  if (parent === undefined || slot <= parent.tip.slot) return null;
  const contents = offered.flatMap((hash) => contentOf(parts, hash) ?? []);
  const body = fillBody(parent.ledger, contents, options);
  const applied = applyBody(parent.ledger, body, (item) => contentOf(parts, item));
  assert(applied.tag === "applied", "a body is filled with what can be applied");
  const { ledger } = applied;
  const made = { slot, creator: host.publicKey, bodyRoot: bodyRoot(body), ledgerRoot: ledgerRoot(ledger) };
  const header = headerAfter(host.parameters, parent.tip, made);
  const tip = tipOf(header);
  for (const hash of itemsOf(body)) store.claim(claimOf(tip.hash), hash);
  tree.set(tip.hash, { tip, body, ledger });
  return header;
}
