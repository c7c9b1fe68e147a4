import { createRecorder, type Recorder } from "./recorder.ts";
import type { SimNode } from "./sim-node.ts";
import type { ClusterObserver } from "./simulator.ts";

/** Records every process of a run, also where a run has several networks, one after the other. */
export interface Recordings {
  readonly observer: ClusterObserver;
  /** By the name of the process; of a second network it ends in `-2`. */
  readonly all: () => readonly (readonly [string, readonly string[]])[];
}

export function createRecordings(): Recordings {
  const recorders = new Map<SimNode, Recorder>();
  const names = new Map<string, Recorder>();
  const begin = (node: SimNode): Recorder => {
    const recorder = createRecorder(node.state);
    const name = `node-${node.index}.${node.life}`;
    const networks = [...names.keys()].filter((known) => known.split("-", 2).join("-") === name).length;
    names.set(networks === 0 ? name : `${name}-${networks + 1}`, recorder);
    recorders.set(node, recorder);
    return recorder;
  };
  return {
    observer: {
      before: (node, input) => {
        const recorder = recorders.get(node) ?? begin(node);
        recorder.input(node.nowMs(), input);
      },
      after: (node, _input, { state }) => {
        recorders.get(node)?.applied(state);
      },
    },
    all: () => [...names].map(([name, recorder]) => [name, recorder.lines()] as const),
  };
}
