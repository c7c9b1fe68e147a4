import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import { POOL_NAMES } from "../../core/pools.ts";
import type { State } from "../../core/state.ts";
import { countPeers } from "../../reducers/status.ts";
import type { RunningNode } from "../node.ts";

export interface Metrics {
  readonly contentType: string;
  /** The present values, in the text format of Prometheus. */
  readonly text: () => Promise<string>;
}

/** What the state of a node says of it, and the process: read when it is asked for, nothing is kept beside the state. */
export function createMetrics(node: RunningNode): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });

  const gauge = <Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    values: (state: State) => Iterable<readonly [Partial<Record<Label, string>>, number]>,
  ): Gauge<Label> =>
    new Gauge({
      name: `pollen_${name}`,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset();
        for (const [labels, value] of values(node.state())) this.set(labels, value);
      },
    });
  /** What the state counts from the start of the process on. */
  const counter = <Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    values: (state: State) => Iterable<readonly [Partial<Record<Label, string>>, number]>,
  ): Counter<Label> =>
    new Counter({
      name: `pollen_${name}_total`,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset();
        for (const [labels, value] of values(node.state())) this.inc(labels, value);
      },
    });

  gauge("peers", "Connections, by whether they are ready.", ["state"], (state) => {
    const { connected, connecting } = countPeers(state);
    return [
      [{ state: "connected" }, connected],
      [{ state: "connecting" }, connecting],
    ];
  });
  gauge("peers_max", "Connections there may be, half-open ones included.", [], ({ config }) => [
    [{}, config.peersMax],
  ]);
  counter(
    "disconnects",
    "Ready connections that ended, by who ended them and why.",
    ["by", "reason"],
    (state) =>
      Object.entries(state.endings).map(([ending, count]) => {
        const [by = "", reason = ""] = ending.split(" ");
        return [{ by, reason }, count];
      }),
  );
  gauge(
    "bans",
    "Bans in force, of keys and of address groups.",
    ["kind"],
    ({ offenders, groups, timeMs }) => {
      const inForce = (bans: Iterable<{ readonly bannedUntilMs: number }>): number =>
        [...bans].filter(({ bannedUntilMs }) => bannedUntilMs > timeMs).length;
      return [
        [{ kind: "key" }, inForce(offenders.values())],
        [{ kind: "group" }, inForce(groups.values())],
      ];
    },
  );
  gauge(
    "known_addresses",
    "Addresses in the book: tried ones were found by a dial of our choice, fresh ones are the rest.",
    ["table"],
    ({ book }) => [
      [{ table: "fresh" }, book.addresses.fresh.keys.size],
      [{ table: "tried" }, book.addresses.tried.keys.size],
    ],
  );
  gauge("pool_items", "Items in each pool.", ["pool"], ({ pools }) =>
    POOL_NAMES.map((pool) => [{ pool }, pools[pool].entries.size]),
  );
  counter("bodies_received", "Bodies of items that peers have sent.", ["pool"], ({ bodies }) =>
    Object.entries(bodies).map(([pool, count]) => [{ pool }, count]),
  );
  gauge("best_tip_height", "Height of our best tip.", [], ({ chain }) => [[{}, chain.tip.height]]);
  gauge("best_tip_slot", "Slot of our best tip.", [], ({ chain }) => [[{}, chain.tip.slot]]);
  gauge("sync_pursuit", "1 while a better tip is being pursued.", [], ({ sync }) => [
    [{}, sync.pursuit === null ? 0 : 1],
  ]);
  counter("reorganisations", "Tips that were left for one that is not built on them.", [], () => [
    [{}, node.reorganisations().count],
  ]);
  counter("blocks_produced", "Blocks made here.", [], ({ work }) => [[{}, work.counts.blocks]]);
  counter("snarks_made", "SNARK work made here.", [], ({ work }) => [[{}, work.counts.made]]);
  return { contentType: registry.contentType, text: () => registry.metrics() };
}
