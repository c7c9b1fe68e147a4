/**
 * Every bound of the protocol and of the node, with its reason. "3.2" and the like are sections of
 * docs/protocol.md. Relations between the bounds are checked by limits.test.ts.
 */

// Codec and channels (sections 3 and 7)
/** No message is longer: it fits into one data-channel message and is never reassembled (law 3). */
export const MESSAGE_BYTES_MAX = 65_536;
/** What an SDP must announce as its own maximum, so that a too long message is seen instead of silently cut (3). */
export const SDP_MESSAGE_BYTES_MIN = 131_072;
export const CONTROL_BYTES_MAX = 512;
export const TRANSACTION_BYTES_MAX = 4_096;
export const RPC_BYTES_MAX = 65_536;
/** Chunk of a streamed item or ledger; an item's hash is the root over its chunks (7.8). */
export const CHUNK_BYTES = 60_000;
/** Larger items travel by streaming rpc (7.7). */
export const ITEM_BYTES_MAX = 16_384;

// Signals (section 3)
export const ENVELOPE_BYTES_MAX = 16_384;
export const SDP_BYTES_MAX = 8_192;
export const SDP_CANDIDATES_MAX = 16;
export const ADDRESS_BYTES_MAX = 256;
/** A signal older or newer than this is stale. */
export const SIGNAL_AGE_MAX_MS = 60_000;
/** Longer than two SIGNAL_AGE_MAX_MS, so that no replay outlives its entry. */
export const REPLAY_MEMORY_MS = 180_000;
/** The answerer waits this long before it starts checks: sooner, DTLS stalls for a second (3). */
export const CANDIDATES_HOLD_MS = 500;
/** Gathering candidates ends after this time at most (3). Without STUN it takes no time at all. */
export const GATHERING_TIMEOUT_MS = 3_000;
/** One deadline from the start of an attempt to ready (3.3). */
export const ATTEMPT_TIMEOUT_MS = 15_000;
/** Every signaling request is answered within this time (3.1). */
export const SIGNAL_REPLY_TIMEOUT_MS = 15_000;
/** How long the live peer has to answer the ping before the newcomer is let in (3.3). */
export const DUPLICATE_PROBE_MS = 2_000;
/** Opposite dials closer than this are simultaneous (3.3). */
export const SIMULTANEOUS_DIAL_MS = 30_000;

// Admission (3.2): token buckets and half-open connections
export const ADMISSION_IP_BURST = 8;
export const ADMISSION_IP_PER_SECOND = 0.5;
export const ADMISSION_GROUP_BURST = 32;
export const ADMISSION_GROUP_PER_SECOND = 2;
export const ADMISSION_GLOBAL_BURST = 64;
export const ADMISSION_GLOBAL_PER_SECOND = 50;
export const HALF_OPEN_MAX = 64;
export const HALF_OPEN_PER_GROUP_MAX = 4;
/** Retry-After of a refused request, seconds: a refused request is back when one token has come. */
export const RETRY_AFTER_MIN_S = 1;
export const RETRY_AFTER_MAX_S = 60;
/** Buckets remembered for addresses and groups; a full table forgets the one that was refilled first. */
export const ADMISSION_BUCKETS_MAX = 4_096;

// Dialing (3.3)
export const DIAL_BACKOFF_MIN_MS = 1_000;
export const DIAL_BACKOFF_MAX_MS = 600_000;
/** A connection that lasted this long resets the back-off of its address. */
export const DIAL_BACKOFF_RESET_MS = 60_000;
/** No dialing after a refusal that will not change by itself: wrong chain, self, bad signature, bad SDP. */
export const DIAL_REFUSED_MS = 600_000;
/** Transports that fail before ready are dialed again at once this often. */
export const DIAL_RETRIES_AT_ONCE = 2;
/** Addresses an operator may ask to be kept connected. */
export const DIAL_TARGETS_MAX = 1_024;

// Connections and control (section 4)
export const PEERS_MAX_DEFAULT = 100;
/** Slots that incoming connections cannot use. */
export const OUTGOING_RESERVE = 8;
export const USER_AGENT_BYTES_MAX = 64;
export const PING_AFTER_MS = 10_000;
export const PONG_TIMEOUT_MS = 10_000;
export const PING_INTERVAL_MIN_MS = 5_000;
/** What was sent before a Goodbye may still leave; then the connection is cut. */
export const GOODBYE_DRAIN_MS = 2_000;
/** A channel with more than this buffered takes no further write. */
export const BUFFERED_BYTES_MAX = 262_144;
export const STALLED_AFTER_MS = 8_000;
/** Sending rates are duties of the sender; beyond this burst they are overLimit (section 4). */
export const RATE_BURST = 64;
export const PINGS_PER_SECOND = 0.2;
export const REFLOORS_PER_SECOND = 1;

// Penalties (section 5)
export const BAN_MS = 86_400_000;
export const STRIKES_MAX = 3;
export const STRIKES_WINDOW_MS = 600_000;
export const STRIKES_REST_MS = 1_800_000;
/** Keys with a ban or strikes that are remembered; the one that ends first is forgotten. */
export const OFFENDERS_MAX = 10_000;

// Transactions (7.4)
export const INFOS_MAX = 32;
export const CANDIDATES_PER_PEER_MAX = 64;
/** An announced item is in the pool, dropped or failed after this time: the permit depends on it. */
export const SETTLE_TIMEOUT_MS = 15_000;
/**
 * Entries of the pool that one peer may make us pass over in vain - below its floor, beyond its cursor - are the
 * pool's size and this, per minute: a whole repair, but not one for every message.
 */
export const SCAN_ENTRIES_SPARE = 1_024;
export const SCAN_PERIOD_S = 60;
/** A permit that has used that up is looked at again after this time. */
export const SCAN_WAIT_MS = 1_000;
/** A band that was asked for and brought nothing lower is asked for again after this time at the soonest. */
export const BAND_INTERVAL_MS = 10_000;
export const VERIFY_BATCH_MAX = 32;

// RPC (7.7)
export const RPC_OPEN_MAX = 4;
export const RPC_HASHES_MAX = 16;
export const RPC_TIMEOUT_MS = 5_000;
/** All slots blocked by unanswered requests for this long is a timeout. */
export const RPC_BLOCKED_MS = 30_000;

// Kernel
/** Actions one input may cause. Far above any honest input; beyond it there is a cycle, which is a bug. */
export const DRAIN_ACTIONS_MAX = 100_000;
/** Submissions of the operator that wait for a verdict. */
export const SUBMISSIONS_MAX = 1_024;
