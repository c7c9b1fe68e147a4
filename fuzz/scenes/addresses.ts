import { encodeMessage } from "../../core/channels/table.ts";
import { BOOK_GROUP_REST_MS, BOOK_IP_REST_MS } from "../../core/limits.ts";
import { type DialAddress, formatMultiaddr, parseMultiaddr } from "../../core/multiaddr.ts";
import { outgoingReserve } from "../../reducers/admission-budgets.ts";
import { identityOf } from "../sim-identity.ts";
import { createRandom } from "../sim-random.ts";
import type { Tamper } from "../sim-transport.ts";
import { type Cluster, type ClusterObserver, START_MS } from "../simulator.ts";
import { createWatched } from "../watched.ts";
import { readWire } from "../wire.ts";

const MINUTE_MS = 60_000;
const PEERS_MAX = 12;
const VICTIM = "70.0.0.1";
const VICTIMS_NETWORK = "70.0.0.";
/** Of all nodes, and of nobody else. */
const NODES_PREFIX = "20.";

/**
 * Nodes that know one of them find each other, unless that one lies (P17): then they dial what it tells of as seldom as
 * the protocol says, never what is private or themselves, believe none of it, and tell nobody.
 */
export function playAddresses(seed: number, observers: readonly ClusterObserver[]): readonly string[] {
  const random = createRandom(seed);
  const nodes = random.between(5, 8);
  const hasLiar = random.chance(0.6);
  const problems = new Set<string>();
  const isLiar = (node: number): boolean => hasLiar && node === KNOWN;
  const lie: Tamper = (from, to, channel, bytes) =>
    isLiar(from.index) && channel === "rpc" ? poisoned(cluster.addressOf(to.index), bytes) : bytes;
  const watching = [dialsWatched(problems, () => cluster), tellingWatched(problems, isLiar)];
  const { cluster } = createWatched(
    {
      nodes,
      seed,
      config: { peersMin: 1 + random.int(3), peersMax: PEERS_MAX },
      tamper: lie,
      observers: [...observers, ...watching],
    },
    isLiar,
  );
  for (let node = 1; node < nodes; node++) {
    cluster.dial(node, KNOWN);
    cluster.runFor(random.int(2_000));
  }
  // Who asked when nobody knew much asks again after ten minutes.
  cluster.runFor((hasLiar ? 6 : 13) * MINUTE_MS);
  for (const { index, state } of cluster.nodes) {
    const peers = [...state.peers.values()];
    const outgoing = peers.filter(({ live }) => live?.direction === "outgoing").length;
    const isAlone = peers.length < nodes - 1 && outgoing < outgoingReserve(PEERS_MAX);
    if (!hasLiar && isAlone) problems.add(`P17: node ${index} has found ${outgoing} peers`);
    for (const { address, table } of state.book.addresses.entries.values()) {
      if (table === "tried" && !address.host.startsWith(NODES_PREFIX))
        problems.add(`P17: node ${index} takes ${address.host} for proven`);
    }
  }
  return [...problems];
}

const KNOWN = 0;

/** A victim that is no node, all of its network, private addresses, and whoever asks. */
function poisoned(asker: DialAddress, bytes: Uint8Array): Uint8Array {
  const wire = readWire("rpc", bytes);
  if (typeof wire === "string" || wire.channel !== "rpc" || wire.message.tag !== "response") return bytes;
  // Whoever has no blocks asks for nothing but addresses.
  const at = (name: string, host: string, port = 7_300): string =>
    formatMultiaddr({ ...asker, host, port, peerId: identityOf(name).peerId });
  const each = (count: number, make: (number: number) => string): readonly string[] =>
    Array.from({ length: count }, (_, number) => make(number));
  const addresses = [
    ...each(20, (number) => at(`victim ${number}`, VICTIM, 1_000 + number)),
    ...each(20, (number) => at(`neighbour ${number}`, `${VICTIMS_NETWORK}${number + 2}`)),
    ...each(6, (number) => at(`nobody ${number}`, `80.${number}.0.1`)),
    ...["10.0.0.1", "192.168.0.1", "169.254.169.254", "127.0.0.1"].map((host) => at(host, host)),
    formatMultiaddr(asker),
    "not an address",
  ];
  const message = { ...wire.message, body: { tag: "peers", addresses } } as const;
  return encodeMessage({ channel: "rpc", message });
}

/** What is posted was begun up to some service times before. */
const TOLERANCE_MS = 1_000;

function dialsWatched(problems: Set<string>, cluster: () => Cluster): ClusterObserver {
  const last = new Map<string, number>();
  return {
    after: (node, _input, { effects }) => {
      for (const effect of effects) {
        if (effect.type !== "effect/postSignal") continue;
        const { host } = effect.address;
        if (host === cluster().addressOf(node.index).host)
          problems.add(`P17: node ${node.index} dials itself`);
        if (host.startsWith(NODES_PREFIX)) continue;
        if (/^(10|127|169|192)\./.test(host)) problems.add(`P17: ${host} is dialed, which is private`);
        const network = host.startsWith(VICTIMS_NETWORK) ? VICTIMS_NETWORK : host;
        for (const [place, restMs] of [
          [host, BOOK_IP_REST_MS],
          [`${network}*`, BOOK_GROUP_REST_MS],
        ] as const) {
          const key = `${node.index} ${place}`;
          const gapMs = node.nowMs() - (last.get(key) ?? START_MS - restMs);
          if (gapMs < restMs - TOLERANCE_MS) problems.add(`P17: ${place} is dialed again after ${gapMs} ms`);
          last.set(key, node.nowMs());
        }
      }
    },
  };
}

function tellingWatched(problems: Set<string>, isLiar: (node: number) => boolean): ClusterObserver {
  return {
    sent: (from, _attemptId, _to, channel, bytes) => {
      const wire = channel === "rpc" && !isLiar(from.index) ? readWire(channel, bytes) : "";
      if (typeof wire === "string" || wire.channel !== "rpc" || wire.message.tag !== "response") return;
      const { body } = wire.message;
      for (const text of body.tag === "peers" ? body.addresses : []) {
        const parsed = parseMultiaddr(text);
        const host = parsed.tag === "address" ? parsed.address.host : text;
        if (!host.startsWith(NODES_PREFIX)) problems.add(`P17: node ${from.index} tells of ${host}`);
      }
    },
  };
}
