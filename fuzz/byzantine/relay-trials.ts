import type { ChannelMessage } from "../../core/channels/table.ts";
import type { ClusterObserver } from "../simulator.ts";
import { createWatched } from "../watched.ts";
import { type Line, lying, type Trial } from "./behaviour.ts";
import { createLaws } from "./laws.ts";
import { createLiar } from "./liar.ts";

/** 7.1: what a relay may do between two dialers. */

const RELAY = 0;
const DIALERS = [1, 2];
const LISTENERS = [3, 4];
const CONNECTED_MS = 3_000;
/** Longer and the relay would not seem to have answered at all. */
const HELD_MS = 5_000;
const FOUND_MS = 5 * 60_000;

const isLiar = (node: number): boolean => node === RELAY;

/** Once, each of two dialers is given the reply to the other one's offer: it is of no use, and they try again. */
function playSwappedReplies(seed: number, observers: readonly ClusterObserver[] = []): readonly string[] {
  let held: { readonly line: Line; readonly said: ChannelMessage } | null = null;
  let isSwapped = false;
  const swapping = lying("swaps replies", "7.1", null, (line) => ({
    says: (said) => {
      const isReply =
        said.channel === "signaling/discovery" &&
        said.message.tag === "answer" &&
        said.message.reply !== null;
      if (!isReply || isSwapped) return [said];
      if (held === null) {
        held = { line, said };
        line.after(HELD_MS, () => {
          if (!isSwapped) line.say(said);
        });
        return [];
      }
      isSwapped = true;
      held.line.say(said);
      return [held.said];
    },
  }));
  const { cluster } = createWatched(
    {
      nodes: 1 + DIALERS.length + LISTENERS.length,
      seed,
      configOf: (node) => ({ peersMin: DIALERS.includes(node) ? 2 : 0 }),
      observers: [createLaws(isLiar), ...observers],
    },
    isLiar,
  );
  const liar = createLiar(cluster, { index: RELAY, seed, behaviours: [swapping] });
  for (const nodes of [LISTENERS, DIALERS]) {
    for (const node of nodes) cluster.dial(node, RELAY);
    cluster.runFor(CONNECTED_MS);
  }
  cluster.runFor(FOUND_MS);
  const problems = isSwapped ? [] : ["no replies were swapped"];
  for (const node of DIALERS) {
    const { peers, offenders } = cluster.node(node).state;
    const live = [...peers.values()].filter((peer) => peer.live !== null).length;
    if (live < 2) problems.push(`dialer ${node} has ${live} peers`);
    if (offenders.size > 0) problems.push(`dialer ${node} punishes somebody for what was in an envelope`);
  }
  liar.leave();
  return problems;
}

export const RELAY_TRIALS: readonly Trial[] = [{ name: "swapped replies", play: playSwappedReplies }];
