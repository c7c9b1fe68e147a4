import { type KeyObject, randomBytes } from "node:crypto";
import type { Logger } from "pino";
import type { Command } from "../core/actions.ts";
import { toHex } from "../core/bytes.ts";
import type { Hash, PeerId, RequestId } from "../core/ids.ts";
import { formatMultiaddr } from "../core/multiaddr.ts";
import type { CommandResult, Services } from "../core/services.ts";
import { initialState, type State } from "../core/state.ts";
import { runEffect } from "../effects/run.ts";
import { withBans } from "../reducers/bans.ts";
import { withBook } from "../reducers/book/kept.ts";
import { createBansFile, readBans } from "./bans-file.ts";
import type { EmbeddedChain } from "./chain/chain.ts";
import { systemClock } from "./clock.ts";
import { createCrypto } from "./crypto.ts";
import { logAction, logShutOut } from "./log.ts";
import { createChainServices, type TestAccount } from "./node-chain.ts";
import { bindAddressOf, configOf, listenAddress, type NodeSettings } from "./node-settings.ts";
import { createPeersFile, readPeers } from "./peers-file.ts";
import { createRecorder, type Recorder } from "./recorder.ts";
import { countRequests, createSignaling } from "./signaling.ts";
import { createStore, type Store } from "./store.ts";
import { createSyncLog } from "./sync-log.ts";
import { createTipHistory, type TipHistory } from "./tips.ts";
import { createUpload, type Upload } from "./webrtc/upload.ts";
import { createWebrtcTransport, type WebrtcTransport } from "./webrtc.ts";

export interface NodeOptions extends NodeSettings {
  readonly key: KeyObject;
  readonly log: Logger;
}

export interface RunningNode {
  readonly peerId: PeerId;
  /** The dial address others use, if the node listens. */
  readonly address: string | null;
  readonly chain: EmbeddedChain;
  /** The test account that makes blocks and is paid for work; null: this node does neither. */
  readonly account: TestAccount | null;
  readonly startedMs: number;
  readonly state: () => State;
  readonly reorganisations: TipHistory["reorganisations"];
  /** Bytes of messages with a connected peer. */
  readonly traffic: WebrtcTransport["traffic"];
  /** Runs a command of the operator. Answered even while the node stops. */
  readonly command: (command: CommandOf) => Promise<CommandResult>;
  /** Says Goodbye to everybody and ends, at the latest after STOP_TIMEOUT_MS. Idempotent. */
  readonly stop: () => Promise<void>;
  /** Settles when the node has ended: without a value after `stop`, with the error after a bug. */
  readonly ended: Promise<unknown>;
}

type WithoutRequest<C> = C extends { readonly requestId: RequestId } ? Omit<C, "requestId"> : never;
/** A command of the operator without the number that the node gives it. */
export type CommandOf = WithoutRequest<Command>;

/** Everything ends by then, whatever peers do (P33): Goodbyes may drain for 2 s. */
export const STOP_TIMEOUT_MS = 4_000;
const STOP_POLL_MS = 10;

/**
 * Composes a node: the pure core and the services around it.
 * @throws Error of the system, with its code, if it cannot listen; one that says what to do if it cannot record, or
 * read what a former process has left
 */
export async function startNode(options: NodeOptions): Promise<RunningNode> {
  const { log } = options;
  const keptBans = options.bans === null ? [] : readBans(options.bans, log);
  const keptPeers = options.addresses === null ? null : readPeers(options.addresses, log);
  let store: Store | undefined;
  const emit = (input: Parameters<Store["input"]>[0]): void => store?.input(input);

  const clock = systemClock();
  const crypto = createCrypto({ secretKey: options.key, emit });
  const { chain, streams, account } = createChainServices(options, crypto.publicKeyHex, emit, clock);
  const nextRequestId = countRequests();
  const signaling = await createSignaling({
    emit,
    listen: options.listen ?? undefined,
    nextRequestId,
    trustedProxies: options.trustedProxies,
  });
  const address = listenAddress(options.listen, signaling.port, crypto.peerId);
  const transport = createWebrtcTransport({
    emit,
    bindAddress: bindAddressOf(options),
    upload: uploadOf(options),
  });
  const answers = new Map<RequestId, (result: CommandResult) => void>();
  const operator: Services["operator"] = {
    answer: (requestId, result) => {
      answers.get(requestId)?.(result);
      answers.delete(requestId);
    },
  };
  const services: Services = { transport, signaling, crypto, chain, streams, operator };

  const startedMs = clock();
  const seed = toHex(randomBytes(32));
  const fresh = initialState(configOf(options, crypto, chain, address), seed, startedMs);
  const restored = withBans(fresh, keptBans);
  const initial = keptPeers === null ? restored : withBook(restored, keptPeers);
  const bansFile = options.bans === null ? undefined : createBansFile(options.bans, initial, log);
  const peersFile = options.addresses === null ? undefined : createPeersFile(options.addresses, initial, log);
  const tips = createTipHistory(initial.chain);
  const logSync = createSyncLog(log, clock);
  const transactionsIn = (hash: Hash): number | null => chain.block(hash)?.body.transactions.length ?? null;
  let before = initial;
  let recorder: Recorder | undefined;
  let finish: (error?: unknown) => void = () => undefined;
  const ended = new Promise<unknown>((resolve) => {
    finish = resolve;
  });

  let isReleased = false;
  const release = async (): Promise<void> => {
    isReleased = true;
    store?.close();
    transport.closeAll();
    for (const answer of answers.values()) answer(STOPPED);
    answers.clear();
    chain.abandonSnark();
    streams.release();
    await signaling.close();
    await bansFile?.close();
    await peersFile?.close();
    await recorder?.close();
  };

  try {
    recorder = recorderOf(options, initial);
  } catch (error) {
    await release();
    throw error;
  }
  store = createStore({
    initial,
    clock,
    runEffect: (effect) => runEffect(effect, services),
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
      void release().then(() => finish(error));
    },
  });
  const running = store;

  const command = (given: CommandOf): Promise<CommandResult> =>
    new Promise((resolve) => {
      if (isReleased) {
        resolve(STOPPED);
        return;
      }
      const requestId = nextRequestId();
      answers.set(requestId, resolve);
      running.input({ ...given, requestId });
    });

  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    running.input({ type: "command/stop" });
    const deadlineMs = clock() + STOP_TIMEOUT_MS;
    while (running.state().attempts.size > 0 && clock() < deadlineMs) await pause(STOP_POLL_MS);
    await release();
    finish();
  };

  for (const peer of options.peers) {
    const result = await command({ type: "command/dial", address: peer });
    if (result.tag !== "dialing") {
      log.warn(
        { address: formatMultiaddr(peer), detail: "detail" in result ? result.detail : result.tag },
        "not dialed",
      );
    }
  }
  return {
    peerId: crypto.peerId,
    address,
    chain,
    account,
    startedMs,
    state: running.state,
    reorganisations: tips.reorganisations,
    traffic: transport.traffic,
    command,
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
    ended,
  };
}

const STOPPED: CommandResult = { tag: "unavailable", detail: "the node has stopped" };

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function uploadOf({ uploadBytesPerSecond }: NodeOptions): Upload | undefined {
  if (uploadBytesPerSecond === null) return undefined;
  return createUpload({
    bytesPerSecond: uploadBytesPerSecond,
    clock: () => performance.now(),
    after: (ms, run) => setTimeout(run, ms).unref(),
  });
}

function recorderOf({ record, log }: NodeOptions, initial: State): Recorder | undefined {
  if (record === null) return undefined;
  return createRecorder({
    directory: record,
    initial,
    onStop: (reason) => log.error({ reason }, "the recording ends here; the node goes on"),
  });
}
