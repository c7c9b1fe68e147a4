import type { PeerId } from "../../core/ids.ts";
import { EXCHANGE_PERIOD_MS, EXCHANGE_PERMITS } from "../../core/limits.ts";
import type { LivePeer, State } from "../../core/state.ts";
import { isUnfinished } from "../attempts.ts";

/** What always holds of relayed signals: part of invariants.ts. */

type Must = (holds: boolean, what: string) => void;

export function checkSignaling(state: State, must: Must): void {
  let permits = 0;
  for (const { peerId, live } of state.peers.values()) {
    if (live === null) continue;
    checkRelayed(state, peerId, live, must);
    checkSought(state, peerId, live, must);
    const ours = live.exchange?.ours;
    if (ours?.tag === "permitGiven" || ours?.tag === "lapsed") permits += 1;
    if (ours?.tag !== "answering") continue;
    const attempt = state.attempts.get(ours.attemptId);
    must(
      attempt?.via?.peerId === peerId && isUnfinished(attempt),
      "who brought an offer waits for its reply",
    );
  }
  const offers = state.offersMs.filter((atMs) => state.timeMs < atMs + EXCHANGE_PERIOD_MS).length;
  must(permits + offers <= EXCHANGE_PERMITS, "few offers come in any minute (7.2)");
}

/** Dialer and listener of a flow know of each other. */
function checkRelayed(state: State, peerId: PeerId, { discovery, exchange }: LivePeer, must: Must): void {
  const ours = discovery?.ours;
  if (ours?.tag === "discovered" || ours?.tag === "offered") {
    const theirs = state.peers.get(ours.listener)?.live?.exchange?.theirs;
    const step = ours.tag === "discovered" ? "kept" : "offered";
    must(theirs?.tag === step && theirs.dialer === peerId, "a listener knows the dialer of its flow");
  }
  const theirs = exchange?.theirs;
  if ((theirs?.tag === "kept" || theirs?.tag === "offered") && theirs.dialer !== null) {
    const flow = state.peers.get(theirs.dialer)?.live?.discovery?.ours;
    const step = theirs.tag === "kept" ? "discovered" : "offered";
    must(flow?.tag === step && flow.listener === peerId, "a dialer knows the listener of its flow");
  }
}

function checkSought(state: State, peerId: PeerId, { discovery }: LivePeer, must: Must): void {
  const theirs = discovery?.theirs;
  if (theirs?.tag !== "offering") return;
  const attempt = state.attempts.get(theirs.attemptId);
  must(attempt?.via?.peerId === peerId, "an offer that a relay waits for is being made");
}

/** Deadlines of this layer, by their first word; undefined: another layer's. */
export function isSignalingDeadline(state: State, kind: string, live: LivePeer | null): boolean | undefined {
  const [ours, theirs] = [live?.discovery?.ours.tag, live?.discovery?.theirs.tag];
  switch (kind) {
    case "exchange":
      return !state.stopping;
    case "discovery":
      return ours === "idle";
    case "flow":
      return ours === "discovered" || ours === "offered";
    case "seeking":
      return theirs === "permitOpen" || theirs === "asked" || theirs === "offering" || theirs === "accepted";
    case "lapse":
      return live?.exchange?.ours.tag === "permitGiven" || live?.exchange?.ours.tag === "lapsed";
    case "answer":
      return live?.exchange?.ours.tag === "answering";
    default:
      return undefined;
  }
}
