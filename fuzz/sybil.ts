import { encodeMessage } from "../core/channels/table.ts";
import { createDeliveries, type Delivered } from "./deliveries.ts";
import { accountOf } from "./sim-items.ts";
import type { Tamper } from "./sim-transport.ts";
import { type Cluster, createCluster } from "./simulator.ts";
import { readWire } from "./wire.ts";

/**
 * Four times as many nodes of one attacker as honest ones, in the shapes that push gossip is evaluated against (Vyzovitis
 * et al., GossipSub, 2020). An honest node has a few honest neighbours, and sybils in all its other slots.
 */
export type Shape =
  /** They are there first, announce everything and serve nothing. */
  | "cold boot"
  /** They behave for a while, better than others since they are many, and stop serving all at once. */
  | "covert flash"
  /** Each serves only every second request. */
  | "degradation"
  /** They pass everything on but what one account sends. */
  | "censorship";

export const SHAPES: readonly Shape[] = ["cold boot", "covert flash", "degradation", "censorship"];

export interface SybilOptions {
  readonly shape: Shape;
  readonly seed: number;
  readonly honest: number;
  readonly items: number;
}

const SYBILS_PER_HONEST = 4;
/** Beside the ring, so that the honest are connected with each other whatever the seed. */
const HONEST_DIALS = 1;
const SYBIL_DIALS = 3;
/** For so long covert sybils behave. */
const COVERT_MS = 60_000;
const SUBMITTING_MS = 30_000;
const SETTLING_MS = 60_000;

export function playSybils({ shape, seed, honest, items }: SybilOptions): Delivered {
  const nodes = honest * (1 + SYBILS_PER_HONEST);
  const isSybil = (node: number): boolean => node >= honest;
  const victim = accountOf(0);
  let requests = 0;
  let attackMs = 0;
  const isAttacking = (): boolean => shape !== "covert flash" || cluster.clock.nowMs >= attackMs;

  const withhold: Tamper = (from, _to, channel, bytes) => {
    if (!isSybil(from.index) || !isAttacking()) return bytes;
    if (shape === "censorship") return channel === "transaction" ? withoutSender(bytes, victim) : bytes;
    const wire = readWire(channel, bytes);
    const isAnswer = typeof wire !== "string" && wire.channel === "rpc" && wire.message.tag === "response";
    return isAnswer && (shape !== "degradation" || requests++ % 2 === 0) ? null : bytes;
  };

  const deliveries = createDeliveries(honest);
  const cluster: Cluster = createCluster({
    nodes,
    seed,
    tamper: withhold,
    observers: [deliveries.observer],
  });
  const { random } = cluster;
  const connectSybils = (): void => {
    for (let sybil = honest; sybil < nodes; sybil++)
      for (let dial = 0; dial < SYBIL_DIALS; dial++) cluster.dial(sybil, (sybil + dial * 7) % honest);
  };
  if (shape === "cold boot") connectSybils();
  for (let node = 0; node < honest; node++) {
    cluster.dial(node, (node + 1) % honest);
    for (let dial = 0; dial < HONEST_DIALS; dial++)
      cluster.dial(node, (node + 1 + random.int(honest - 1)) % honest);
  }
  if (shape !== "cold boot") connectSybils();
  cluster.runFor(10_000);

  const submit = (count: number, forMs: number, note: boolean): void => {
    for (let item = 0; item < count; item++) {
      cluster.runFor(random.between(0, (2 * forMs) / count));
      const by = random.int(honest);
      // A third is of the account that is to be censored, whoever submits it.
      const sender = item % 3 === 0 ? victim : accountOf(1 + by);
      const nonce = nonces++;
      const { hash } = cluster.submit(by, {
        fee: BigInt(random.int(1_000)),
        sender,
        nonce,
        verdict: "valid",
        salt: 0,
      });
      if (note) deliveries.submitted(hash, by, cluster.clock.nowMs);
    }
  };
  let nonces = 0;
  if (shape === "covert flash") {
    attackMs = Number.POSITIVE_INFINITY;
    submit(items, COVERT_MS, false);
    attackMs = cluster.clock.nowMs;
  }
  submit(items, SUBMITTING_MS, true);
  cluster.runFor(SETTLING_MS);

  return deliveries.delivered();
}

/** The announcement without what this account sends; nothing is sent if nothing is left. */
function withoutSender(bytes: Uint8Array, sender: string): Uint8Array | null {
  const wire = readWire("transaction", bytes);
  if (typeof wire === "string" || wire.channel !== "transaction" || wire.message.tag !== "infos")
    return bytes;
  const items = wire.message.items.filter((info) => !("sender" in info) || info.sender !== sender);
  if (items.length === wire.message.items.length) return bytes;
  if (items.length === 0) return null;
  return encodeMessage({ ...wire, message: { ...wire.message, items } as typeof wire.message });
}
