import { type KeyObject, randomBytes } from "node:crypto";
import { isIP } from "node:net";
import type { Logger } from "pino";
import type { Command } from "../core/actions.ts";
import { isLoopback } from "../core/address.ts";
import { type Hex, toHex } from "../core/bytes.ts";
import type { PeerId, RequestId } from "../core/ids.ts";
import { type DialAddress, formatMultiaddr, type HostKind } from "../core/multiaddr.ts";
import type { CommandResult, Services } from "../core/services.ts";
import {
  type AdmissionLimits,
  type Config,
  DEFAULT_ADMISSION,
  initialState,
  type State,
} from "../core/state.ts";
import { runEffect } from "../effects/run.ts";
import { createEmbeddedChain, type EmbeddedChain } from "./chain/chain.ts";
import { testGenesis } from "./chain/genesis.ts";
import { systemClock } from "./clock.ts";
import { createCrypto } from "./crypto.ts";
import { logActions } from "./log.ts";
import { createRecorder, type Recorder } from "./recorder.ts";
import { countRequests, createSignaling } from "./signaling.ts";
import { createStore, type Store } from "./store.ts";
import { USER_AGENT } from "./version.ts";
import { createWebrtcTransport, type WebrtcTransport } from "./webrtc.ts";

export interface NodeOptions {
  readonly key: KeyObject;
  /** Where offers are answered; null for a node that only dials. Port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number } | null;
  readonly peers: readonly DialAddress[];
  readonly peersMax: number;
  readonly admission: AdmissionLimits;
  readonly trustedProxies: readonly string[];
  /** A new directory for the recording of this run. */
  readonly record: string | null;
  readonly log: Logger;
}

export interface RunningNode {
  readonly peerId: PeerId;
  /** The dial address others use, if the node listens. */
  readonly address: string | null;
  readonly chain: EmbeddedChain;
  readonly startedMs: number;
  readonly state: () => State;
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

/** `--admission-per-ip N` (3.2): a burst of N per IP and per group, N/16 per second, N/2 half-open per group. */
export const admissionPerIp = (burst: number): AdmissionLimits => ({
  ...DEFAULT_ADMISSION,
  ip: { burst, perSecond: burst / 16 },
  group: { burst, perSecond: burst / 16 },
  halfOpenPerGroupMax: Math.max(1, Math.floor(burst / 2)),
});

/**
 * Composes a node: the pure core and the services around it.
 * @throws Error that says what to do if it cannot listen or record
 */
export async function startNode(options: NodeOptions): Promise<RunningNode> {
  const { log } = options;
  let store: Store | undefined;
  const emit = (input: Parameters<Store["input"]>[0]): void => store?.input(input);

  const crypto = createCrypto({ secretKey: options.key, emit });
  const chain = createEmbeddedChain(testGenesis(), emit);
  const nextRequestId = countRequests();
  const signaling = await createSignaling({
    emit,
    listen: options.listen ?? undefined,
    nextRequestId,
    trustedProxies: options.trustedProxies,
  });
  const address = listenAddress(options.listen, signaling.port, crypto.peerId);
  // A node that is reached over loopback talks over loopback: it then needs no other network.
  const bindAddress = isLocalOnly(options) ? LOOPBACK : undefined;
  const transport = createWebrtcTransport({ emit, bindAddress });
  const answers = new Map<RequestId, (result: CommandResult) => void>();
  const operator: Services["operator"] = {
    answer: (requestId, result) => {
      answers.get(requestId)?.(result);
      answers.delete(requestId);
    },
  };
  const services: Services = { transport, signaling, crypto, chain, operator };

  const clock = systemClock();
  const startedMs = clock();
  const seed = toHex(randomBytes(32));
  const initial = initialState(configOf(options, crypto, chain, address), seed, startedMs);
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
    await signaling.close();
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
      logActions(log, actions, state);
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
    startedMs,
    state: running.state,
    traffic: transport.traffic,
    command,
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
    ended,
  };
}

const LOOPBACK = "127.0.0.1";
const STOPPED: CommandResult = { tag: "unavailable", detail: "the node has stopped" };
const HOST_KINDS: Readonly<Record<number, HostKind>> = { 4: "ip4", 6: "ip6" };

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function isLocalOnly({ listen, peers }: NodeOptions): boolean {
  const hosts = [...(listen === null ? [] : [listen.host]), ...peers.map(({ host }) => host)];
  return hosts.length > 0 && hosts.every((host) => host === "localhost" || isLoopback(host));
}

/** A wildcard is no address others can dial: they are told the loopback one, and the operator knows the rest. */
function listenAddress(listen: NodeOptions["listen"], port: number | null, peerId: PeerId): string | null {
  if (listen === null || port === null) return null;
  const host =
    listen.host === "0.0.0.0" || listen.host === "localhost"
      ? LOOPBACK
      : listen.host === "::"
        ? "::1"
        : listen.host;
  return formatMultiaddr({
    scheme: "http",
    hostKind: HOST_KINDS[isIP(host)] ?? "dns",
    host,
    port,
    peerId,
  });
}

function configOf(
  { peersMax, admission }: NodeOptions,
  { peerId, publicKeyHex }: { readonly peerId: PeerId; readonly publicKeyHex: Hex },
  { chainId }: EmbeddedChain,
  listen: string | null,
): Config {
  return {
    peerId,
    publicKey: publicKeyHex,
    chainId,
    userAgent: USER_AGENT,
    listen,
    peersMax,
    allowPrivateCandidates: false,
    admission,
  };
}

function recorderOf({ record, log }: NodeOptions, initial: State): Recorder | undefined {
  if (record === null) return undefined;
  return createRecorder({
    directory: record,
    initial,
    onStop: (reason) => log.error({ reason }, "the recording ends here; the node goes on"),
  });
}
