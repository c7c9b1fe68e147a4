import { isBetterTip } from "../core/consensus.ts";
import type { PeerId } from "../core/ids.ts";
import type { State } from "../core/state.ts";
import { livePeer } from "./state.ts";

/**
 * 7.4, Gate: infos are sent only to a peer whose best tip, as it announced it, is ours or better. A peer with which
 * tips are not exchanged has nothing to compare.
 */
export function isGateOpen(state: State, peerId: PeerId): boolean {
  const live = livePeer(state, peerId);
  if (live === undefined) return false;
  if (live.bestTip === null) return true;
  const { received } = live.bestTip;
  const { tip } = state.chain;
  if (received === null) return false;
  return received.hash === tip.hash || isBetterTip(received, tip, state.config.chain);
}
