import type { ChainEvent } from "../../core/actions.ts";
import { type BlockHeader, type Tip, tipOf } from "../../core/block.ts";
import type { RpcRequest, RpcResponse } from "../../core/channels/rpc.ts";
import type { PeerId } from "../../core/ids.ts";
import { ANCESTRY_MAX, SNAPSHOT_DEPTH, SYNC_HEADERS_MAX } from "../../core/limits.ts";
import { SortedMap } from "../../core/sorted-map.ts";
import type { State } from "../../core/state.ts";
import type { HeadersStage, Path, Pursuit, WalkOutcome } from "../../core/sync.ts";
import { accuse } from "../channels/violation.ts";
import type { Context, Rules, StateDraft } from "../rules.ts";
import { livePeer } from "../state.ts";
import { enterBlocks } from "./blocks.ts";
import { drawCheckId, progress, stageOf, updatePursuit } from "./pursuit.ts";
import { ask, beginRound, isAnybodyLeft, isAskedRecently } from "./servers.ts";
import { enterSnapshot } from "./snapshot.ts";

/** 7.3: from the announced header, which is checked first, down to a block that we have. */

type HeadersVerified = Extract<ChainEvent, { type: "event/headersVerified" }>;

export const headers: Rules<HeadersVerified> = {
  "event/headersVerified": {
    enabled: (state, { checkId }) =>
      stageOf(state, "checking")?.checkId === checkId ||
      stageOf(state, "headers")?.checking?.checkId === checkId,
    reduce: (draft, { verdict }, context) => {
      const { pursuit } = draft.sync;
      if (pursuit === null) return;
      const { hash } = pursuit.tip;
      if (verdict.tag === "invalid") {
        const detail = `a header of tip ${hash} is invalid: ${verdict.detail}`;
        context.propose({ type: "sync/condemn", hash, detail });
      } else if (verdict.tag === "notNow") {
        const detail = `a header is not valid now: ${verdict.detail}`;
        context.propose({ type: "sync/giveUp", hash, detail });
      } else {
        goOn(draft, pursuit, context);
      }
    },
  },
};

/** One server after the other is asked for the next headers: each answer says what to ask for next. */
export function askHeaders(draft: StateDraft, pursuit: Pursuit, stage: HeadersStage, context: Context): void {
  const [height, lowest] = stage.path.first() ?? [];
  if (stage.checking !== null || height === undefined || lowest === undefined) return;
  const hash = lowest.parent;
  if (draft.chain.blocks.has(hash)) {
    // Applied since it was last looked for.
    enterBlocks(draft, stage.path);
    context.propose({ type: "sync/proceed" });
    return;
  }
  const round = beginRound(draft, pursuit);
  if (!isAnybodyLeft(round, height - 1, stage.failed)) {
    const detail = `nobody has the ancestors of ${lowest.hash}`;
    context.propose({ type: "sync/giveUp", hash: pursuit.tip.hash, detail });
  } else if (!isAskedRecently(round, "ancestry", hash)) {
    const count = Math.min(ANCESTRY_MAX, SYNC_HEADERS_MAX - stage.path.size);
    const body = { tag: "ancestry", hash, count } as const;
    ask(round, { body, height: height - 1, failed: stage.failed }, context);
  }
}

/** @param response null, or one that fits the request */
export function acceptAncestry(
  draft: StateDraft,
  peerId: PeerId,
  request: Extract<RpcRequest, { tag: "ancestry" }>,
  response: RpcResponse | null,
  context: Context,
): void {
  const tips = response?.tag === "ancestry" ? response.headers.map(tipOf) : [];
  const attemptId = livePeer(draft, peerId)?.attemptId;
  if (!isLinked(request.hash, tips)) {
    const detail = `the ancestry of ${request.hash} is not linked by its hashes`;
    if (attemptId !== undefined) accuse(attemptId, "rpc", { reason: "responseMismatch", detail }, context);
    return;
  }
  const { pursuit } = draft.sync;
  const stage = stageOf(draft, "headers");
  if (pursuit === null || stage === undefined || stage.checking !== null) return;
  if (stage.path.first()?.[1].parent !== request.hash) return;
  if (tips.length === 0) {
    updatePursuit(draft, { stage: { ...stage, failed: [...stage.failed, peerId] } });
    return;
  }
  const walked = walk(draft, stage, tips);
  if (walked.outcome === "invalid") {
    context.propose({ type: "sync/condemn", hash: pursuit.tip.hash, detail: walked.detail });
    return;
  }
  const { path, anchor, outcome, fresh } = walked;
  const checkId = drawCheckId(draft);
  progress(draft, { tag: "headers", path, anchor, checking: { checkId, outcome }, failed: [] });
  context.effect({ type: "effect/verifyHeaders", checkId, headers: fresh });
}

/** The hashes name the headers, so a wrong link is the server's fault; what a header says is its creator's. */
const isLinked = (first: string, tips: readonly Tip[]): boolean =>
  tips.every(({ hash }, index) => hash === (tips[index - 1]?.parent ?? first));

type Walked =
  | { readonly outcome: "invalid"; readonly detail: string }
  | {
      readonly outcome: WalkOutcome;
      readonly path: Path;
      readonly anchor: Tip;
      /** What is not checked yet. */
      readonly fresh: readonly BlockHeader[];
    };

function walk(state: State, from: Pick<HeadersStage, "path" | "anchor">, tips: readonly Tip[]): Walked {
  let { path, anchor } = from;
  const top = path.last()?.[0] ?? anchor.height;
  const fresh: BlockHeader[] = [];
  for (const tip of tips) {
    const { hash: _hash, ...header } = tip;
    const flaw = flawOf(state, path, tip);
    if (flaw !== null) return { outcome: "invalid", detail: flaw };
    path = path.set(tip.height, { hash: tip.hash, parent: tip.parent });
    if (top - tip.height <= SNAPSHOT_DEPTH) anchor = tip;
    fresh.push(header);
    const outcome = outcomeOf(state, path, tip);
    if (outcome !== "goOn") return { outcome, path, anchor, fresh };
  }
  return { outcome: "goOn", path, anchor, fresh };
}

/** What makes a header invalid as an ancestor of the pursued tip, whatever it proves by itself. */
function flawOf({ chain, config, sync }: State, path: Path, tip: Tip): string | null {
  const { genesis } = config.chain;
  const { hash, parent, height } = tip;
  const childHeight = path.first()?.[0];
  if (childHeight !== undefined && height !== childHeight - 1) {
    return `block ${hash} has height ${height}, its child ${childHeight}`;
  }
  if (sync.invalid.has(hash) || sync.invalid.has(parent))
    return `block ${hash} builds on an invalid one, or is one`;
  if (height <= genesis.height || (height === genesis.height + 1 && parent !== genesis.hash)) {
    return `block ${hash} belongs to another genesis`;
  }
  const parentHeight = parent === genesis.hash ? genesis.height : chain.blocks.get(parent)?.height;
  if (parentHeight === undefined || parentHeight === height - 1) return null;
  return `block ${hash} has height ${height}, its parent ${parentHeight}`;
}

function outcomeOf(state: State, path: Path, { parent }: Tip): WalkOutcome {
  if (state.chain.blocks.has(parent)) return "known";
  // The first block may be forgotten like others.
  if (parent === state.config.chain.genesis.hash) return "tooDeep";
  return path.size >= SYNC_HEADERS_MAX ? "tooDeep" : "goOn";
}

function goOn(draft: StateDraft, pursuit: Pursuit, context: Context): void {
  const stage = stageOf(draft, "headers");
  const walked =
    stage === undefined
      ? walk(draft, { path: SortedMap.empty(), anchor: pursuit.tip }, [pursuit.tip])
      : { path: stage.path, anchor: stage.anchor, outcome: stage.checking?.outcome ?? "goOn" };
  if (walked.outcome === "invalid") {
    context.propose({ type: "sync/condemn", hash: pursuit.tip.hash, detail: walked.detail });
    return;
  }
  const { path, anchor, outcome } = walked;
  if (outcome === "known") enterBlocks(draft, path);
  else if (outcome === "tooDeep") enterSnapshot(draft, anchor, path, context);
  else progress(draft, { tag: "headers", path, anchor, checking: null, failed: [] });
  context.propose({ type: "sync/proceed" });
}
