import { type Checker, createChecker } from "./checker.ts";
import { type Cluster, type ClusterOptions, createCluster } from "./simulator.ts";

export interface Watched {
  readonly cluster: Cluster;
  readonly checker: Checker;
}

/** A network with every law checked at every step, before others look. @param isLiar see `createChecker` */
export function createWatched(options: ClusterOptions, isLiar?: (node: number) => boolean): Watched {
  const checker = createChecker((node) => cluster.chain(node).judged, isLiar);
  const observers = [checker, ...(options.observers ?? [])];
  const cluster: Cluster = createCluster({ ...options, observers });
  return { cluster, checker };
}
