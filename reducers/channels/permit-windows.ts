import type { GivenWindow, PermitChannel, PermitWindow } from "../../core/channels/permits.ts";
import { greaterOf, highestSince, isAbove } from "../../core/floors.ts";
import type { PeerId } from "../../core/ids.ts";
import type { Draft } from "../../core/kernel.ts";
import { BAND_INTERVAL_MS, REFLOOR_INTERVAL_MS } from "../../core/limits.ts";
import type { PoolName } from "../../core/pools.ts";
import type { Priority } from "../../core/priority.ts";
import type { LivePeer, State } from "../../core/state.ts";
import { floorOf } from "../pools.ts";
import type { StateDraft } from "../rules.ts";
import { wakeAt } from "../state.ts";

/** What a permit asks for: from which floor on, and which band of what may be lacking (7.4). */

/** What to ask for now; a band that is held back is asked for later. */
export function nextWindow(
  draft: StateDraft,
  { attemptId }: LivePeer,
  peerId: PeerId,
  pool: PoolName,
  channel: PermitChannel,
): GivenWindow {
  const [floor, band] = [floorOf(draft, pool), bandOf(draft, pool, channel)];
  const high = highOf(draft, pool, channel);
  if (band === null && isAbove(high, floor)) {
    const refloor = { type: "pool/refloor", pool, peerId, attemptId } as const;
    wakeAt(draft, `refloor ${pool} ${attemptId}`, bandMs(channel, high), refloor);
  }
  return { seq: channel.nextSeq, floor, band, mark: draft.floors[pool].mark };
}

/**
 * When the window of the open permit is to be replaced: it holds back what the pool has room for by now, or does not ask
 * for what is lacking. Null if it is right as it is.
 */
export function outdatedMs(state: State, pool: PoolName, channel: PermitChannel): number | null {
  const window = channel.ours.tag === "permitGiven" ? channel.ours.windows.at(-1) : undefined;
  if (window === undefined) return null;
  const [high, floor] = [highOf(state, pool, channel), floorOf(state, pool)];
  const isTooHigh = isAbove(window.floor, floor);
  const lacks = isAbove(high, floor) && isAbove(high, window.band);
  if (!isTooHigh && !lacks) return null;
  const refloorMs = channel.windowMs + REFLOOR_INTERVAL_MS;
  return isTooHigh ? refloorMs : Math.max(refloorMs, bandMs(channel, high));
}

export function noteGiven(channel: Draft<PermitChannel>, { seq, band }: GivenWindow, timeMs: number): void {
  channel.nextSeq = seq + 1;
  channel.windowMs = timeMs;
  if (band !== null) channel.lastBand = { band, atMs: timeMs };
}

export function noteTheirs(channel: Draft<PermitChannel>, { seq, band }: PermitWindow): void {
  channel.theirSeq = seq;
  // Whoever asks for a band may have lost what it told us of.
  if (band !== null) channel.heard = [];
}

/** `high` of 7.4: the greatest priority that we may lack of what this peer has. */
const highOf = (state: State, pool: PoolName, { lack }: PermitChannel): Priority | null =>
  greaterOf(lack.below, highestSince(state.floors[pool], lack.sinceMark));

/** The band to ask for now: all we may lack, unless the same was asked for lately and brought nothing lower. */
function bandOf(state: State, pool: PoolName, channel: PermitChannel): Priority | null {
  const high = highOf(state, pool, channel);
  return isAbove(high, floorOf(state, pool)) && state.timeMs >= bandMs(channel, high) ? high : null;
}

/** When the band up to this priority may be asked for: at once if it goes on where the last one ended. */
function bandMs({ lastBand }: PermitChannel, high: Priority | null): number {
  return lastBand === null || isAbove(lastBand.band, high) ? 0 : lastBand.atMs + BAND_INTERVAL_MS;
}
