import type { Logger } from "pino";
import type { Hash } from "../core/ids.ts";
import type { State } from "../core/state.ts";
import { createBansFile } from "./bans-file.ts";
import type { EmbeddedChain } from "./chain/chain.ts";
import type { Clock } from "./clock.ts";
import { logAction, logShutOut } from "./log.ts";
import type { NodeSettings } from "./node-settings.ts";
import { createPeersFile } from "./peers-file.ts";
import { createRecorder } from "./recorder.ts";
import type { StoreOptions } from "./store.ts";
import { createSyncLog } from "./sync-log.ts";
import { createTipHistory, type TipHistory } from "./tips.ts";

export interface ObserverOptions {
  readonly settings: Pick<NodeSettings, "record" | "bans" | "addresses">;
  /** Before the first step. */
  readonly initial: State;
  readonly chain: EmbeddedChain;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface NodeObserver extends Pick<StoreOptions, "observe" | "onBug"> {
  readonly reorganisations: TipHistory["reorganisations"];
  /** Everything is on disk, or cannot be; never rejects. */
  readonly close: () => Promise<void>;
}

/**
 * What is told of the steps of a node: to the log, to the recording, to the files in which bans and addresses outlive
 * it, to the operator.
 * @throws RecordingError
 */
export function createObserver({ settings, initial, chain, clock, log }: ObserverOptions): NodeObserver {
  const { record, bans, addresses } = settings;
  const onStop = (reason: string): void => log.error({ reason }, "the recording ends here; the node goes on");
  const recorder = record === null ? null : createRecorder({ directory: record, initial, onStop });
  const bansFile = bans === null ? null : createBansFile(bans, initial, log);
  const peersFile = addresses === null ? null : createPeersFile(addresses, initial, log);
  const tips = createTipHistory(initial.chain);
  const logSync = createSyncLog(log, clock);
  const transactionsIn = (hash: Hash): number | null => chain.block(hash)?.body.transactions.length ?? null;
  let before = initial;
  return {
    observe: (input, timeMs, { actions, state }) => {
      recorder?.record(input, timeMs, state);
      for (const action of actions) {
        if (action.type === "event/tipAdopted") tips.note(action.change, state.chain);
        logAction(log, action, { state, before, undone: tips.undone(), transactionsIn });
      }
      logShutOut(log, before, state);
      before = state;
      bansFile?.observe(state);
      peersFile?.observe(state);
      logSync(state);
    },
    onBug: (error, input, timeMs) => {
      recorder?.record(input, timeMs, null);
      log.fatal(
        { err: error, input: input.type },
        "an invariant does not hold: this is a bug, the node stops",
      );
    },
    reorganisations: tips.reorganisations,
    close: async () => {
      await bansFile?.close();
      await peersFile?.close();
      await recorder?.close();
    },
  };
}
