import type { KeyObject } from "node:crypto";
import { setDeadline } from "../core/deadlines.ts";
import type { Hash, RequestId } from "../core/ids.ts";
import { PEERS_MAX_DEFAULT, TRANSACTION_CAPACITY_DEFAULT } from "../core/limits.ts";
import { type DialAddress, formatMultiaddr } from "../core/multiaddr.ts";
import type { Chain, Provider, Services } from "../core/services.ts";
import { type Config, DEFAULT_ADMISSION, initialState, type State } from "../core/state.ts";
import { runEffect } from "../effects/run.ts";
import { testGenesis } from "./chain/genesis.ts";
import { systemClock } from "./clock.ts";
import { createCrypto } from "./crypto.ts";
import { createSharedThread } from "./shared-thread.ts";
import { createSignaling } from "./signaling.ts";
import { createStore, type Store } from "./store.ts";
import { createStreams, type NodeStreams } from "./streams.ts";
import { createWebrtcTransport, type WebrtcTransport } from "./webrtc.ts";

/** A node of the production parts that streams, and nothing else: for tests and benchmarks. */
export interface StreamNode {
  readonly address: DialAddress;
  readonly streams: NodeStreams;
  readonly transport: WebrtcTransport;
  readonly state: () => State;
  readonly close: () => Promise<void>;
}

export interface StreamNodeOptions {
  readonly key: KeyObject;
  readonly provide?: (root: Hash) => Provider | null;
  readonly dial?: readonly DialAddress[];
  /** A download, and when it begins after the start. */
  readonly fetch?: { readonly root: Hash; readonly afterMs: number };
  /** After every step. */
  readonly observe?: (state: State) => void;
}

const HOST = "127.0.0.1";

/** Composes as service/node.ts does, without chain, recorder and log. */
export async function startStreamNode(options: StreamNodeOptions): Promise<StreamNode> {
  const { key, provide = () => null, dial = [], fetch, observe = () => undefined } = options;
  let store: Store | undefined;
  const emit = (input: Parameters<Store["input"]>[0]): void => store?.input(input);
  const crypto = createCrypto({ secretKey: key, emit });
  const signaling = await createSignaling({ emit, listen: { host: HOST, port: 0 } });
  const transport = createWebrtcTransport({ emit, bindAddress: HOST });
  const streams = createStreams({ emit, provide, serving: createSharedThread(), directory: null });
  const services: Services = {
    transport,
    signaling,
    crypto,
    streams,
    chain: NO_CHAIN,
    operator: { answer: () => undefined },
  };
  const { peerId, publicKeyHex: publicKey } = crypto;
  const address: DialAddress = {
    scheme: "http",
    hostKind: "ip4",
    host: HOST,
    port: signaling.port ?? 0,
    peerId,
  };
  const { chainId, parameters: chain } = testGenesis();
  const config: Config = {
    peerId,
    publicKey,
    chainId,
    userAgent: "pollen/streams",
    listen: formatMultiaddr(address),
    peersMax: PEERS_MAX_DEFAULT,
    peersMin: 0,
    allowPrivateCandidates: false,
    admission: DEFAULT_ADMISSION,
    chain,
    capacity: TRANSACTION_CAPACITY_DEFAULT,
    produces: false,
    workFee: null,
  };
  const clock = systemClock();
  const initial = initialState(config, "5e".repeat(32), clock());
  const running = createStore({
    initial: fetch === undefined ? initial : fetching(initial, fetch),
    clock,
    runEffect: (effect) => runEffect(effect, services),
    observe: (_input, _timeMs, { state }) => observe(state),
    onBug: (error) => {
      throw error;
    },
  });
  store = running;
  for (const [index, target] of dial.entries()) {
    running.input({ type: "command/dial", requestId: (index + 1) as RequestId, address: target });
  }
  return {
    address,
    streams,
    transport,
    state: running.state,
    close: async () => {
      running.close();
      transport.closeAll();
      await signaling.close();
    },
  };
}

/** Nothing but the rules of sync starts a download; here it is a rule that is due from the start. */
const fetching = (
  initial: State,
  { root, afterMs }: { readonly root: Hash; readonly afterMs: number },
): State => ({
  ...initial,
  deadlines: setDeadline(initial.deadlines, {
    name: "fetch",
    atMs: initial.timeMs + afterMs,
    action: { type: "stream/fetch", root },
  }),
});

/** Whatever it is asked to do is left undone. */
const NO_CHAIN = new Proxy({} as Chain, { get: () => () => undefined });
