import type { PoolName } from "../../core/pools.ts";
import type { State } from "../../core/state.ts";
import { countPeers, poolDigest } from "../../reducers/status.ts";
import type { RunningNode } from "../node.ts";
import { syncProgress } from "../sync-progress.ts";

// What the operator API shows, as plain JSON: bigints are decimal strings, bytes are hexadecimal.

/** @param timeMs now, by the clock the node was started with */
export function statusView(node: RunningNode, state: State, timeMs: number) {
  const { peerId, address, startedMs } = node;
  const { hash, height, slot, epoch, ledgerRoot } = state.chain.tip;
  const { capacity } = state.config;
  return {
    peerId,
    addresses: address === null ? [] : [address],
    chainId: state.config.chainId,
    userAgent: state.config.userAgent,
    uptimeMs: Math.max(0, timeMs - startedMs),
    peers: countPeers(state),
    bestTip: { hash, height, slot, epoch, ledgerRoot },
    reorganisations: node.reorganisations(),
    sync: syncProgress(state),
    pools: {
      transactions: { ...poolView(state, "transaction", capacity), keptAside: countKeptAside(state) },
      snarks: poolView(state, "snark", null),
      commitments: poolView(state, "snark-job-commitment", null),
    },
    jobs: { pending: state.chain.jobs.size },
    producer: producerView(node, state),
    worker: workerView(node, state),
    bodies: { transactions: state.bodies.transaction, snarks: state.bodies.snark },
    disconnects: state.endings,
    dropped: state.dropped,
  };
}

/** @param capacity null: as many as there are jobs */
const poolView = ({ pools }: State, name: PoolName, capacity: number | null) => ({
  size: pools[name].entries.size,
  capacity,
  digest: poolDigest(pools[name]),
});

/** Submitted here and waiting until the pool has room for them. */
function countKeptAside({ local, pools }: State): number {
  let count = 0;
  for (const hash of local.keys()) if (!pools.transaction.entries.has(hash)) count += 1;
  return count;
}

/** Null for a node that was not started as one, here and below. */
function producerView({ account }: RunningNode, { config, work }: State) {
  if (account === null || !config.produces) return null;
  return { enabled: work.isProducing, account, blocks: work.counts.blocks };
}

function workerView({ account }: RunningNode, { config, work }: State) {
  if (account === null || config.workFee === null) return null;
  const { begun, made, abandoned } = work.counts;
  return {
    enabled: work.isWorking,
    account,
    fee: config.workFee.toString(),
    promised: work.jobs.length,
    begun,
    made,
    abandoned,
  };
}
