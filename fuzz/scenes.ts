import { playAddresses } from "./scenes/addresses.ts";
import { playCommitments } from "./scenes/commitments.ts";
import { playConnections } from "./scenes/connections.ts";
import { playFarBehind } from "./scenes/far-behind.ts";
import { playForks } from "./scenes/forks.ts";
import { playHub } from "./scenes/hub.ts";
import { playLargePools } from "./scenes/large-pools.ts";
import { playPriorities } from "./scenes/priorities.ts";
import { playRelay } from "./scenes/relay.ts";
import { playSlots } from "./scenes/slots.ts";
import { playWithholders } from "./scenes/withholders.ts";
import type { ClusterObserver } from "./simulator.ts";

/** What happens in it is always the same; the seed decides when, and with whom. */
export interface Scene {
  readonly about: string;
  /**
   * @param liars only these, where the seed would choose; null: those that it chooses
   * @returns what is not as it has to be
   */
  readonly play: (
    seed: number,
    observers: readonly ClusterObserver[],
    liars: readonly string[] | null,
  ) => readonly string[];
}

export const SCENES = {
  connections: {
    about: "two or three nodes that dial, fall silent, are flooded and stop",
    play: playConnections,
  },
  addresses: { about: "nodes that know only one other, which may lie", play: playAddresses },
  hub: { about: "many peers that want the same of one node at once", play: playHub },
  slots: { about: "more peers than a node has slots", play: playSlots },
  forks: { about: "chain selection between random branches, without a network", play: playForks },
  priorities: { about: "which of two items is preferred, without a network", play: playPriorities },
  "large-pools": { about: "equal pools that drift apart and are reconciled", play: playLargePools },
  withholders: { about: "peers that announce what they never serve", play: playWithholders },
  commitments: { about: "workers whose commitments expire", play: playCommitments },
  relay: {
    about: "nodes that know one seed and find each other through relays, which fail",
    play: playRelay,
  },
  "far-behind": { about: "a newcomer to a long chain", play: playFarBehind },
} as const satisfies Readonly<Record<string, Scene>>;
