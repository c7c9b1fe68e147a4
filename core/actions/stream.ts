import type { StreamingMessage } from "../channels/streaming-rpc.ts";
import type { AttemptId, Hash, PeerId } from "../ids.ts";

/** 7.8 */
export type StreamAction =
  | { readonly type: "stream/receive"; readonly peerId: PeerId; readonly message: StreamingMessage }
  | {
      /**
       * Somebody here wants what this root names; `sync/snapshotFetched` or `sync/snapshotFailed` follows. One at a
       * time: declined while another is being fetched.
       */
      readonly type: "stream/fetch";
      readonly root: Hash;
    }
  /** It is not wanted any more, or was used: what was received of it is thrown away. */
  | { readonly type: "stream/abandon"; readonly root: Hash }
  /** A peer is ready: if something is being fetched it is asked too. */
  | { readonly type: "stream/peerReady"; readonly peerId: PeerId }
  | {
      /** A connection has ended; its state is gone already. */
      readonly type: "stream/peerLeft";
      readonly peerId: PeerId;
      readonly attemptId: AttemptId;
      /** The stream it was being served, `live.streaming.theirs.id`. */
      readonly serving: number | null;
    }
  /** The transport takes chunks again. */
  | { readonly type: "stream/resume"; readonly peerId: PeerId }
  /** A peer that is served may have been idle for STREAM_IDLE_MS. */
  | { readonly type: "stream/endIdle"; readonly peerId: PeerId; readonly attemptId: AttemptId }
  /** A peer that we fetch from may have made no progress for STREAM_TIMEOUT_MS. */
  | { readonly type: "stream/watch" }
  /** A peer has nothing left to do and others are slow: it takes over from them. */
  | { readonly type: "stream/relieve" }
  /** What was received of a download that failed has been kept long enough. */
  | { readonly type: "stream/forget"; readonly root: Hash }
  /** The node stops: it serves and fetches no more. Proposed before the peers are disconnected. */
  | { readonly type: "stream/stop" };
