import { sha256 } from "@noble/hashes/sha2.js";
import { ascii, toHex } from "../core/bytes.ts";
import { itemHash } from "../core/hash.ts";
import type { Hash, RequestId } from "../core/ids.ts";
import { PEERS_MAX_DEFAULT, TRANSACTION_CAPACITY_DEFAULT } from "../core/limits.ts";
import type { DialAddress } from "../core/multiaddr.ts";
import type { FetchedPool } from "../core/pools.ts";
import { type Config, DEFAULT_ADMISSION } from "../core/state.ts";
import { pendingIn } from "./pending.ts";
import { createChain, DEFAULT_CHAIN, type SimChain } from "./sim-chain.ts";
import { type Clock, createClock } from "./sim-clock.ts";
import { parametersOf, slotAt } from "./sim-consensus.ts";
import { createCrypto, createVault, type Vault } from "./sim-crypto.ts";
import { DEFAULT_LINK, type Host, type Later, type LinkOptions, type World } from "./sim-host.ts";
import { type Identity, identityOf } from "./sim-identity.ts";
import { encodeSnark, encodeTransaction, type SimSnark, type SimTransaction } from "./sim-items.ts";
import { createNode, type NodeObserver, type SimNode } from "./sim-node.ts";
import type { ChainHost, ChainOptions } from "./sim-parts.ts";
import { createRandom, type Random } from "./sim-random.ts";
import { createWeb, type SimWeb } from "./sim-signaling.ts";
import { createStreams } from "./sim-streams.ts";
import { createNetwork, type NetworkObserver, type SimNetwork, type Tamper } from "./sim-transport.ts";

export interface ClusterOptions {
  readonly nodes: number;
  readonly seed: number;
  readonly link?: Partial<LinkOptions>;
  readonly chain?: Partial<ChainOptions>;
  readonly config?: Partial<Config>;
  /** What one node is told in addition. */
  readonly configOf?: (index: number) => Partial<Config>;
  /** How far the clock of a node is ahead, ms. */
  readonly skewOf?: (index: number) => number;
  /** The IP address of a node; else each is in an address group of its own. */
  readonly hostOf?: (index: number) => string;
  readonly tamper?: Tamper;
  /** Everybody who watches, in this order: checkers, counters, the transcript. */
  readonly observers?: readonly ClusterObserver[];
}

export type ClusterObserver = Partial<NodeObserver> & Partial<NetworkObserver>;

export interface Submission {
  readonly hash: Hash;
  /** The answer is under this number in `SimNode.answers`. */
  readonly requestId: RequestId;
}

/** Many nodes in one process on one virtual clock: the same options give the same run, to the last bit. */
export interface Cluster {
  readonly clock: Clock;
  readonly random: Random;
  readonly vault: Vault;
  readonly web: SimWeb;
  readonly network: SimNetwork;
  /** The running or last process of each node. */
  readonly nodes: readonly SimNode[];
  readonly node: (index: number) => SimNode;
  readonly chain: (index: number) => SimChain;
  readonly identity: (index: number) => Identity;
  readonly addressOf: (index: number) => DialAddress;
  readonly dial: (from: number, to: number) => RequestId;
  readonly submit: (index: number, transaction: SimTransaction) => Submission;
  readonly submitSnark: (index: number, snark: SimSnark) => Submission;
  /** Makes a block of the present slot on a block that the node has applied, out of all that it has. */
  readonly produce: (index: number, parent?: Hash) => void;
  /** The link breaks at once; both ends are told after `noticeMs`. */
  readonly cutLink: (a: number, b: number, noticeMs?: number) => void;
  /** From now on all links are so. */
  readonly setLink: (changes: Partial<LinkOptions>) => void;
  /** The process dies by itself after so many more inputs and effects, and starts again after `downMs`. */
  readonly crash: (index: number, inputs: number, effects: number, downMs: number) => void;
  readonly kill: (index: number) => void;
  /** Kills the process and starts another with the same key, an empty pool and the same addresses to dial. */
  readonly restart: (index: number) => void;
  readonly stop: (index: number) => void;
  readonly runFor: (ms: number) => void;
  /** Runs until nothing is pending. @throws Error that says what still is after `limitMs` */
  readonly runUntilQuiet: (limitMs?: number) => void;
  readonly inputs: () => number;
}

/** Some time after the epoch: no rule may depend on small numbers. */
export const START_MS = 1_700_000_000_000;
const PORT = 7_300;
const QUIET_LIMIT_MS = 180_000;
const QUIET_STEP_MS = 50;

export function createCluster(options: ClusterOptions): Cluster {
  const { seed, observers = [], hostOf = addressOfIndex } = options;
  const clock = createClock(START_MS);
  const random = createRandom(seed);
  const world: World = { clock, random, link: { ...DEFAULT_LINK, ...options.link } };
  const identities = Array.from({ length: options.nodes }, (_, index) => identityOf(`node ${index}`));
  const secrets = new Map(identities.map(({ publicKey, secret }) => [publicKey, secret]));
  const vault = createVault((publicKey) => secrets.get(publicKey));
  const web = createWeb(world);
  const chainOptions: ChainOptions = { ...DEFAULT_CHAIN, ...options.chain };
  const parameters = parametersOf(chainOptions, START_MS);
  const sent: NetworkObserver["sent"] = (...message) => {
    for (const observer of observers) observer.sent?.(...message);
  };
  const network = createNetwork(world, { sent }, options.tamper);
  const nodeObserver: NodeObserver = {
    before: (node, input) => {
      for (const observer of observers) observer.before?.(node, input);
    },
    after: (node, input, result) => {
      for (const observer of observers) observer.after?.(node, input, result);
    },
  };
  const chains: SimChain[] = [];
  const everyNode: SimNode[] = [];
  const targets = new Map<number, Set<number>>();

  function start(index: number, life: number): SimNode {
    const identity = at(identities, index);
    const node = createNode({
      index,
      life,
      address: hostOf(index),
      config: {
        ...defaultConfig(identity, index, hostOf(index)),
        chain: parameters,
        ...options.config,
        ...options.configOf?.(index),
      },
      seed: toHex(sha256(ascii(`${seed} ${index} ${life}`))),
      clock,
      skewMs: options.skewOf?.(index) ?? 0,
      observer: nodeObserver,
      services: (host, answer) => {
        const later = laterOf(world, host);
        const chainHost: ChainHost = {
          node: index,
          publicKey: identity.publicKey,
          parameters,
          nowMs: () => at(nodes, index).nowMs(),
          between: random.between,
          after: (delayMs, run) => clock.after(delayMs, () => (host.isAlive() ? run() : undefined)),
          later,
          give: host.give,
          received: (root) => streams.received(root),
        };
        const chain = createChain(chainHost, chainOptions);
        const streams = createStreams(later, host.give, chain.provide);
        chains[index] = chain;
        return {
          transport: network.transportOf(host),
          signaling: web.signalingOf(host),
          crypto: createCrypto(identity, vault, later, host.give),
          chain,
          streams,
          operator: { answer },
        };
      },
    });
    web.listen(node, PORT);
    everyNode.push(node);
    return node;
  }

  const nodes = identities.map((_, index) => start(index, 0));
  const addressOf = (index: number): DialAddress => ({
    scheme: "http",
    hostKind: "ip4",
    host: hostOf(index),
    port: PORT,
    peerId: at(identities, index).peerId,
  });
  const dial = (from: number, to: number): RequestId => {
    targets.set(from, (targets.get(from) ?? new Set()).add(to));
    return at(nodes, from).command((requestId) => ({
      type: "command/dial",
      requestId,
      address: addressOf(to),
    }));
  };
  const submit = (index: number, pool: FetchedPool, bytes: Uint8Array): Submission => {
    const node = at(nodes, index);
    const requestId = node.command((id) => ({ type: "command/submit", requestId: id, pool, bytes }));
    return { hash: itemHash(bytes) as Hash, requestId };
  };
  const kill = (index: number): void => {
    at(nodes, index).kill();
    network.vanish(at(nodes, index));
  };
  const restart = (index: number): void => {
    if (at(nodes, index).isAlive()) kill(index);
    nodes[index] = start(index, at(nodes, index).life + 1);
    for (const target of targets.get(index) ?? []) dial(index, target);
  };
  const runFor = (ms: number): void => {
    const untilMs = clock.nowMs + ms;
    while (clock.runNext(untilMs));
    clock.advanceTo(untilMs);
  };

  return {
    clock,
    random,
    vault,
    web,
    network,
    nodes,
    node: (index) => at(nodes, index),
    chain: (index) => at(chains, index),
    identity: (index) => at(identities, index),
    addressOf,
    dial,
    kill,
    runFor,
    submit: (index, transaction) => submit(index, "transaction", encodeTransaction(transaction)),
    submitSnark: (index, snark) => submit(index, "snark", encodeSnark(snark)),
    produce: (index, parent) => {
      const { chain, pools } = at(nodes, index).state;
      const offered = (pool: FetchedPool): readonly Hash[] => [...pools[pool].byPriority.values()];
      const slot = slotAt(parameters, at(nodes, index).nowMs());
      at(chains, index).produceBlock(
        parent ?? chain.tip.hash,
        slot,
        offered("transaction"),
        offered("snark"),
      );
    },
    setLink: (changes) => {
      Object.assign(world.link, changes);
    },
    crash: (index, inputs, effects, downMs) => {
      const process = at(nodes, index);
      process.crashAfter(inputs, effects, () => {
        network.vanish(process);
        clock.after(downMs, () => restart(index));
      });
    },
    cutLink: (a, b, noticeMs = 0) => network.cut(a, b, noticeMs),
    restart,
    stop: (index) => {
      at(nodes, index).command(() => ({ type: "command/stop" }));
    },
    runUntilQuiet: (limitMs = QUIET_LIMIT_MS) => {
      const untilMs = clock.nowMs + limitMs;
      for (;;) {
        runFor(QUIET_STEP_MS);
        const why = pendingIn(clock, nodes);
        if (why === null) return;
        if (clock.nowMs >= untilMs) throw new Error(`not quiet after ${limitMs} ms: ${why}`);
      }
    },
    inputs: () => everyNode.reduce((sum, { inputs }) => sum + inputs, 0),
  };
}

/** Each node in an address group of its own, in a public range. */
const addressOfIndex = (index: number): string => `20.${index >> 8}.${index & 255}.7`;

function laterOf({ clock, random, link }: World, host: Host): Later {
  return (run) =>
    clock.after(random.between(...link.serviceMs), () => {
      if (host.isAlive()) run();
    });
}

function defaultConfig({ peerId, publicKey }: Identity, index: number, host: string): Omit<Config, "chain"> {
  return {
    peerId,
    publicKey,
    chainId: "c4".repeat(32),
    userAgent: `simulated ${index}`,
    listen: `/ip4/${host}/tcp/${PORT}/http/p2p/${peerId}`,
    peersMax: PEERS_MAX_DEFAULT,
    peersMin: 0,
    allowPrivateCandidates: false,
    admission: DEFAULT_ADMISSION,
    capacity: TRANSACTION_CAPACITY_DEFAULT,
    produces: false,
    workFee: null,
  };
}

function at<T>(list: readonly T[], index: number): T {
  const entry = list[index];
  if (entry === undefined) throw new RangeError(`there is no node ${index}`);
  return entry;
}
