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
export const BEST_TIP_BYTES_MAX = 8_192;
export const TRANSACTION_BYTES_MAX = 4_096;
export const SNARK_BYTES_MAX = 4_096;
export const COMMITMENT_BYTES_MAX = 8_192;
export const RPC_BYTES_MAX = 65_536;
export const STREAMING_BYTES_MAX = 65_536;
/** Chunk of a streamed item or ledger; an item's hash is the root over its chunks (7.8). */
export const CHUNK_BYTES = 60_000;
/** Siblings in the proof of a chunk: a stream has at most 2^24 chunks (7.8). */
export const CHUNK_PROOF_MAX = 24;
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

// Relays (7.1, 7.2)
/** Discovery and exchange carry an envelope and little else. */
export const SIGNALING_BYTES_MAX = 17_408;
/** The relay ends a discovery flow after this time, with whatever it has. */
export const DISCOVERY_FLOW_MS = 30_000;
/** A dialer that hears nothing for so long gives the relay up. */
export const DISCOVERY_SILENCE_MS = 45_000;
/** Between the end of a flow and the next permit; after some Rejects in a row, longer. */
export const DISCOVERY_PAUSE_MS = 10_000;
export const DISCOVERY_REJECTED_PAUSE_MS = 60_000;
export const DISCOVERY_REJECTS_MAX = 3;
/** A dialer is told of a listener again after this time: it was rejected, or an offer has been made. */
export const DISCOVERED_AGAIN_MS = 600_000;
export const OFFERED_AGAIN_MS = 10_000;
/** Listeners that a relay remembers to have told a dialer of; the oldest are forgotten. */
export const DISCOVERED_REMEMBERED_MAX = 64;
/** Dialers that have left whose pauses and listeners a relay still remembers, until these run out. */
export const PAST_DIALERS_MAX = 1_024;
/** Offers that a listener takes in any minute, over all relays; open permits count as offers. */
export const EXCHANGE_PERMITS = 5;
export const EXCHANGE_PERIOD_MS = 60_000;
/** An exchange permit lapses after this time; an offer that comes later still is answered for the grace time. */
export const EXCHANGE_PERMIT_MS = 60_000;
export const EXCHANGE_GRACE_MS = 30_000;
/**
 * A listener never renews a permit sooner than this, even if its clock jumps forward: the grace time is counted from
 * the jump, and a stalled link is found by Ping within 20 s.
 */
export const EXCHANGE_RENEW_MIN_MS = 10_000;
/** A relay tells nobody of a listener whose permit is older than this: the dialer needs some of its time. */
export const EXCHANGE_USABLE_MS = 45_000;
/** Every relayed offer is answered within this time. */
export const EXCHANGE_ANSWER_MS = 10_000;
/** As CANDIDATES_HOLD_MS, when the answer goes by a relay. */
export const RELAYED_CANDIDATES_HOLD_MS = 1_000;

/** Keys of which it is remembered whether they are valid: about three times as many as the addresses in the book. */
export const CHECKED_KEYS_MAX = 4_096;

// Admission (3.2): token buckets and half-open connections
export const ADMISSION_IP_BURST = 8;
export const ADMISSION_IP_PER_SECOND = 0.5;
export const ADMISSION_GROUP_BURST = 32;
export const ADMISSION_GROUP_PER_SECOND = 2;
export const ADMISSION_GLOBAL_BURST = 64;
export const ADMISSION_GLOBAL_PER_SECOND = 50;
/** This part of the global burst is for groups of addresses that have asked for nothing in ADMISSION_QUIET_MS. */
export const ADMISSION_QUIET_SHARE = 0.5;
export const ADMISSION_QUIET_MS = 60_000;
export const HALF_OPEN_MAX = 64;
/** With no more half-open connections left than this, crowded address groups give way to others. */
export const HALF_OPEN_SPARE = 8;
/** An honest connection is ready by then; the slowest, with three packets lost, takes about this long. */
export const DISPLACED_AFTER_MS = 2_000;
export const HALF_OPEN_PER_GROUP_MAX = 4;
/** Retry-After of a refused request, seconds: until its bucket has a token again. */
export const RETRY_AFTER_MIN_S = 1;
export const RETRY_AFTER_MAX_S = 60;
/** Buckets remembered for addresses and groups; a full table forgets the half that was used longest ago. */
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

// Addresses of others (7.7, Peers)
/** Addresses in one answer, and unproven ones that are kept of one source. */
export const PEERS_ANSWER_MAX = 64;
export const BOOK_PER_SOURCE_MAX = 64;
/** 1024 unproven addresses: all that one address group tells of is in 8 buckets of 64, an eighth. */
export const BOOK_NEW_BUCKETS = 64;
export const BOOK_NEW_SLOTS = 16;
export const BOOK_SOURCE_PARTS = 8;
/** 256 proven ones: one address group has at most 2 buckets of 64, eight addresses. */
export const BOOK_TRIED_BUCKETS = 64;
export const BOOK_TRIED_SLOTS = 4;
export const BOOK_GROUP_PARTS = 2;
/** Failures in a row after which an unproven address gives its place to another, and a proven one is proven no more. */
export const BOOK_POOR_FAILURES = 3;
export const BOOK_TRIED_FAILURES = 8;
/** Addresses that one pick examines at most. */
export const BOOK_PICK_LOOKS_MAX = 64;
/** A peer is asked for addresses once in this time. */
export const BOOK_ASK_MS = 600_000;
/** One that had nothing to tell may have something soon: a network that begins would stay apart for 10 minutes. */
export const BOOK_ASK_AGAIN_MS = 60_000;
/** Peers that are remembered to have been asked. */
export const BOOK_ASKED_MAX = 1_024;
/** Unproven addresses: one dial per target IP and one per address group in these times (7.7). */
export const BOOK_IP_REST_MS = 60_000;
export const BOOK_GROUP_REST_MS = 10_000;
/** While peers are lacking, one address is dialed per BOOK_LOOK_MS; if there is none, the next look is later. */
export const BOOK_LOOK_MS = 1_000;
export const BOOK_IDLE_MS = 10_000;
export const BOOK_DIALS_MAX = 4;
/** Changes within this time lead to one look. */
export const BOOK_SOON_MS = 100;
/** How often one of the peers that we have chosen may be replaced by another. */
export const ROTATE_MS = 300_000;
/** A peer is behind from this many blocks on: one may be on its way. */
export const ROTATE_BEHIND_MIN = 2;
/** Peers of the last run that are dialed before all others. */
export const ANCHORS_MAX = 2;
/** A peer that dialed us and stays this long has the address it claims dialed; then again until that is proven. */
export const BOOK_VERIFY_MS = 5_000;
export const BOOK_VERIFY_AGAIN_MS = 60_000;

// Connections and control (section 4)
export const PEERS_MAX_DEFAULT = 100;
/** Slots that incoming connections cannot use: so many peers of our own choice keep one of them honest (P25). */
export const OUTGOING_RESERVE = 12;
/** With fewer slots for incoming peers a full node refuses newcomers; from this many on it evicts a peer (P25). */
export const EVICTION_SLOTS_MIN = 8;
/** Peers protected from eviction at most for each merit: answering fastest, having served most. */
export const EVICTION_PROTECTED_MAX = 8;
export const USER_AGENT_BYTES_MAX = 64;
export const PING_AFTER_MS = 10_000;
export const PONG_TIMEOUT_MS = 10_000;
/** What was sent before a Goodbye may still leave; then the connection is cut. */
export const GOODBYE_DRAIN_MS = 2_000;
/** A channel with more than this buffered takes no further write. */
export const BUFFERED_BYTES_MAX = 262_144;
export const STALLED_AFTER_MS = 8_000;
/** Sending rates are duties of the sender; beyond this burst they are overLimit (section 4). */
export const RATE_BURST = 64;
/** One in 5 s. */
export const PINGS_PER_SECOND = 0.2;
export const REFLOORS_PER_SECOND = 1;
/**
 * Messages that are ignored: each of a stream that ends may leave 18 of them under way, and streams end more seldom than
 * this refills. What comes faster is a flood.
 */
export const IGNORED_BURST = 256;
export const IGNORED_PER_SECOND = 16;
/** Our own Refloors keep this distance from the last window. */
export const REFLOOR_INTERVAL_MS = 1_000;

// Penalties (section 5)
export const BAN_MS = 86_400_000;
export const STRIKES_MAX = 3;
export const STRIKES_WINDOW_MS = 600_000;
export const STRIKES_REST_MS = 1_800_000;
/** Keys with a ban or strikes that are remembered; the one that ends first is forgotten. */
export const OFFENDERS_MAX = 10_000;
/** Violations by so many different keys of one address group within the window shut it out to unknown keys. */
export const GROUP_OFFENDERS_MAX = 3;
export const GROUP_WINDOW_MS = 600_000;
export const GROUP_BAN_MS = 600_000;
/** Address groups with a ban or violations that are remembered; the one that ends first is forgotten. */
export const GROUPS_MAX = 4_096;
/** A key that was ready for so long is known: what others of its address group do is not held against it. */
export const ACQUAINTED_AFTER_MS = 600_000;
/** Known keys that are remembered when they have left; who left first is forgotten. */
export const ACQUAINTED_MAX = 1_024;
/** Bans of the operator, which nothing pushes out of the tables. */
export const OPERATOR_BANS_MAX = 1_024;

// Transactions (7.4)
export const INFOS_MAX = 32;
/** Announcements of a peer that it is not told of again: two messages' worth. */
export const HEARD_MAX = 2 * INFOS_MAX;
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

// Pools (7.4 to 7.6)
export const TRANSACTION_CAPACITY_DEFAULT = 3_000;
/** Evicted and replaced items of a pool whose bytes are kept for those who were told of them. */
export const RING_MAX = 512;
/** Items that the chain refused at its present tip are not fetched again before it changes. */
export const REFUSED_MAX = 1_024;
/** After 500 ms without an answer the next announcer is asked too. */
export const HEDGE_MS = 500;
/** Nobody else is asked for an item while so many are. */
export const ASKED_AT_ONCE_MAX = 8;
/** What a connection has settled is remembered this long after its end, for the same peer. */
export const RESUME_MS = 600_000;
export const RESUMES_MAX = 1_024;
/** With a smaller pool, being offered everything again is cheaper than finding out what is lacking. */
export const RECONCILE_POOL_MIN = 200;
/** The permit is withheld at most this long for a reconciliation. */
export const RECONCILE_TIMEOUT_MS = 10_000;
/** doesNotHave: more than half of at least so many announcements in this time could not be served (section 5). */
export const WITHHELD_MIN = 20;
export const WITHHELD_WINDOW_MS = 600_000;
/** A commitment is dropped this long after it was issued (7.6). */
export const COMMITMENT_AGE_MAX_MS = 600_000;

// Blocks (7.3, 7.7)
export const SUB_WINDOWS = 11;
export const SLOTS_PER_SUB_WINDOW = 7;
export const BLOCK_TRANSACTIONS_MAX = 1_024;
export const BLOCK_SNARKS_MAX = 256;
export const ANCESTRY_MAX = 128;
/** Blocks that are kept at least, and their items, to be served by hash and to be undone. */
export const BLOCKS_KEPT_MIN = 290;

// Sync (7.3)
/** Catching up for longer renews the permit: a peer's next tip may be the way out. */
export const TIP_SETTLE_MS = 10_000;
/** Headers of unknown blocks that are asked for: deeper than what everybody keeps, blocks need not be served. */
export const SYNC_HEADERS_MAX = 290;
/** Where the ledger is streamed: deep enough to be undone by no honest fork, and kept by all for long enough. */
export const SNAPSHOT_DEPTH = 128;
/** Blocks fetched ahead of the one that is applied next: what is prepared is held in memory. */
export const SYNC_AHEAD_MAX = 16;
/** Half of a peer's slots stay for its pools. */
export const SYNC_REQUESTS_PER_PEER_MAX = 2;
/** Another peer is asked too after so long: within SYNC_STALLED_MS there are two more. */
export const SYNC_HEDGE_MS = 1_000;
/** A peer that answered Busy is asked again after so long. */
export const SYNC_BUSY_MS = 1_000;
/** How often a pursuit looks after itself: slots may have become free, requests late. */
export const SYNC_LOOK_MS = 1_000;
/** Without progress for so long another candidate is taken. */
export const SYNC_STALLED_MS = 3_000;
/** A better tip that was given up is retried after 1 s, doubling to 60 s (7.3). */
export const SYNC_RETRY_MIN_MS = 1_000;
export const SYNC_RETRY_MAX_MS = 60_000;
/** Tips of branches that were left: the order of tips is not transitive, so they may form a circle, but a short one. */
export const TIPS_LEFT_MAX = 64;
/** Blocks known to be invalid; each costs its announcers their key. */
export const INVALID_BLOCKS_MAX = 1_024;
/** Blocks forgotten with one adoption: after a long catch-up the rest goes with the next ones. */
export const BLOCKS_FORGOTTEN_MAX = 128;
/** Blocks off the best chain that are kept: the branch that was left, and one that is being caught up with. */
export const SIDE_BLOCKS_MAX = 2 * BLOCKS_KEPT_MIN;

// Work (7.6)
/** Catching up over more blocks than this, a node makes none itself. */
export const PRODUCE_BEHIND_MAX = 2;
/** A commitment is given this long to reach other workers before the proof is begun. */
export const COMMITMENT_SPREAD_MS = 300;
/** Whoever has promised a proof and not delivered it by then is not waited for. */
export const COMMITMENT_PATIENCE_MS = 60_000;
/** A worker draws among so many of the oldest open jobs: two rarely choose the same one at once. */
export const JOBS_CONSIDERED_MAX = 256;
/** Jobs that one worker promises at once, however fast it is. */
export const JOBS_AHEAD_MAX = 64;
/** A worker that finds nothing to do looks again after this time. */
export const WORK_RETRY_MS = 1_000;

// RPC (7.7)
export const RPC_OPEN_MAX = 4;
export const RPC_HASHES_MAX = 16;
export const RPC_TIMEOUT_MS = 5_000;
/** Blocks and ancestries are read from the chain, which may take longer. */
export const RPC_BLOCK_TIMEOUT_MS = 8_000;
/** All slots blocked by unanswered requests for this long is a timeout. */
export const RPC_BLOCKED_MS = 30_000;
/** Ranges of a Reconcile, asked or answered (7.7). */
export const RECONCILE_RANGES_MAX = 256;
/** Ids in one answer: together with as many ranges as there may be, they fit into a message. */
export const RECONCILE_IDS_MAX = 4_096;
/** A range of at most so many ids is answered by them, a larger one by the fingerprints of RECONCILE_SPLIT parts (7.7). */
export const RECONCILE_PLAIN_MAX = 64;
export const RECONCILE_SPLIT = 8;
/**
 * Ids in each of the ranges that are asked first, about: split by the peer, a part then holds some 90, which is the
 * cheapest for pools of 3000 with 20 differences (measured: 3.4 KB, with half of it or twice as much 4.0).
 */
export const RECONCILE_OPENING_IDS = 1_500;
/** Two or three are enough for any two pools of 3000. One who answers so that it takes more is given up. */
export const RECONCILE_ROUNDS_MAX = 16;

/**
 * What one peer may ask for, by kind: a burst and a rate per second, beyond which the answer is Busy. An honest node
 * that catches up stays below: a block takes it longer than this rate. Both kinds of a reconciliation cost a
 * token per entry of the pool.
 */
export const RPC_RATES = {
  bestTip: { burst: 16, perSecond: 2 },
  block: { burst: 512, perSecond: 64 },
  transactions: { burst: 512, perSecond: 256 },
  snarks: { burst: 512, perSecond: 256 },
  ancestry: { burst: 32, perSecond: 4 },
  peers: { burst: 4, perSecond: 0.1 },
  reconcile: { burst: 65_536, perSecond: 4_096 },
  infosByShortId: { burst: 65_536, perSecond: 4_096 },
} as const;

// Streams (7.8)
/**
 * Streams that one peer may open: for each a ledger may have to be encoded and hashed, which takes 0.1 s with 100,000
 * accounts. An honest node opens one for a download, and after a failure another one after 1 s, doubling to 60 s.
 */
export const STREAM_REQUESTS_BURST = 16;
export const STREAM_REQUESTS_PER_SECOND = 0.2;
/** Chunks of one stream that are permitted and not there yet: 1 MB on the way, 10 MB/s at a round trip of 100 ms. */
export const STREAM_OUTSTANDING_MAX = 16;
/** A Next is sent when it can permit so many: a quarter of what may be outstanding, while the rest is on its way. */
export const STREAM_NEXT_MIN = 4;
/** A stream that is served and asked nothing for so long is cancelled. */
export const STREAM_IDLE_MS = 30_000;
/** A source that does nothing for so long timed out. */
export const STREAM_TIMEOUT_MS = 30_000;
/** Hashing what we serve takes at most this long: less than STREAM_TIMEOUT_MS, so that it is no timeout for the peer. */
export const STREAM_OPEN_TIMEOUT_MS = 20_000;
/** When another source has nothing left to do, one takes over what was permitted to a slow one so long ago. */
export const STREAM_PATIENCE_MS = 5_000;
/** What was received of a download that failed is kept so long for another try. */
export const STREAM_KEEP_MS = 600_000;
/** The largest stream we fetch: as much as fits into one buffer of Node.js 20. */
export const STREAM_BYTES_MAX = 2 ** 32;
/**
 * Roots that peers are served from at once: the whole of each is in memory. Who comes for another is answered None and
 * asks somebody else; honest peers want the same few, for the block 128 below the tip.
 */
export const STREAM_ROOTS_MAX = 16;
/** Roots whose Merkle tree is kept while nobody is served from it: computing it is what opening a stream costs. */
export const STREAM_TREES_MAX = 8;

// Kernel
/** Actions one input may cause. Far above any honest input; beyond it there is a cycle, which is a bug. */
export const DRAIN_ACTIONS_MAX = 100_000;
/** Submissions of the operator that are kept aside until a block has them. */
export const LOCAL_MAX = 4_096;
/** Submissions of the operator that wait for a verdict. */
export const SUBMISSIONS_MAX = 1_024;
