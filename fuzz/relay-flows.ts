import type { State } from "../core/state.ts";
import type { Cluster } from "./simulator.ts";

/** What a node does in 7.1 and 7.2 at this moment, as somebody asks who wants all of it to come to an end. */

/** @returns what is under way: attempts by their numbers, flows by peer */
export function underWay({ attempts, peers }: State): readonly string[] {
  const things = [...attempts.values()].flatMap(({ id, phase }) =>
    phase.tag === "ready" ? [] : [`attempt ${id}`],
  );
  for (const { peerId, live } of peers.values()) {
    const flows = {
      "as relay, for": [live?.discovery?.ours.tag, RELAYING],
      "as relay, to": [live?.exchange?.theirs.tag, BRINGING],
      "as dialer, by": [live?.discovery?.theirs.tag, SEEKING],
      "as listener, by": [live?.exchange?.ours.tag, ["answering"]],
    } as const;
    for (const [role, [tag = "", busy]] of Object.entries(flows))
      if ((busy as readonly string[]).includes(tag)) things.push(`${role} ${peerId}`);
  }
  return things;
}

const RELAYING = ["discovered", "offered"];
const BRINGING = ["kept", "offered"];
const SEEKING = ["asked", "offering", "accepted"];

/** When nobody has asked for anything for two minutes, every permit is where it can be used again. @returns which is not */
export function lostPermits({ peers }: State): readonly string[] {
  return [...peers.values()].flatMap(({ peerId, live }) => {
    if (live?.discovery == null || live.exchange === null) return [`no live connection with ${peerId}`];
    const found = {
      "for its Discover": [live.discovery.ours.tag, ["permitGiven"]],
      "for our Discover": [live.discovery.theirs.tag, ["permitOpen"]],
      "for its Offer": [live.exchange.ours.tag, ["permitGiven", "lapsed"]],
      "for our Offer": [live.exchange.theirs.tag, ["permitOpen"]],
    } as const;
    return Object.entries(found).flatMap(([permit, [tag, expected]]) =>
      (expected as readonly string[]).includes(tag) ? [] : [`the permit ${permit} is ${tag} (${peerId})`],
    );
  });
}

export const areConnected = (cluster: Cluster, a: number, b: number): boolean =>
  [
    [a, b],
    [b, a],
  ].every(
    ([from = 0, to = 0]) =>
      cluster.node(from).isAlive() &&
      cluster.node(from).state.peers.get(cluster.identity(to).peerId)?.live != null,
  );
