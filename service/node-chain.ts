import type { ChainEvent, StreamEvent } from "../core/actions.ts";
import { type Hex, toHex } from "../core/bytes.ts";
import type { AttemptId } from "../core/ids.ts";
import { createEmbeddedChain, type EmbeddedChain } from "./chain/chain.ts";
import { testAccountKey, testGenesis } from "./chain/genesis.ts";
import type { Clock } from "./clock.ts";
import { rawPublicKey } from "./ed25519.ts";
import { accountNumber, type NodeSettings } from "./node-settings.ts";
import { createSharedThread } from "./shared-thread.ts";
import { createStreams, type NodeStreams, providerOf } from "./streams.ts";

/** Makes blocks, and is paid for work. */
export interface TestAccount {
  readonly number: number;
  readonly key: Hex;
}

/** The chain of a node and the streams, which serve what the chain has and keep what it is going to have. */
export interface ChainServices {
  readonly chain: EmbeddedChain;
  readonly streams: NodeStreams;
  /** Null: this node neither makes blocks nor works. */
  readonly account: TestAccount | null;
}

/** @param publicKey of the node: the account may be derived from it */
export function createChainServices(
  settings: NodeSettings,
  publicKey: Hex,
  emit: (event: ChainEvent | StreamEvent) => void,
  clock: Clock,
): ChainServices {
  const number = accountNumber(settings, publicKey);
  const secret = number === null ? null : testAccountKey(number);
  const serving = createSharedThread<AttemptId>();
  const streams = createStreams({
    emit,
    serving,
    provide: (root) => {
      const bytes = chain.snapshot(root) ?? chain.item(root);
      return bytes === undefined ? null : providerOf(bytes);
    },
    directory: settings.streams,
  });
  const chain = createEmbeddedChain({
    genesis: testGenesis(settings),
    emit,
    clock,
    account: secret,
    serving,
    received: streams.received,
  });
  const account = number === null || secret === null ? null : { number, key: toHex(rawPublicKey(secret)) };
  return { chain, streams, account };
}
