/** What a devnet is made of. */
export interface NetworkPlan {
  /** At least 2, if one is started again. */
  readonly nodes: number;
  /** How many of the nodes make blocks. */
  readonly producers: number;
  /** How many make SNARK work. */
  readonly workers: number;
  /** Nodes that come when three quarters of the time are over. */
  readonly late: number;
  /** One node is killed and started again at half time. */
  readonly restart: boolean;
}

export interface NodePlan {
  readonly name: string;
  /** The test account that makes blocks; null: none are made here. */
  readonly produce: number | null;
  /** What is asked for SNARK work; null: none is made here. */
  readonly fee: number | null;
  /** It is killed and started again with the same key. */
  readonly isRestarted: boolean;
  /** It was not there from the beginning. */
  readonly isLate: boolean;
}

export const defaultProducers = (nodes: number): number => Math.max(1, Math.floor(nodes / 2));
export const defaultWorkers = (nodes: number): number => (nodes >= 3 ? 1 : 0);

/** The first nodes are the producers, the last ones the workers: as long as there is room, nobody is both. */
export function planNodes(plan: NetworkPlan): readonly NodePlan[] {
  const { nodes, producers, workers, restart } = plan;
  // The first that is no producer: what it missed comes from others. Not the first of all, which is asked for blocks.
  const restarted = restart ? Math.max(1, Math.min(producers, nodes - 1)) : -1;
  return Array.from({ length: nodes }, (_, index) => ({
    name: `node-${index + 1}`,
    produce: index < producers ? index : null,
    fee: index >= nodes - workers ? nodes - index : null,
    isRestarted: index === restarted,
    isLate: false,
  }));
}

/** They only follow: nothing that they do not get from others can be theirs. */
export const planLate = ({ late }: Pick<NetworkPlan, "late">): readonly NodePlan[] =>
  Array.from({ length: late }, (_, index) => ({
    name: `late-${index + 1}`,
    produce: null,
    fee: null,
    isRestarted: false,
    isLate: true,
  }));
