import type { ClusterObserver } from "../simulator.ts";
import { readWire } from "../wire.ts";

/** Of equal peers nobody may have much less than another: so much at least has to be Jain's index of what they got. */
export const JAIN_MIN = 0.95;

/** Jain's index: 1 for equal shares, and 1/n if one of n has everything. */
export const jainIndex = (shares: readonly number[]): number =>
  sum(shares) ** 2 / (shares.length * sum(shares.map((share) => share ** 2)));

export const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);

/** Counts the bodies that one node sends to another. */
export function countBodies() {
  const counts = new Map<string, number>();
  const observer: ClusterObserver = {
    sent: (from, _attemptId, to, channel, bytes) => {
      if (channel !== "rpc") return;
      const wire = readWire(channel, bytes);
      if (typeof wire === "string" || wire.channel !== "rpc" || !("body" in wire.message)) return;
      const { body } = wire.message;
      const found = body.tag === "items" ? body.found.filter(({ tag }) => tag === "some").length : 0;
      const way = `${from.index} ${to.index}`;
      counts.set(way, (counts.get(way) ?? 0) + found);
    },
  };
  return { observer, bodies: (from: number, to: number): number => counts.get(`${from} ${to}`) ?? 0 };
}
