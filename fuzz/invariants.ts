import type { Action } from "../core/actions.ts";
import type { Hash, PeerId } from "../core/ids.ts";
import { RPC_OPEN_MAX } from "../core/limits.ts";
import { fromJson, toJson } from "../core/plain.ts";
import { severity } from "../core/reasons.ts";
import type { LivePeer, State } from "../core/state.ts";
import { stateHash } from "../core/state-hash.ts";

/**
 * What is true in a simulated network beyond the invariants of every state (reducers/invariants.ts). Each function
 * returns what is wrong, in words; nothing if all is well. That they find a fault is proven in invariants.test.ts.
 */
export type Problems = readonly string[];

/** What waits to be fetched is asked for as soon as one of its announcers can be asked. */
export function checkFetchProgress({ fetches, peers }: State): Problems {
  const problems: string[] = [];
  for (const [hash, { announcers, stage }] of fetches.entries()) {
    if (stage.tag !== "waiting" || [...announcers.keys()].some((id) => isBusy(liveOf(peers.get(id)))))
      continue;
    problems.push(`${short(hash)} waits and every announcer is idle`);
  }
  return problems;
}

/** The state is plain data and survives its own recording. Costs the whole state: checked now and then. */
export function checkPlain(state: State): Problems {
  const again = fromJson(toJson(state)) as State;
  return stateHash(again) === stateHash(state) ? [] : ["the state is another after toJson and fromJson"];
}

/** Honest nodes never accuse each other of what only a liar does (section 1). */
export function checkNoAccusation(actions: readonly Action[]): Problems {
  const problems: string[] = [];
  for (const action of actions) {
    const isEnd = action.type === "connection/disconnect" || action.type === "connection/ended";
    if (isEnd && severity(action.reason) === "violation") {
      problems.push(`${action.type} for ${action.reason}: ${action.detail}`);
    }
  }
  return problems;
}

/** What is left of a node that has no connection, is dialing nobody and was given time to forget. */
export function checkBaseline(state: State): Problems {
  const left = {
    attempts: state.attempts.size,
    peers: state.peers.size,
    waiting: state.waiting.size,
    fetches: state.fetches.size,
    batches: state.batches.size,
    replays: state.admission.replays.size,
    deadlines: state.deadlines.byName.size,
  };
  return Object.entries(left).flatMap(([name, count]) => (count === 0 ? [] : [`${count} ${name} are left`]));
}

const liveOf = (peer: { readonly live: LivePeer | null } | undefined): LivePeer | null => peer?.live ?? null;

/** It is being asked for something, or cannot be asked: it is asked again when that is over. */
const isBusy = (live: LivePeer | null): boolean =>
  live !== null && (live.fetching !== null || (live.rpc?.ours.length ?? RPC_OPEN_MAX) >= RPC_OPEN_MAX);

const short = (id: Hash | PeerId): string => id.slice(-8);
