import Table from "cli-table3";
import { createLogUpdate } from "log-update";
import { API_POOLS, type NodeStatus } from "../admin-client.ts";
import type { CaughtUp } from "./catch-up.ts";
import type { FeedCounts } from "./feed.ts";
import type { DevnetNode } from "./network.ts";
import type { Delays, Propagation } from "./propagation.ts";
import type { DevnetResult } from "./result.ts";

interface View {
  readonly nodes: readonly DevnetNode[];
  readonly statuses: readonly (NodeStatus | null)[];
  readonly counts: FeedCounts;
  /** Transactions in the chain. */
  readonly included: number;
  readonly propagation: Pick<Propagation, "delays" | "delaysTo">;
}

/** Where a person follows a devnet: a live table on a terminal, lines elsewhere. */
export interface Display {
  readonly note: (text: string) => void;
  readonly show: (view: View) => void;
  /** The last table stays; what follows is written below. */
  readonly end: () => void;
}

export const createDisplay = (stream: NodeJS.WriteStream): Display =>
  stream.isTTY ? createLiveDisplay(stream) : createLineDisplay(stream);

/** Calls `show` as often as any display needs it; each takes what it wants. */
export const SHOW_EVERY_MS = 500;
const LINE_EVERY_MS = 2_000;
const HASH_CHARACTERS = 8;
/** Of each of the three digests: enough to see that one differs. */
const DIGEST_CHARACTERS = 3;
const TIP_CHARACTERS = 6;

/** What can be done with a devnet while it runs. */
export function invitation(nodes: readonly DevnetNode[]): readonly string[] {
  const [first] = nodes;
  if (first === undefined) return [];
  return [
    ...nodes.map(({ name, client }) => `${name.padEnd(8)} ${client.url}`),
    "to try while it runs:",
    `  curl ${first.client.url}/v1/status`,
    `  curl ${first.client.url}/v1/blocks/tip`,
    `  npm start -- tx send --admin ${first.client.url}`,
  ];
}

/** What has come out, and if it is not what it should be, where the difference lies. */
export function conclusion(result: DevnetResult, counts: FeedCounts | undefined): readonly string[] {
  if (counts === undefined) return [];
  const lines: string[] = [];
  if (counts.overdue > 0) {
    lines.push(
      `the nodes did not take ${counts.overdue} more transactions in time: this rate is too high for this machine`,
    );
  }
  if (result.accepted < result.submitted) {
    const refused = result.submitted - result.accepted;
    lines.push(`${refused} transactions were not accepted, the first by ${counts.firstRefusal}`);
  }
  lines.push(...tipLines(result), ...poolLines(result), fateLine(result), ...recoveryLines(result));
  const { propagationMs, propagated, bodiesPerItem, perNode } = result;
  if (propagationMs !== null) {
    const measured = `of ${propagated} seen in every pool`;
    lines.push(`propagation ${delaysText(propagationMs)}, max ${propagationMs.max} ms, ${measured}`);
  }
  if (bodiesPerItem !== null)
    lines.push(`${bodiesPerItem} bodies received for each item a node had to fetch`);
  for (const [ending, count] of Object.entries(result.endings)) {
    lines.push(`${count} connections ended: ${ending}`);
  }
  for (const { name, exitCode } of perNode) {
    if (exitCode === 0) continue;
    const how = exitCode === null ? "it was killed" : `exit code ${exitCode}`;
    lines.push(`${name} did not end cleanly: ${how}`);
  }
  return lines;
}

function tipLines({ tip, ledgerRoot, height, reorgs, deepestReorg, perNode }: DevnetResult): string[] {
  if (tip === null || ledgerRoot === null) {
    const tips = perNode.map((node) => `  ${node.name}: height ${node.height}, ${short(node.tip)}`);
    return ["the tips are not equal:", ...tips];
  }
  const deepest = reorgs === 0 ? "" : `, the deepest of ${deepestReorg}`;
  const whose = perNode.length === 1 ? "the tip is" : `all ${perNode.length} tips are equal:`;
  return [
    `${whose} height ${height}, block ${short(tip)}, ledger ${short(ledgerRoot)}; ${reorgs} reorganisations${deepest}`,
  ];
}

function poolLines({ poolsEqual, pools, perNode }: DevnetResult): string[] {
  const sizes = API_POOLS.map((pool) => `${pools[pool].size} ${pool} (${short(pools[pool].digest ?? "")})`);
  if (poolsEqual)
    return [`${perNode.length === 1 ? "the pools hold" : "all pools are equal:"} ${sizes.join(", ")}`];
  const lines = perNode.map((node) => {
    const held = API_POOLS.map(
      (pool) => `${node.pools[pool].size} ${pool} (${short(node.pools[pool].digest)})`,
    );
    return `  ${node.name}: ${held.join(", ")}`;
  });
  return ["the pools are not equal:", ...lines];
}

function fateLine(result: DevnetResult): string {
  const { submitted, included, everywhere, invalidated, keptAside, lost } = result;
  const parts = [
    `${included} in the chain`,
    `${everywhere} in every pool`,
    `${invalidated} made invalid by the chain`,
    ...(keptAside === 0 ? [] : [`${keptAside} kept aside`]),
    ...(lost === 0 ? [] : [`${lost} lost`]),
  ];
  return `of ${submitted} submitted: ${parts.join(", ")}`;
}

function recoveryLines({ late, restarted }: DevnetResult): string[] {
  const line = (who: string, { ms, bytes, blocks }: CaughtUp): string =>
    `${who} caught up with the others, ${blocks} blocks, after ${(ms / 1_000).toFixed(1)} s and ${Math.ceil(bytes / 1_000)} KB`;
  return [
    ...(late === null ? [] : [line("the late node", late)]),
    ...(restarted === null ? [] : [line("the restarted node", restarted)]),
  ];
}

const short = (hash: string): string => hash.slice(0, HASH_CHARACTERS);

const delaysText = (delays: Delays | null): string =>
  delays === null ? "not measured" : `p50 ${delays.p50} ms, p99 ${delays.p99} ms`;

function createLiveDisplay(stream: NodeJS.WriteStream): Display {
  const live = createLogUpdate(stream);
  return {
    note: (text) => live.persist(text),
    show: (view) => live(`${summary(view)}\n${table(view)}`),
    end: () => live.done(),
  };
}

function createLineDisplay(stream: NodeJS.WriteStream): Display {
  let dueMs = 0;
  return {
    note: (text) => {
      stream.write(`${text}\n`);
    },
    show: (view) => {
      if (performance.now() < dueMs) return;
      dueMs = performance.now() + LINE_EVERY_MS;
      const heights = view.statuses.map((status) => status?.bestTip.height ?? 0);
      const pools = API_POOLS.map((pool) => {
        const sizes = view.statuses.map((status) => status?.pools[pool].size ?? 0);
        return `${rangeText(sizes)} ${pool}`;
      });
      stream.write(`${summary(view)}, height ${rangeText(heights)}, pools ${pools.join(", ")}\n`);
    },
    end: () => undefined,
  };
}

function rangeText(values: readonly number[]): string {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return least === most ? `${least}` : `${least}-${most}`;
}

const summary = ({ counts, included, propagation }: View): string =>
  `${(counts.elapsedMs / 1_000).toFixed(0)} s: ${counts.submitted} submitted, ${included} in the chain, ` +
  `propagation ${delaysText(propagation.delays())}`;

/** Of 80 columns, as long as the pools are not huge. */
function table({ nodes, statuses, propagation }: View): string {
  const drawn = new Table({
    head: ["node", "peers", "height", "tip", "reorgs", "pools", "digests", "p50/p99"],
    colAligns: ["left", "right", "right", "left", "right", "right", "left", "right"],
    chars: NO_LINES,
    style: { head: [], border: [], compact: true, "padding-left": 0, "padding-right": 0 },
  });
  for (const [index, { name, plan }] of nodes.entries()) {
    const status = statuses[index];
    const delays = propagation.delaysTo(index);
    const roles = `${plan.produce === null ? "" : "P"}${plan.fee === null ? "" : "W"}`;
    drawn.push([
      `${name} ${roles}`,
      status?.peers.connected ?? "",
      status?.bestTip.height ?? "",
      status?.bestTip.hash.slice(0, TIP_CHARACTERS) ?? "",
      status?.reorganisations.count ?? "",
      API_POOLS.map((pool) => status?.pools[pool].size ?? "").join("/"),
      API_POOLS.map((pool) => status?.pools[pool].digest.slice(0, DIGEST_CHARACTERS) ?? "").join(" "),
      delays === null ? "" : `${delays.p50}/${delays.p99}`,
    ]);
  }
  return `${drawn.toString()}\n${LEGEND}`;
}

const LEGEND = "P makes blocks, W makes SNARK work; pools: transactions/snarks/commitments; ms";

const NO_LINES = {
  ...{ top: "", "top-mid": "", "top-left": "", "top-right": "" },
  ...{ bottom: "", "bottom-mid": "", "bottom-left": "", "bottom-right": "" },
  ...{ left: "", "left-mid": "", mid: "", "mid-mid": "", right: "", "right-mid": "", middle: "  " },
};
