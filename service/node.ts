import { type KeyObject, randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { Logger } from "pino";
import type { Input } from "../core/actions.ts";
import type { Ban } from "../core/bans.ts";
import { toHex } from "../core/bytes.ts";
import type { PeerId } from "../core/ids.ts";
import { type DialAddress, formatMultiaddr } from "../core/multiaddr.ts";
import type { Services } from "../core/services.ts";
import { initialState, type State } from "../core/state.ts";
import { runEffect } from "../effects/run.ts";
import { withBans } from "../reducers/bans.ts";
import { type KeptBook, withBook } from "../reducers/book/kept.ts";
import { readBans } from "./bans-file.ts";
import type { EmbeddedChain } from "./chain/chain.ts";
import { type Clock, systemClock } from "./clock.ts";
import { createCrypto, type NodeCrypto } from "./crypto.ts";
import { createChainServices, type TestAccount } from "./node-chain.ts";
import { createObserver, type NodeObserver } from "./node-observer.ts";
import { bindAddressOf, configOf, listenAddress, type NodeSettings } from "./node-settings.ts";
import { createOperator, type NodeOperator } from "./operator.ts";
import { readPeers } from "./peers-file.ts";
import { countRequests, createSignaling } from "./signaling.ts";
import { createStore, type Store } from "./store.ts";
import type { TipHistory } from "./tips.ts";
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
  readonly command: NodeOperator["command"];
  /** Says Goodbye to everybody and ends, at the latest after STOP_TIMEOUT_MS. Idempotent. */
  readonly stop: () => Promise<void>;
  /** Settles when the node has ended: without a value after `stop`, with the error after a bug. */
  readonly ended: Promise<unknown>;
}

/** Everything ends by then, whatever peers do (P33): Goodbyes may drain for 2 s. */
export const STOP_TIMEOUT_MS = 4_000;
const STOP_POLL_MS = 10;

/**
 * Composes a node: the pure core and the services around it.
 * @throws Error of the system, with its code, if it cannot listen; one that says what to do if it cannot record, or
 * read what a former process has left
 */
export async function startNode(options: NodeOptions): Promise<RunningNode> {
  const { log, peers } = options;
  const kept = keptOf(options);
  const clock = systemClock();
  // The services come first, since the state begins with the address they listen on.
  let store: Store | undefined;
  const emit = (input: Input): void => store?.input(input);
  const services = await startServices(options, clock, emit);
  const { crypto, chain, transport, operator, address, account } = services;

  const startedMs = clock();
  const config = configOf(options, crypto, chain, address);
  const initial = restored(initialState(config, toHex(randomBytes(32)), startedMs), kept);
  let observer: NodeObserver;
  try {
    observer = createObserver({ settings: options, initial, chain, clock, log });
  } catch (error) {
    await services.close();
    throw error;
  }

  const { promise: ended, resolve: setEnded } = withResolvers<unknown>();
  const end = async (bug?: unknown): Promise<void> => {
    store?.close();
    await services.close();
    await observer.close();
    setEnded(bug);
  };
  store = createStore({
    initial,
    clock,
    runEffect: (effect) => runEffect(effect, services),
    observe: observer.observe,
    onBug: (error, input, timeMs) => {
      observer.onBug(error, input, timeMs);
      void end(error);
    },
  });
  const { state } = store;
  const stop = async (): Promise<void> => {
    emit({ type: "command/stop" });
    const deadlineMs = clock() + STOP_TIMEOUT_MS;
    while (state().attempts.size > 0 && clock() < deadlineMs) await pause(STOP_POLL_MS);
    await end();
  };
  let stopping: Promise<void> | undefined;

  for (const peer of peers) await dial(peer, operator, log);
  return {
    peerId: crypto.peerId,
    address,
    chain,
    account,
    startedMs,
    state,
    reorganisations: observer.reorganisations,
    traffic: transport.traffic,
    command: operator.command,
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
    ended,
  };
}

/** What a former process has left. */
interface Kept {
  readonly bans: readonly Ban[];
  readonly book: KeptBook | null;
}

const keptOf = ({ bans, addresses, log }: NodeOptions): Kept => ({
  bans: bans === null ? [] : readBans(bans, log),
  book: addresses === null ? null : readPeers(addresses, log),
});

function restored(fresh: State, { bans, book }: Kept): State {
  const banning = withBans(fresh, bans);
  return book === null ? banning : withBook(banning, book);
}

interface NodeServices extends Services {
  readonly transport: WebrtcTransport;
  readonly crypto: NodeCrypto;
  readonly chain: EmbeddedChain;
  readonly operator: NodeOperator;
  readonly account: TestAccount | null;
  readonly address: string | null;
  /** Idempotent. */
  readonly close: () => Promise<void>;
}

async function startServices(
  options: NodeOptions,
  clock: Clock,
  emit: (input: Input) => void,
): Promise<NodeServices> {
  const crypto = createCrypto({ secretKey: options.key, emit });
  const { chain, streams, account } = createChainServices(options, crypto.publicKeyHex, emit, clock);
  const nextRequestId = countRequests();
  const signaling = await createSignaling({
    emit,
    listen: options.listen ?? undefined,
    nextRequestId,
    trustedProxies: options.trustedProxies,
  });
  const transport = createWebrtcTransport({
    emit,
    bindAddress: bindAddressOf(options),
    upload: uploadOf(options),
  });
  const operator = createOperator(nextRequestId, emit);
  return {
    transport,
    signaling,
    crypto,
    chain,
    streams,
    operator,
    account,
    address: listenAddress(options.listen, signaling.port, crypto.peerId),
    close: async () => {
      transport.closeAll();
      operator.close();
      chain.abandonSnark();
      streams.release();
      await signaling.close();
    },
  };
}

function uploadOf({ uploadBytesPerSecond }: NodeOptions): Upload | undefined {
  if (uploadBytesPerSecond === null) return undefined;
  return createUpload({
    bytesPerSecond: uploadBytesPerSecond,
    clock: () => performance.now(),
    after: (ms, run) => setTimeout(run, ms).unref(),
  });
}

async function dial(address: DialAddress, { command }: NodeOperator, log: Logger): Promise<void> {
  const result = await command({ type: "command/dial", address });
  if (result.tag === "dialing") return;
  const detail = "detail" in result ? result.detail : result.tag;
  log.warn({ address: formatMultiaddr(address), detail }, "not dialed");
}

/** `Promise.withResolvers`, which Node.js has from version 22 on. */
function withResolvers<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((given) => {
    resolve = given;
  });
  return { promise, resolve };
}
