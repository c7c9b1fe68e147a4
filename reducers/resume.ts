import type { PoolAction } from "../core/actions.ts";
import type { Lack, PermitChannel } from "../core/channels/permits.ts";
import { greaterOf } from "../core/floors.ts";
import type { PeerId } from "../core/ids.ts";
import { RESUME_MS, RESUMES_MAX } from "../core/limits.ts";
import type { PoolName } from "../core/pools.ts";
import type { LivePeer, Resume, ResumePoint } from "../core/state.ts";
import type { Rules, StateDraft } from "./rules.ts";
import { forgetWake, wakeAt } from "./state.ts";

/** 7.4, Resume: what a connection has settled is not told again to one that follows it soon. */

type Forget = Extract<PoolAction, { type: "pool/forgetResume" }>;

export const resume: Rules<Forget> = {
  "pool/forgetResume": {
    enabled: (state, { peerId }) => state.resumes.has(peerId),
    reduce: (draft, { peerId }) => {
      draft.resumes = draft.resumes.delete(peerId);
    },
  },
};

/** At the end of a connection. */
export function keepResume(draft: StateDraft, peerId: PeerId, { pools }: LivePeer): void {
  const pointOf = (pool: PoolName): ResumePoint | null => {
    const channel = pools[pool];
    if (channel === null || channel.settled === null) return null;
    return { cursor: channel.settled, lack: settledLack(channel) };
  };
  const points = {
    transaction: pointOf("transaction"),
    snark: pointOf("snark"),
    "snark-job-commitment": pointOf("snark-job-commitment"),
  };
  if (Object.values(points).every((point) => point === null)) return;
  if (draft.resumes.size >= RESUMES_MAX && !draft.resumes.has(peerId)) return;
  draft.resumes = draft.resumes.set(peerId, { endedMs: draft.timeMs, pools: points });
  wakeAt(draft, `resume ${peerId}`, draft.timeMs + RESUME_MS, { type: "pool/forgetResume", peerId });
}

/** At the beginning of the next one. */
export function takeResume(draft: StateDraft, peerId: PeerId): Resume | undefined {
  const found = draft.resumes.get(peerId);
  draft.resumes = draft.resumes.delete(peerId);
  forgetWake(draft, `resume ${peerId}`);
  return found;
}

/** A band counts as served only when its infos are settled. */
function settledLack({ ours, lack }: PermitChannel): Lack {
  if (ours.tag !== "processing") return lack;
  const { lackBefore } = ours;
  return {
    below: greaterOf(lackBefore.below, lack.below),
    sinceMark: Math.min(lackBefore.sinceMark, lack.sinceMark),
  };
}
