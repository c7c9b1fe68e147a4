import type { Input } from "../core/actions.ts";
import { uintBytes } from "../core/bytes.ts";
import { transactionSchema } from "../core/channels/permits.ts";
import { rpcSchema } from "../core/channels/rpc.ts";
import { encode } from "../core/codec/codec.ts";
import { itemHash } from "../core/hash.ts";
import type { BatchId, Hash } from "../core/ids.ts";
import type { State } from "../core/state.ts";
import { step } from "../reducers/step.ts";
import { compare, print, rounded, type Variant } from "./measure.ts";
import { attemptIdOf, infoOf, START_MS, stateWith } from "./states.ts";

/**
 * What one action costs in a node of a given size. The work is the life of one transaction: a peer announces it,
 * it is fetched, verified and kept, the permit is renewed - 11 actions, codec and item hash included.
 */

const PEERS = [10, 100, 500];
const TRANSACTIONS = [1_000, 10_000, 100_000];
const FLAT_WITHIN = 1.5;

export function benchActions(): void {
  report(
    "peers",
    PEERS,
    PEERS.map((peers) => variant(`${peers} peers`, stateWith(peers, 1_000), peers)),
  );
  report(
    "transactions",
    TRANSACTIONS,
    TRANSACTIONS.map((size) => variant(`${size} transactions`, stateWith(100, size), 100)),
  );
}

function report(what: string, sizes: readonly number[], variants: readonly Variant[]): void {
  const costs = compare(variants);
  const base = costs[0]?.medianUs ?? Number.NaN;
  for (const [index, cost] of costs.entries()) {
    print({
      bench: `cost per action by ${what}`,
      size: sizes[index],
      medianUs: rounded(cost.medianUs),
      ratio: rounded(cost.medianUs / base),
    });
  }
  const worst = Math.max(...costs.map(({ medianUs }) => medianUs / base));
  print({
    bench: `cost per action by ${what}`,
    flatWithin: FLAT_WITHIN,
    worstRatio: rounded(worst),
    ok: worst <= FLAT_WITHIN,
  });
}

/** Runs transactions through one peer after the other; every run starts from the same state, so sizes stay. */
function variant(name: string, start: State, peers: number): Variant {
  const plan = Array.from({ length: 256 }, (_, index) => lifeOf(index, (index * 7) % peers));
  const operations = actionsOf(start, plan[0] ?? []);
  return {
    name,
    operations,
    run: (count) => {
      for (let done = 0; done < count; done++) {
        let state = start;
        for (const input of plan[done % plan.length] ?? []) state = step(state, input, START_MS + 1).state;
      }
    },
  };
}

function lifeOf(number: number, peer: number): readonly Input[] {
  const attemptId = attemptIdOf(peer);
  const body = uintBytes(number, 200);
  const info = { ...infoOf(10_000_000 + number), hash: itemHash(body) as Hash };
  const infos = encode(transactionSchema, {
    tag: "infos",
    cursor: { epoch: 1n, next: 1n },
    seq: 0,
    rest: null,
    items: [info],
  });
  const response = encode(rpcSchema, {
    tag: "response",
    id: 0,
    body: { tag: "items", found: [{ tag: "some", bytes: body }] },
  });
  return [
    { type: "event/message", attemptId, channel: "transaction", bytes: infos },
    { type: "event/message", attemptId, channel: "rpc", bytes: response },
    { type: "event/itemsVerified", batchId: 1 as BatchId, verdicts: [{ tag: "valid", info }] },
  ];
}

/** Fails if the inputs do not do what they are meant to. */
function actionsOf(start: State, inputs: readonly Input[]): number {
  let state = start;
  let actions = 0;
  for (const input of inputs) {
    const result = step(state, input, START_MS + 1);
    state = result.state;
    actions += result.actions.length;
  }
  if (state.pools.transaction.entries.size !== start.pools.transaction.entries.size + 1) {
    throw new Error("the benchmark does not reach the pool: its inputs no longer fit the rules");
  }
  return actions;
}
