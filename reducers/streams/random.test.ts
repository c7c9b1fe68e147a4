import { describe, expect, test } from "vitest";
import type { Hash } from "../../core/ids.ts";
import { STREAM_TIMEOUT_MS } from "../../core/limits.ts";
import { type Random, randomOf } from "../testing/random.ts";
import {
  type Behaviour,
  createStreamNet,
  honest,
  type NetNode,
  type StreamNet,
} from "../testing/stream-net.ts";
import { snapshotOf } from "../testing/streams.ts";

const SNAPSHOT = snapshotOf("wanted", 200);

/** Runs the net until this holds. */
function until(net: StreamNet, holds: () => boolean, limitMs = 600_000): void {
  const endMs = net.nowMs() + limitMs;
  while (!holds()) {
    if (net.nowMs() >= endMs) throw new Error("it takes too long");
    if (!net.next()) net.pass(1_000);
  }
}

const hasAll = ({ kept }: NetNode): boolean => kept.get(SNAPSHOT.root)?.size === SNAPSHOT.chunks;
const isOver = ({ node }: NetNode): boolean => node.state.download?.isActive !== true;

/** `us` fetches from these. */
function netOf(seed: number, servers: Readonly<Record<string, Partial<Behaviour>>>): StreamNet {
  const net = createStreamNet(randomOf(seed));
  net.add("us", honest());
  for (const [name, changes] of Object.entries(servers)) {
    net.add(name, { ...honest(SNAPSHOT), ...changes });
    net.link("us", name);
  }
  return net;
}

function expectNothingLeft(net: StreamNet, names: readonly string[]): void {
  for (const name of names) {
    const { node, serving } = net.get(name);
    expect([name, node.state.download, [...serving]]).toEqual([name, null, []]);
    const wakes = [...node.state.deadlines.byName.keys()].filter((wake) => wake.startsWith("stream"));
    expect([name, wakes]).toEqual([name, []]);
  }
}

describe("streams: 200 chunks from three peers", () => {
  const LIE = 74;

  test("one dies, one lies at chunk 74, one is slow: each chunk is stored once, the lie is caught there", () => {
    for (let seed = 1; seed <= 6; seed++) {
      const net = netOf(seed, {
        dies: {},
        lies: { forges: (index) => index === LIE },
        slow: { serviceMs: 400 },
      });
      const us = net.get("us");
      const storedBefore: number[] = [];
      net.fetch("us", SNAPSHOT.root);
      until(net, () => (us.node.state.download?.stored ?? 0) >= 20 + seed);
      storedBefore.push(...(us.kept.get(SNAPSHOT.root) ?? []));
      net.cut("us", "dies");
      until(net, () => isOver(net.get("us")));
      expect(hasAll(us)).toBe(true);
      // Each once, those from before the failure too: nothing began from the start.
      expect([...us.storedTimes.values()].every((times) => times === 1)).toBe(true);
      expect(us.storedTimes.size).toBe(SNAPSHOT.chunks);
      expect(storedBefore.every((index) => us.storedTimes.get(index) === 1)).toBe(true);
      const byUs = us.endings.filter((ending) => ending.startsWith("us "));
      expect(["", "us badChunk"]).toContain(byUs.join());
      until(net, () => net.get("slow").serving.size === 0);
      expectNothingLeft(net, ["us", "slow"]);
    }
  });

  test("a lie is always caught when it is told, and only its teller is banned", () => {
    let lies = 0;
    for (let seed = 1; seed <= 6; seed++) {
      const net = netOf(seed, { honest: {}, lies: { forges: (index) => index >= LIE } });
      net.fetch("us", SNAPSHOT.root);
      const us = net.get("us");
      until(net, () => isOver(net.get("us")));
      expect(hasAll(us)).toBe(true);
      const isTold = us.endings.includes("us badChunk");
      lies += isTold ? 1 : 0;
      expect(us.node.state.offenders.size).toBe(isTold ? 1 : 0);
      expect(net.get("honest").endings).toEqual([]);
    }
    expect(lies).toBeGreaterThan(3);
  });

  test("one that hangs is timed out only if nobody could relieve it", () => {
    const net = netOf(1, { honest: {}, hangs: { hangs: (index) => index > 40 } });
    net.fetch("us", SNAPSHOT.root);
    const startedMs = net.nowMs();
    until(net, () => isOver(net.get("us")));
    expect(hasAll(net.get("us"))).toBe(true);
    expect(net.nowMs() - startedMs).toBeLessThan(STREAM_TIMEOUT_MS);
    expect(net.get("us").endings).toEqual([]);
    const alone = netOf(1, { hangs: { hangs: (index) => index > 40 } });
    alone.fetch("us", SNAPSHOT.root);
    until(alone, () => isOver(alone.get("us")));
    expect(alone.get("us").endings).toEqual(["us timeout"]);
    expect(alone.get("us").node.state.download).toMatchObject({ isActive: false, stored: 41 });
  });

  test("peers that come and go, one at a time: it is finished in the end, each chunk once", () => {
    const net = netOf(7, { first: {} });
    const us = net.get("us");
    net.fetch("us", SNAPSHOT.root);
    for (let turn = 0; turn < 9; turn++) {
      until(net, () => (us.node.state.download?.stored ?? 0) >= 20 * (turn + 1));
      const [old = ""] = us.links.keys();
      net.cut("us", old);
      until(net, () => us.node.state.download?.isActive === false);
      net.add(`next ${turn}`, honest(SNAPSHOT));
      net.link("us", `next ${turn}`);
      net.fetch("us", SNAPSHOT.root);
    }
    until(net, () => us.node.state.download === null);
    expect(us.storedTimes.size).toBe(SNAPSHOT.chunks);
    expect([...us.storedTimes.values()].every((times) => times === 1)).toBe(true);
  });
});

describe("streams: any order of things", () => {
  const OTHER = snapshotOf("other", 60);
  const NAMES = ["a", "b", "c", "d"];

  test("honest nodes that fetch from each other, in both directions at once, never blame each other", () => {
    let [complete, collisions] = [0, 0];
    for (let seed = 1; seed <= 10; seed++) {
      const random = randomOf(1_000 + seed);
      const net = createStreamNet(random);
      for (const [index, name] of NAMES.entries()) {
        // Two have the one, two the other; everybody wants the one it does not have.
        net.add(name, { ...honest(index < 2 ? SNAPSHOT : OTHER), serviceMs: random(2) * 200 });
      }
      const rootFor = (name: string) => (NAMES.indexOf(name) < 2 ? OTHER : SNAPSHOT).root;
      for (const a of NAMES) for (const b of NAMES) if (a < b) net.link(a, b);
      for (const name of NAMES) net.fetch(name, rootFor(name));
      const faultsUntilMs = net.nowMs() + 20_000;
      while (net.nowMs() < faultsUntilMs) {
        if (random(40) === 0) fault(net, random, rootFor);
        else if (!net.next()) net.pass(1_000);
        collisions += countCollisions(net);
      }
      for (const a of NAMES) for (const b of NAMES) if (a < b) net.link(a, b);
      for (const name of NAMES) if (isOver(net.get(name))) net.fetch(name, rootFor(name));
      until(net, () => NAMES.every((name) => isOver(net.get(name))));
      until(net, () => NAMES.every((name) => net.get(name).serving.size === 0));
      for (const name of NAMES) {
        const { node, endings, kept } = net.get(name);
        expect([
          seed,
          name,
          node.state.offenders.size,
          endings.filter((ending) => /us|them/.test(ending)),
        ]).toEqual([seed, name, 0, []]);
        const wanted = rootFor(name) === OTHER.root ? OTHER : SNAPSHOT;
        if (kept.get(wanted.root)?.size === wanted.chunks) complete += 1;
      }
    }
    expect(complete).toBeGreaterThan(28);
    // Both directions under one number: the Cancel of one of them says nothing of which.
    expect(collisions).toBeGreaterThan(0);
  });

  function fault(net: StreamNet, random: Random, rootFor: (name: string) => Hash): void {
    const a = NAMES[random(NAMES.length)] ?? "a";
    const b = NAMES[random(NAMES.length)] ?? "b";
    switch (random(4)) {
      case 0:
        if (a !== b) net.cut(a, b);
        return;
      case 1:
        if (a !== b) net.link(a, b);
        return;
      case 2:
        net.abandon(a, rootFor(a));
        return;
      default:
        net.fetch(a, rootFor(a));
    }
  }

  /** Pairs with one number in both directions, now. */
  function countCollisions(net: StreamNet): number {
    let count = 0;
    for (const name of NAMES) {
      const { node } = net.get(name);
      for (const [peerId, source] of node.state.download?.sources.entries() ?? []) {
        const theirs = node.state.peers.get(peerId)?.live?.streaming?.theirs;
        if (theirs?.id === source.streamId) count += 1;
      }
    }
    return count;
  }
});
