import { describe, expect, test } from "vitest";
import { encodeMessage } from "../core/channels/table.ts";
import { BOOK_GROUP_REST_MS, BOOK_IP_REST_MS } from "../core/limits.ts";
import { type DialAddress, formatMultiaddr } from "../core/multiaddr.ts";
import { identityOf } from "./sim-identity.ts";
import type { Tamper } from "./sim-transport.ts";
import type { Cluster, ClusterObserver } from "./simulator.ts";
import { createWatched } from "./watched.ts";
import { readWire } from "./wire.ts";

const MINUTE_MS = 60_000;
/** A quarter of the slots is kept free for a node's own dials. */
const CONFIG = { peersMin: 1, peersMax: 16 } as const;
const RESERVE = 4;

const outgoingOf = (cluster: Cluster, node: number): number =>
  [...cluster.node(node).state.peers.values()].filter(({ live }) => live?.direction === "outgoing").length;

/** All but the first dial it, and know nobody else. */
function dialFirst(cluster: Cluster): void {
  for (const { index } of cluster.nodes.slice(1)) cluster.dial(index, 0);
}

describe("addresses of others", () => {
  test("twelve nodes that know one of them: each gets as many outgoing peers as are kept free, by what it is told", {
    timeout: 120_000,
  }, () => {
    for (const seed of [1, 2]) {
      const { cluster } = createWatched({ nodes: 12, seed, config: CONFIG });
      dialFirst(cluster);
      cluster.runFor(12 * MINUTE_MS);
      const counts = cluster.nodes.slice(1).map(({ index }) => outgoingOf(cluster, index));
      // One more is on trial now and then.
      for (const count of counts) expect([RESERVE, RESERVE + 1]).toContain(count);
      // Everybody is connected with the first already: it has nobody left to dial, but all of them to tell of.
      expect(cluster.node(0).state.peers.size).toBe(11);
      for (const { state } of cluster.nodes) {
        for (const { address } of state.book.addresses.entries.values()) {
          const isTrue = cluster.nodes.some(
            ({ index }) => formatMultiaddr(cluster.addressOf(index)) === formatMultiaddr(address),
          );
          expect(isTrue).toBe(true);
        }
      }
    }
  });

  /** What a liar tells of: a victim that is no node, everybody in one network, private addresses, and who asks. */
  function poison(asker: DialAddress): readonly string[] {
    const at = (name: string, host: string, port = 7_300): string =>
      formatMultiaddr({ ...asker, host, port, peerId: identityOf(name).peerId });
    const each = (count: number, make: (number: number) => string): readonly string[] =>
      Array.from({ length: count }, (_, number) => make(number));
    return [
      ...each(20, (number) => at(`victim ${number}`, VICTIM, 1_000 + number)),
      ...each(20, (number) => at(`neighbour ${number}`, `70.0.0.${number + 2}`)),
      ...each(6, (number) => at(`nobody ${number}`, `80.${number}.0.1`)),
      at("private", "10.0.0.1"),
      at("private too", "192.168.0.1"),
      at("link", "169.254.169.254"),
      at("loopback", "127.0.0.1"),
      formatMultiaddr(asker),
      "not an address",
    ];
  }
  const VICTIM = "70.0.0.1";

  test("P17: poisoned gossip: a victim gets one dial per minute and node, its network one per 10 s, nobody else any", {
    timeout: 120_000,
  }, () => {
    const lie: Tamper = (from, to, channel, bytes) => {
      const wire = channel === "rpc" && from.index === 0 ? readWire(channel, bytes) : "";
      if (typeof wire === "string" || wire.channel !== "rpc" || wire.message.tag !== "response") return bytes;
      // Nothing but addresses is asked for here.
      const body = { tag: "peers", addresses: poison(cluster.addressOf(to.index)) } as const;
      return encodeMessage({ channel: "rpc", message: { ...wire.message, body } });
    };
    const dials = new Map<string, number[]>();
    const watching: ClusterObserver = {
      after: (node, _input, { effects }) => {
        for (const effect of effects) {
          if (effect.type !== "effect/postSignal") continue;
          const { host } = effect.address;
          const network = host.startsWith("70.0.0.") ? ["network"] : [];
          for (const where of [host, ...network]) {
            const key = `${node.index} ${where}`;
            dials.set(key, [...(dials.get(key) ?? []), node.nowMs()]);
          }
        }
      },
    };
    const { cluster } = createWatched(
      { nodes: 4, seed: 3, config: { peersMin: 3, peersMax: 16 }, tamper: lie, observers: [watching] },
      (node) => node === 0,
    );
    dialFirst(cluster);
    cluster.runFor(25 * MINUTE_MS);

    const gapsOf = (where: string): readonly number[] =>
      cluster.nodes.slice(1).flatMap(({ index }) => {
        const times = dials.get(`${index} ${where}`) ?? [];
        return times.slice(1).map((atMs, number) => atMs - (times[number] ?? 0));
      });
    const [atVictim, inNetwork] = [gapsOf(VICTIM), gapsOf("network")];
    expect(atVictim.length).toBeGreaterThan(3);
    expect(inNetwork.length).toBeGreaterThan(30);
    // What is posted was begun up to some service times before.
    expect(Math.min(...atVictim)).toBeGreaterThan(BOOK_IP_REST_MS - 1_000);
    expect(Math.min(...inNetwork)).toBeGreaterThan(BOOK_GROUP_REST_MS - 1_000);
    const hosts = [...dials.keys()].map((key) => key.split(" ")[1] ?? "");
    expect(hosts.filter((host) => /^(10|127|192|169)\./.test(host))).toEqual([]);
    for (const { index, state } of cluster.nodes) {
      expect(dials.has(`${index} ${cluster.addressOf(index).host}`)).toBe(false);
      for (const { address, table } of state.book.addresses.entries.values()) {
        if (table === "tried") expect(address.host).toMatch(/^20\./);
      }
    }
  });
});
