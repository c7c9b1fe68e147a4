import type { Event } from "../core/actions.ts";
import type { Clock } from "./sim-clock.ts";
import type { Random } from "./sim-random.ts";

/** Hands an event to a node, now. Only ever called from the clock: no service answers inside a call. */
export type Give = (event: Event) => void;

/** Runs something a drawn delay later, unless the process it belongs to has died by then. */
export type Later = (run: () => void) => void;

/** One run of one node's process, as the simulated services see it. */
export interface Host {
  /** Position in the cluster; together with `life` the name of this process. */
  readonly index: number;
  readonly life: number;
  /** IP literal it dials from and listens on. */
  readonly address: string;
  readonly give: Give;
  readonly isAlive: () => boolean;
  readonly isFrozen: () => boolean;
}

/** What all simulated services share. */
export interface World {
  readonly clock: Clock;
  readonly random: Random;
  /** As links are now: a run may make them worse for a while, and heal them. */
  readonly link: { -readonly [Name in keyof LinkOptions]: LinkOptions[Name] };
}

/** Each named option is one fault or one property of every link. */
export interface LinkOptions {
  /** One way, drawn once per pair of nodes. */
  readonly latencyMs: readonly [number, number];
  /** Added to each message anew; messages of one channel keep their order all the same. */
  readonly jitterMs: number;
  /** Crypto, chain, loading, gathering of candidates: drawn anew for each. */
  readonly serviceMs: readonly [number, number];
  /** What each side of a connection can send, bytes per ms; what is sent faster is buffered by its transport. */
  readonly bytesPerMs: number;
  /** How often only the answerer can open the path, so that the dialer's checks alone reach nobody. */
  readonly closedChance: number;
  /** How often nobody can: all checks of both sides are lost. */
  readonly unreachableChance: number;
  /** How often a request over HTTP, or the response to it, gets lost. */
  readonly signalLossChance: number;
  /** Added to each request over HTTP, ms. */
  readonly signalDelayMs: readonly [number, number];
  /** After how long a transport notices that the other side has vanished without a word. */
  readonly noticeMs: readonly [number, number];
}

/** Measured with the library in use: a killed peer is noticed after 13 to 30 s. */
export const DEFAULT_LINK: LinkOptions = {
  latencyMs: [2, 40],
  jitterMs: 8,
  bytesPerMs: Number.POSITIVE_INFINITY,
  serviceMs: [0, 3],
  closedChance: 0.25,
  unreachableChance: 0,
  signalLossChance: 0,
  signalDelayMs: [0, 0],
  noticeMs: [13_000, 30_000],
};
