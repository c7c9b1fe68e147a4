import { afterAll } from "vitest";
import type { ChainEvent } from "../../core/actions.ts";
import { assert } from "../../core/assert.ts";
import {
  type Block,
  type BlockBody,
  type BlockHeader,
  blockHash,
  bodyRoot,
  headerDigest,
  type UnsignedHeader,
} from "../../core/block.ts";
import { fromHex, type Hex, toHex } from "../../core/bytes.ts";
import type { BlockVerdict, ItemVerdict, TipChange } from "../../core/chain.ts";
import { itemHash } from "../../core/hash.ts";
import type { AttemptId, BatchId, CheckId, Hash, JobId } from "../../core/ids.ts";
import type { PoolName } from "../../core/pools.ts";
import type { ItemBytes } from "../../core/services.ts";
import { rawPublicKey, sign } from "../ed25519.ts";
import { createSharedThread } from "../shared-thread.ts";
import type { AppliedBlock } from "./blocks.ts";
import { createEmbeddedChain, type EmbeddedChain, type EmbeddedChainOptions } from "./chain.ts";
import { EMPTY_BODY, type Genesis, TEST_ACCOUNTS, testAccountKey } from "./genesis.ts";
import { headerAfter } from "./header.ts";
import { ledgerOf, ledgerRoot } from "./ledger.ts";
import { openDraft } from "./ledger-draft.ts";
import { mayProduce } from "./lottery.ts";
import { checkTransfer, type Payment, signTransfer } from "./transfer.ts";
import { checkWork, createSearch, encodeWork, proofOf } from "./work.ts";

type EventOf<Type extends ChainEvent["type"]> = Extract<ChainEvent, { type: Type }>;

/** A real chain whose events are waited for one by one. */
export interface OpenChain {
  readonly chain: EmbeddedChain;
  /** Every event that came, in order. */
  readonly events: readonly ChainEvent[];
  ask<Type extends ChainEvent["type"]>(
    type: Type,
    call: (chain: EmbeddedChain) => void,
  ): Promise<EventOf<Type>>;
  verify(pool: PoolName, items: readonly ItemBytes[]): Promise<readonly ItemVerdict[]>;
  judge(headers: readonly BlockHeader[]): Promise<BlockVerdict>;
  /** Prepares the block, supplies what is missing, and applies it. */
  apply(block: ForgedBlock): Promise<BlockVerdict>;
  adopt(hash: Hash): Promise<TipChange>;
}

/** Long after every slot of the tests. */
export const LATE_MS = Date.UTC(2036, 0, 1);

const BATCH = 1 as BatchId;
const CHECK = 1 as CheckId;

const opened: EmbeddedChain[] = [];
afterAll(() => {
  for (const chain of opened.splice(0)) chain.abandonSnark();
});

export function openChain(genesis: Genesis, options: Partial<EmbeddedChainOptions> = {}): OpenChain {
  const events: ChainEvent[] = [];
  const waiting: ((event: ChainEvent) => void)[] = [];
  const emit = (event: ChainEvent): void => {
    events.push(event);
    waiting.shift()?.(event);
  };
  const defaults = {
    clock: () => LATE_MS,
    account: null,
    serving: createSharedThread<AttemptId>(),
    received: () => null,
  };
  const chain = createEmbeddedChain({ genesis, emit, ...defaults, ...options });
  opened.push(chain);

  const ask: OpenChain["ask"] = async (type, call) => {
    const answer = new Promise<ChainEvent>((resolve) => waiting.push(resolve));
    call(chain);
    const event = await answer;
    assert(event.type === type, `the next event is ${type}, not ${event.type}`);
    return event as EventOf<typeof type>;
  };
  const apply = async ({ hash, block, items }: ForgedBlock): Promise<BlockVerdict> => {
    const { missing } = await ask("event/blockPrepared", () => chain.prepareBlock(hash, block));
    const wanted = new Set(missing.map((ref) => ref.hash));
    chain.supplyItems(
      hash,
      items.filter((item) => wanted.has(item.hash)),
    );
    return (await ask("event/blockApplied", () => chain.applyBlock(hash))).verdict;
  };
  return {
    chain,
    events,
    ask,
    verify: async (pool, items) => {
      const { verdicts } = await ask("event/itemsVerified", () =>
        chain.verifyItems(BATCH, pool, items, null),
      );
      assert(verdicts !== null, "the embedded chain has one verdict per item");
      return verdicts;
    },
    judge: async (headers) =>
      (await ask("event/headersVerified", () => chain.verifyHeaders(CHECK, headers))).verdict,
    apply,
    adopt: async (hash) => (await ask("event/tipAdopted", () => chain.adoptTip(hash))).change,
  };
}

const keys = Array.from({ length: TEST_ACCOUNTS }, (_, index) => testAccountKey(index));
/** Public keys of the test accounts. */
export const ACCOUNTS: readonly Hex[] = keys.map((key) => toHex(rawPublicKey(key)));

export const accountOf = (index: number): Hex => ACCOUNTS[index] ?? "";

export const itemOf = (bytes: Uint8Array): ItemBytes => ({ hash: itemHash(bytes) as Hash, bytes });

/** A transfer between test accounts. */
export async function transfer(
  { chainId }: Genesis,
  from: number,
  to: number | Hex,
  { amount = 1n, fee = 1n, nonce }: { amount?: bigint; fee?: bigint; nonce: number },
): Promise<ItemBytes> {
  const recipient = typeof to === "number" ? accountOf(to) : to;
  return itemOf(await signTransfer(testAccountKey(from), chainId, { to: recipient, amount, fee, nonce }));
}

/** A piece of work of test account `by`. */
export function work(genesis: Genesis, jobId: JobId, fee: bigint, by: number): ItemBytes {
  const claim = { jobId, fee, prover: accountOf(by) };
  const attempt = createSearch(claim, genesis.workBits);
  for (;;) {
    const found = attempt();
    if (found !== null)
      return itemOf(encodeWork(claim, found.nonce, proofOf(found.digest, genesis.proofBytes)));
  }
}

/** A block, with all that is needed to build on it. */
export interface ForgedBlock extends AppliedBlock {
  readonly body: BlockBody;
  readonly block: Block;
  readonly items: readonly ItemBytes[];
}

export interface Recipe {
  readonly slot: number;
  readonly transfers?: readonly ItemBytes[];
  readonly works?: readonly ItemBytes[];
  /** Index of a test account; `winnerOf` the slot, if not given. */
  readonly creator?: number;
  /** What is wrong with it. */
  readonly changeBody?: (body: BlockBody) => BlockBody;
  readonly change?: (header: UnsignedHeader) => UnsignedHeader;
  readonly changeSigned?: (header: BlockHeader) => BlockHeader;
}

export function genesisOf({ parameters, accounts }: Genesis): ForgedBlock {
  const { hash, ...header } = parameters.genesis;
  const block = { header, body: EMPTY_BODY };
  return { hash, ...block, block, ledger: ledgerOf(accounts, []), items: [] };
}

/** Makes a block of these items in this order, whether it is valid or not. */
export async function forge(genesis: Genesis, parent: AppliedBlock, recipe: Recipe): Promise<ForgedBlock> {
  const { slot, transfers = [], works = [] } = recipe;
  const creator = recipe.creator ?? winnerOf(genesis, slot);
  const draft = openDraft(parent.ledger, accountOf(creator), genesis.pendingJobsMax);
  const snarks = works.map((item) => {
    const checked = checkWork(genesis, item);
    assert(checked.tag === "sound", "the fixture makes sound work");
    draft.takeSnark(checked.value);
    return checked.value;
  });
  for (const item of transfers) {
    const checked = await checkTransfer(genesis.chainId, item);
    if (checked.tag === "sound") draft.pay(checked.value);
  }
  const ledger = draft.finish();
  const honest = { transactions: transfers.map(({ hash }) => hash), snarks };
  const body = recipe.changeBody?.(honest) ?? honest;
  const roots = { bodyRoot: bodyRoot(body), ledgerRoot: ledgerRoot(ledger) };
  const derived = { ...headerAfter(genesis, parent, slot, accountOf(creator)), ...roots };
  const unsigned = recipe.change?.(derived) ?? derived;
  const signed = await signedBy(creator, unsigned);
  const header = recipe.changeSigned?.(signed) ?? signed;
  const block = { header, body };
  return { hash: blockHash(header), ...block, block, ledger, items: [...transfers, ...works] };
}

export async function signedBy(creator: number, unsigned: UnsignedHeader): Promise<BlockHeader> {
  const signature = toHex(await sign(testAccountKey(creator), headerDigest(unsigned)));
  return { ...unsigned, signature };
}

/** The last test account that may produce in this slot: not one of the first, who pay and are paid in the tests. */
export function winnerOf(genesis: Genesis, slot: number): number {
  const winner = ACCOUNTS.findLastIndex((account) => mayProduce(genesis, slot, account));
  assert(winner >= 0, "half of all accounts win each slot");
  return winner;
}

/** The first slot after `after` that this test account has won. */
export function slotWonBy(genesis: Genesis, account: number, after: number): number {
  let slot = after + 1;
  while (!mayProduce(genesis, slot, accountOf(account))) slot++;
  return slot;
}

export async function paymentOf({ chainId }: Genesis, item: ItemBytes): Promise<Payment> {
  const checked = await checkTransfer(chainId, item);
  assert(checked.tag === "sound", "the fixture makes sound transfers");
  return checked.value;
}

/** Changes one bit of hexadecimal text. */
export function flip<T extends Hex>(text: T): T {
  const bytes = fromHex(text);
  bytes[0] = (bytes[0] ?? 0) ^ 1;
  return toHex(bytes) as T;
}

/** How long the turns of the event loop take, until the end: medians, as other processes share the machine. */
export async function measureTurns(isOver: (turns: number) => boolean): Promise<TurnTimes> {
  const [wall, cpu]: [number[], number[]] = [[], []];
  while (!isOver(wall.length)) {
    const [startedMs, usage] = [performance.now(), process.cpuUsage()];
    await new Promise(setImmediate);
    const { user, system } = process.cpuUsage(usage);
    wall.push(performance.now() - startedMs);
    cpu.push((user + system) / 1_000);
  }
  return { turns: wall.length, medianMs: medianOf(wall), medianCpuMs: medianOf(cpu) };
}

export interface TurnTimes {
  readonly turns: number;
  readonly medianMs: number;
  /** Does not count what other processes took. */
  readonly medianCpuMs: number;
}

function medianOf(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}
