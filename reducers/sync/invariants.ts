import type { Hash, PeerId } from "../../core/ids.ts";
import { INVALID_BLOCKS_MAX, SYNC_AHEAD_MAX, SYNC_HEADERS_MAX, TIPS_LEFT_MAX } from "../../core/limits.ts";
import type { LivePeer, State } from "../../core/state.ts";
import type { Path, Pursuit } from "../../core/sync.ts";
import { receivedTips } from "./pursuit.ts";

/** What always holds of best-tip and sync: part of invariants.ts. */

type Must = (holds: boolean, invariant: string) => void;

export function checkSync(state: State, must: Must): void {
  const { chain, sync, deadlines, timeMs } = state;
  const due = (name: string, why: string): void =>
    must(deadlines.byName.has(name), `${why} has deadline ${name}`);
  must(chain.blocks.has(chain.tip.hash), "our best tip is an applied block");
  must(chain.jobs.size === chain.jobNumbers.size, "every job has one number");
  for (const [number, jobId] of chain.jobs.entries())
    must(chain.jobNumbers.get(jobId) === number && number < chain.nextJob, `job ${jobId} has its number`);
  for (const { live } of state.peers.values()) if (live !== null) checkChannel(live, must, due);
  const announced = new Set<Hash>();
  for (const [, { hash }] of receivedTips(state)) announced.add(hash);
  for (const [hash, { untilMs }] of sync.givenUp.entries()) {
    must(announced.has(hash), `given up ${hash} is announced by a live peer`);
    if (untilMs > timeMs) due(`syncRetry ${hash}`, "what was given up");
  }
  must(sync.left.length <= TIPS_LEFT_MAX, "the tips that were left are bounded");
  must(sync.invalid.size <= INVALID_BLOCKS_MAX, "the table of invalid blocks is bounded");
  must(sync.adopting === null || chain.blocks.has(sync.adopting), "what is being adopted is applied");
  if (sync.applying !== null)
    must(!chain.blocks.has(sync.applying.hash), "what is being applied is not applied");
  if (sync.pursuit === null) return;
  due("sync", "a pursuit");
  checkPursuit(sync.pursuit, must);
  for (const peerId of peersNamed(sync.pursuit)) {
    const live = state.peers.get(peerId)?.live;
    must(live != null, `what is remembered of ${peerId} is about a live peer`);
  }
}

function checkChannel(
  { attemptId, bestTip }: LivePeer,
  must: Must,
  due: (name: string, why: string) => void,
): void {
  if (bestTip?.ours.tag !== "processing") return;
  must(bestTip.received?.hash === bestTip.ours.hash, "what is processed is what was received last");
  due(`tip ${attemptId}`, "a tip that is processed");
}

function checkPursuit({ tip, stage }: Pursuit, must: Must): void {
  switch (stage.tag) {
    case "checking":
    case "applied":
      return;
    case "headers":
      must(stage.path.last()?.[1].hash === tip.hash, "the path begins with the pursued tip");
      checkPath(stage.path, must);
      return;
    case "snapshot":
      must(
        stage.anchor.height + stage.path.size === tip.height,
        "the path ends above the ledger that is fetched",
      );
      checkPath(stage.path, must);
      return;
    case "blocks":
      must(stage.blocks.last()?.[1].hash === tip.hash, "the last block is the pursued tip");
      checkPath(stage.blocks, must);
      for (const [index, { body }] of [...stage.blocks.values()].entries())
        must(index < SYNC_AHEAD_MAX || body.tag === "wanted", "blocks are fetched a few ahead");
  }
}

function peersNamed({ busy, stage }: Pursuit): ReadonlySet<PeerId> {
  const failed =
    stage.tag === "headers"
      ? stage.failed
      : stage.tag === "blocks"
        ? [...stage.blocks.values()].flatMap((block) => block.failed)
        : [];
  return new Set([...busy.keys(), ...failed]);
}

function checkPath(path: Path, must: Must): void {
  must(path.size <= SYNC_HEADERS_MAX, "a path is bounded");
  let child: { readonly height: number; readonly parent: Hash } | undefined;
  for (const [height, { hash, parent }] of [...path.entries()].reverse()) {
    must(child === undefined || child.height === height + 1, "a path has no gap");
    must(child === undefined || child.parent === hash, "a path is linked");
    child = { height, parent };
  }
}
