import type { Block, BlockHeader, Tip } from "./block.ts";
import type { Hex } from "./bytes.ts";
import type { ChannelMessage } from "./channels/table.ts";
import type { AttemptId, BatchId, CheckId, Hash, JobId, PeerId, RequestId } from "./ids.ts";
import type { DialAddress } from "./multiaddr.ts";
import type { PoolName } from "./pools.ts";
import type {
  CommandResult,
  EnvelopeKind,
  ItemBytes,
  ReceivedChunk,
  SignalLabel,
  SignalReply,
} from "./services.ts";

/** What the core asks of the world, as plain data. effects/ maps each to one call of a service. */
export type Effect =
  | { readonly type: "effect/createOffer"; readonly attemptId: AttemptId }
  | { readonly type: "effect/createAnswer"; readonly attemptId: AttemptId; readonly sdp: string }
  | { readonly type: "effect/applyAnswer"; readonly attemptId: AttemptId; readonly sdp: string }
  | {
      readonly type: "effect/addCandidates";
      readonly attemptId: AttemptId;
      readonly candidates: readonly string[];
    }
  | ({ readonly type: "effect/send"; readonly attemptId: AttemptId } & ChannelMessage)
  | { readonly type: "effect/close"; readonly attemptId: AttemptId; readonly graceful: boolean }
  | {
      readonly type: "effect/postSignal";
      readonly attemptId: AttemptId;
      readonly address: DialAddress;
      readonly envelope: Uint8Array;
    }
  | { readonly type: "effect/replySignal"; readonly requestId: RequestId; readonly reply: SignalReply }
  | {
      readonly type: "effect/openEnvelope";
      readonly attemptId: AttemptId;
      readonly kind: EnvelopeKind;
      readonly envelope: Uint8Array;
    }
  | {
      readonly type: "effect/verifySignature";
      readonly attemptId: AttemptId;
      readonly publicKey: Hex;
      readonly digest: Uint8Array;
      readonly signature: Uint8Array;
    }
  | {
      readonly type: "effect/sealSignal";
      readonly attemptId: AttemptId;
      readonly label: SignalLabel;
      readonly unsigned: Uint8Array;
      readonly prefix: Uint8Array;
      readonly recipient: Hex;
    }
  | {
      readonly type: "effect/verifyItems";
      /** Whom it is done for; null: the node itself. */
      readonly peerId: PeerId | null;
      readonly batchId: BatchId;
      readonly pool: PoolName;
      readonly items: readonly ItemBytes[];
    }
  | {
      readonly type: "effect/verifyAgain";
      readonly batchId: BatchId;
      readonly pool: PoolName;
      readonly hashes: readonly Hash[];
    }
  | {
      readonly type: "effect/loadItems";
      readonly attemptId: AttemptId;
      readonly rpcId: number;
      readonly hashes: readonly Hash[];
    }
  | { readonly type: "effect/forgetItems"; readonly hashes: readonly Hash[] }
  | {
      readonly type: "effect/verifyHeaders";
      readonly checkId: CheckId;
      readonly headers: readonly BlockHeader[];
    }
  | {
      readonly type: "effect/loadBlock";
      readonly attemptId: AttemptId;
      readonly rpcId: number;
      readonly hash: Hash;
    }
  | {
      readonly type: "effect/loadAncestry";
      readonly attemptId: AttemptId;
      readonly rpcId: number;
      readonly hash: Hash;
      readonly count: number;
    }
  | { readonly type: "effect/prepareBlock"; readonly hash: Hash; readonly block: Block }
  | { readonly type: "effect/supplyItems"; readonly hash: Hash; readonly items: readonly ItemBytes[] }
  | { readonly type: "effect/applyBlock"; readonly hash: Hash }
  | { readonly type: "effect/adoptTip"; readonly hash: Hash }
  | { readonly type: "effect/forgetBlocks"; readonly hashes: readonly Hash[] }
  | {
      readonly type: "effect/produceBlock";
      readonly parent: Hash;
      readonly slot: number;
      readonly transactions: readonly Hash[];
      readonly snarks: readonly Hash[];
    }
  | {
      readonly type: "effect/signCommitment";
      readonly jobId: JobId;
      readonly fee: bigint;
      readonly issuedAt: bigint;
    }
  | { readonly type: "effect/makeSnark"; readonly jobId: JobId; readonly fee: bigint }
  | { readonly type: "effect/abandonSnark" }
  | { readonly type: "effect/applySnapshot"; readonly tip: Tip }
  | {
      readonly type: "effect/openStream";
      readonly attemptId: AttemptId;
      readonly streamId: number;
      readonly root: Hash;
    }
  | {
      readonly type: "effect/loadChunk";
      readonly attemptId: AttemptId;
      readonly streamId: number;
      readonly root: Hash;
      readonly index: number;
    }
  | { readonly type: "effect/closeStream"; readonly attemptId: AttemptId; readonly streamId: number }
  | {
      readonly type: "effect/storeChunk";
      readonly attemptId: AttemptId;
      readonly streamId: number;
      readonly chunk: ReceivedChunk;
    }
  | { readonly type: "effect/discardStream"; readonly root: Hash }
  | { readonly type: "effect/answerCommand"; readonly requestId: RequestId; readonly result: CommandResult };
