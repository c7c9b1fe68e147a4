import { type DataChannel, PeerConnection, type RtcConfig } from "node-datachannel";
import type { TransportEvent } from "../../core/actions.ts";
import { isServed } from "../../core/channels/served.ts";
import { CHANNEL_NAMES, CHANNELS, type ChannelName } from "../../core/channels/table.ts";
import type { AttemptId } from "../../core/ids.ts";
import {
  BUFFERED_BYTES_MAX,
  GATHERING_TIMEOUT_MS,
  GOODBYE_DRAIN_MS,
  SDP_CANDIDATES_MAX,
  SDP_MESSAGE_BYTES_MIN,
} from "../../core/limits.ts";
import type { Inbox } from "./inbox.ts";
import type { Sender, Upload } from "./upload.ts";

export interface ConnectionOptions {
  /** The only local address to use. Without it: every address but loopback. */
  readonly bindAddress?: string | undefined;
  /** PEM texts of an ECDSA P-256 certificate, which browsers accept. Without it each connection makes its own. */
  readonly certificate?: { readonly certificatePem: string; readonly keyPem: string } | undefined;
  /** `stun:host:port`. With any, an SDP is complete only after their answers. */
  readonly iceServers?: readonly string[] | undefined;
  /** Limits what all connections send together. Without it there is no limit. */
  readonly upload?: Upload | undefined;
}

export interface Traffic {
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** More than nearly any request or permit. Of what we ask for ourselves, what is larger is shared like an answer. */
const SMALL_BYTES = 2_048;

interface Channel {
  readonly name: ChannelName;
  readonly dc: DataChannel;
  /** Sends that came while the channel was blocked, in order. */
  waiting: Uint8Array[];
  blocked: boolean;
  /** What waits does so for the cap on uploads; else, if it is blocked, for the transport. */
  capped: boolean;
  opened: boolean;
  closed: boolean;
}

/**
 * One connection object of node-datachannel, and the only code that knows the library. What it has to live with:
 *
 * - A throw out of a native callback aborts the process, so every callback is wrapped. Events are emitted in
 *   microtasks, and messages by the inbox: never inside a method, and an error of the core is an ordinary uncaught
 *   exception.
 * - Each kind of callback has its own queue, and when `onClosed` of a channel has run, the messages that still
 *   wait in the queue of its `onMessage` are gone. The queues are served in the order of their registration: so
 *   `onMessage` first, `onClosed` directly after it, and the connection is over only when all channels are.
 *   (A queue is served 999 calls at a time: a peer that closes must not have left more unread on a channel.)
 * - Garbage collection closes what nobody refers to. This object refers to the native ones, and their callbacks
 *   refer to it until they have been released, which `onStateChange` and `onClosed` bring about.
 * - `setLocalDescription` and `cleanup` abort or hang the process and are never used.
 */
export class Connection {
  readonly #attemptId: AttemptId;
  readonly #options: ConnectionOptions;
  readonly #inbox: Inbox<Connection>;
  readonly #emit: (event: TransportEvent) => void;
  readonly #onOver: () => void;
  readonly #channels = new Map<ChannelName, Channel>();
  readonly #sender: Sender = {
    sendUpTo: (bytes) => this.#sendUpTo(bytes),
    hasMore: () => !this.#over && this.#capped().length > 0,
    waitsOn: () => this.#waitsOn(),
  };
  #pc: PeerConnection | undefined;
  #timer: NodeJS.Timeout | undefined;
  #described = false;
  #connected = false;
  /** `close` was called: nothing but the end is emitted any more. */
  #closing = false;
  /** The native connection is over or about to be. */
  #over = false;
  /** Also all that it brought was read. */
  #ended = false;
  #error: string | null = null;

  constructor(
    attemptId: AttemptId,
    options: ConnectionOptions,
    inbox: Inbox<Connection>,
    emit: (event: TransportEvent) => void,
    onOver: () => void,
  ) {
    this.#attemptId = attemptId;
    this.#options = options;
    this.#inbox = inbox;
    this.#emit = emit;
    this.#onOver = onOver;
  }

  offer(): void {
    this.#attempt(() => {
      const pc = this.#createPeerConnection("offer");
      // The first channel makes the offer and starts gathering.
      this.#createChannels(pc);
      this.#describeWhenGathered(pc, "offer");
    });
  }

  answer(sdp: string): void {
    this.#attempt(() => {
      const pc = this.#createPeerConnection("answer");
      // Before the channels: otherwise they would make an offer of our own first.
      pc.setRemoteDescription(sdp, "offer");
      this.#createChannels(pc);
      this.#describeWhenGathered(pc, "answer");
    });
  }

  applyAnswer(sdp: string): void {
    this.#attempt(() => this.#pc?.setRemoteDescription(sdp, "answer"));
  }

  addCandidates(candidates: readonly string[]): void {
    // An open connection needs none, and the library refuses them once the peer has left.
    if (this.#connected) return;
    this.#attempt(() => {
      for (const candidate of candidates) this.#pc?.addRemoteCandidate(candidate, "0");
    });
  }

  send(name: ChannelName, bytes: Uint8Array): void {
    if (this.#closing) return;
    this.#attempt(() => {
      const channel = this.#channels.get(name);
      if (!channel?.opened) throw new Error(`message for channel ${name}, which is not open`);
      if (channel.blocked) channel.waiting.push(bytes);
      else if (this.#mayLeave(name, bytes)) this.#write(channel, [bytes]);
      else this.#cap(channel, [bytes]);
    });
  }

  close(graceful: boolean): void {
    if (this.#closing && graceful) return;
    this.#closing = true;
    this.#inbox.leave(this);
    if (this.#over) this.#tellEnd();
    else if (graceful && this.#connected) this.#attempt(() => this.#finishSending());
    else this.#end(null);
  }

  /** What it has sent is thrown away: that is more than it may have sent. */
  tellInboxFull(): void {
    this.#tell({ type: "event/inboxFull", attemptId: this.#attemptId });
  }

  traffic(): Traffic {
    return { bytesIn: this.#pc?.bytesReceived() ?? 0, bytesOut: this.#pc?.bytesSent() ?? 0 };
  }

  #createPeerConnection(type: "offer" | "answer"): PeerConnection {
    const pc = new PeerConnection(`${type} ${this.#attemptId}`, rtcConfig(this.#options));
    this.#pc = pc;
    pc.onStateChange(this.#safe((state: string) => this.#onState(state)));
    pc.onGatheringStateChange(
      this.#safe((state: string) => {
        if (state === "complete") this.#describe(pc, type);
      }),
    );
    // Channels beyond ours are closed and ignored (section 4).
    pc.onDataChannel(
      this.#safe((dc: DataChannel) => {
        dc.onClosed(() => {});
        dc.close();
      }),
    );
    return pc;
  }

  #createChannels(pc: PeerConnection): void {
    for (const name of CHANNEL_NAMES) {
      const dc = pc.createDataChannel(name, { negotiated: true, id: CHANNELS[name].id });
      const channel: Channel = {
        name,
        dc,
        waiting: [],
        blocked: false,
        capped: false,
        opened: false,
        closed: false,
      };
      this.#channels.set(name, channel);
      dc.setBufferedAmountLowThreshold(BUFFERED_BYTES_MAX);
      dc.onOpen(this.#safe(() => this.#onOpen(channel)));
      dc.onBufferedAmountLow(this.#safe(() => this.#onDrained(channel)));
      dc.onMessage(this.#safe((data: string | Uint8Array | ArrayBuffer) => this.#onMessage(channel, data)));
      dc.onClosed(this.#safe(() => this.#onClosed(channel)));
    }
  }

  #describeWhenGathered(pc: PeerConnection, type: "offer" | "answer"): void {
    if (pc.gatheringState() === "complete") this.#describe(pc, type);
    else this.#after(GATHERING_TIMEOUT_MS, () => this.#describe(pc, type));
  }

  #describe(pc: PeerConnection, type: "offer" | "answer"): void {
    if (this.#described) return;
    const description = pc.localDescription();
    if (description?.type !== type) throw new Error(`no ${type} could be made`);
    this.#described = true;
    clearTimeout(this.#timer);
    const sdp = withCandidatesAtMost(SDP_CANDIDATES_MAX, description.sdp);
    this.#tell({ type: "event/localDescription", attemptId: this.#attemptId, sdp });
  }

  #onState(state: string): void {
    if (state === "connected") this.#connect();
    else if (state === "failed") this.#endedByPeer("connection failed");
    else if (state === "disconnected" || state === "closed") this.#endedByPeer(null);
  }

  /** What a channel reports can overtake the state `connected`, but it implies it. */
  #connect(): void {
    if (this.#connected) return;
    const fingerprint = this.#pc?.remoteFingerprint();
    const remoteAddress = this.#pc?.getSelectedCandidatePair()?.remote.address;
    if (fingerprint?.algorithm !== "sha-256" || remoteAddress === undefined)
      throw new Error("connection lost as soon as it was up");
    this.#connected = true;
    this.#tell({
      type: "event/connected",
      attemptId: this.#attemptId,
      fingerprint: fingerprint.value.replaceAll(":", "").toLowerCase(),
      remoteAddress,
    });
  }

  /** A message can overtake the opening of its channel, but it implies it. */
  #onOpen(channel: Channel): void {
    this.#connect();
    if (channel.opened) return;
    channel.opened = true;
    this.#tell({ type: "event/channelOpened", attemptId: this.#attemptId, channel: channel.name });
  }

  #onMessage(channel: Channel, data: string | Uint8Array | ArrayBuffer): void {
    if (this.#closing) return;
    this.#onOpen(channel);
    const about = { attemptId: this.#attemptId, channel: channel.name };
    if (typeof data === "string")
      this.#inbox.put(this, data.length, () => this.#emit({ type: "event/textReceived", ...about }));
    else {
      const bytes = ownBytes(data);
      this.#inbox.put(this, bytes.length, () => this.#emit({ type: "event/message", ...about, bytes }));
    }
  }

  #onDrained(channel: Channel): void {
    if (!channel.blocked || channel.capped || this.#closing) return;
    if (channel.waiting.length > 0 && this.#options.upload !== undefined) {
      this.#cap(channel, channel.waiting);
      return;
    }
    this.#write(channel, channel.waiting);
    channel.blocked = channel.waiting.length > 0 || channel.dc.bufferedAmount() > BUFFERED_BYTES_MAX;
    const type = channel.blocked ? "event/channelBlocked" : "event/channelDrained";
    this.#tell({ type, attemptId: this.#attemptId, channel: channel.name });
  }

  /**
   * The peer closed a channel. It has closed all of them if it is done with us, and what it sent on the others
   * may still be on its way.
   */
  #onClosed(channel: Channel): void {
    channel.closed = true;
    this.#endedByPeer(null);
  }

  /** Writes until the channel is full; the rest waits. "Returned false" means queued in the library. */
  #write(channel: Channel, messages: readonly Uint8Array[]): void {
    const { dc, name } = channel;
    let written = 0;
    for (const bytes of messages) {
      if (dc.bufferedAmount() > BUFFERED_BYTES_MAX) break;
      sendUnlessClosed(dc, bytes);
      written++;
    }
    channel.waiting = messages.slice(written);
    if (channel.blocked || dc.bufferedAmount() <= BUFFERED_BYTES_MAX) return;
    channel.blocked = true;
    this.#tell({ type: "event/channelBlocked", attemptId: this.#attemptId, channel: name });
  }

  /**
   * What we ask for and permit is urgent: a request that waits is one late. What the peer is served takes its turns,
   * however small: of small answers it may ask for many. A Ping never waits, for that would be a peer lost.
   */
  #mayLeave(name: ChannelName, bytes: Uint8Array): boolean {
    const { upload } = this.#options;
    if (upload === undefined) return true;
    const isUrgent = bytes.length <= SMALL_BYTES && !isServed(name, bytes);
    return (isUrgent && upload.takeUrgent(bytes.length)) || name === "control" || upload.take(bytes.length);
  }

  /** These messages wait for a turn; to the core that is a full channel. */
  #cap(channel: Channel, messages: Uint8Array[]): void {
    channel.waiting = messages;
    channel.blocked = true;
    channel.capped = true;
    this.#options.upload?.wait(this.#sender);
    this.#tell({ type: "event/channelBlocked", attemptId: this.#attemptId, channel: channel.name });
  }

  #capped(): readonly Channel[] {
    return [...this.#channels.values()].filter(({ capped }) => capped);
  }

  #sendUpTo(bytes: number): number {
    let sent = 0;
    this.#attempt(() => {
      for (const channel of this.#capped()) {
        const left = bytes - sent;
        sent += this.#sendCapped(channel, left);
      }
    });
    return sent;
  }

  #sendCapped(channel: Channel, bytes: number): number {
    const { dc, name, waiting } = channel;
    let [written, sent] = [0, 0];
    for (const message of waiting) {
      if (sent + message.length > bytes || dc.bufferedAmount() > BUFFERED_BYTES_MAX) break;
      sendUnlessClosed(dc, message);
      written += 1;
      sent += message.length;
    }
    channel.waiting = waiting.slice(written);
    const isFull = dc.bufferedAmount() > BUFFERED_BYTES_MAX;
    channel.capped = channel.waiting.length > 0 && !isFull;
    channel.blocked = channel.capped || isFull;
    if (written === 0 && channel.blocked) return 0;
    const type = channel.blocked ? "event/channelBlocked" : "event/channelDrained";
    this.#tell({ type, attemptId: this.#attemptId, channel: name });
    return sent;
  }

  #waitsOn(): void {
    for (const { name, dc } of this.#capped()) {
      // What the transport still holds is the peer's to take.
      if (dc.bufferedAmount() === 0)
        this.#tell({ type: "event/channelBlocked", attemptId: this.#attemptId, channel: name });
    }
  }

  /**
   * Everything leaves, then our direction of each channel ends. When all of it has arrived, the peer's library
   * ends the other direction (RFC 8831, 6.7), and that calls our `onClosed`. `dc.close()` would end our
   * direction too but be deaf to the answer, so a second handle on the same stream is closed in its place.
   */
  #finishSending(): void {
    this.#options.upload?.leave(this.#sender);
    for (const { name, dc, waiting, closed, capped } of this.#channels.values()) {
      if (closed) continue;
      // Nothing comes after it, so the limit on what is buffered has no purpose any more; what waits for the cap on
      // uploads nobody reads after our Goodbye.
      if (!capped) for (const bytes of waiting) sendUnlessClosed(dc, bytes);
      const handle = this.#pc?.createDataChannel(name, { negotiated: true, id: CHANNELS[name].id });
      handle?.onClosed(() => {});
      handle?.close();
    }
  }

  /** The native connection is over or about to be; here it is over when the queues of all channels are empty. */
  #endedByPeer(error: string | null): void {
    this.#error ??= error ?? (this.#connected ? null : "connection ended before it was up");
    if ([...this.#channels.values()].every(({ closed }) => closed)) this.#end(this.#error);
    else this.#after(GOODBYE_DRAIN_MS, () => this.#end(this.#error ?? "only some channels were closed"));
  }

  #end(error: string | null): void {
    if (this.#over) return;
    this.#over = true;
    this.#error = error;
    clearTimeout(this.#timer);
    this.#options.upload?.leave(this.#sender);
    // It closes the channels too. Closing them here as well would race with that, and the loser's `onClosed`
    // would never come.
    this.#pc?.close();
    if (this.#closing) this.#tellEnd();
    else this.#inbox.putEnd(this, () => this.#tellEnd());
  }

  #tellEnd(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onOver();
    this.#tell({ type: "event/connectionClosed", attemptId: this.#attemptId, error: this.#error });
  }

  #tell(event: TransportEvent): void {
    queueMicrotask(() => {
      if (!this.#closing || event.type === "event/connectionClosed") this.#emit(event);
    });
  }

  /** One timer suffices: gathering, or the end. */
  #after(delayMs: number, body: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#safe(body), delayMs);
  }

  #safe<Values extends readonly unknown[]>(body: (...values: Values) => void): (...values: Values) => void {
    return (...values) => this.#attempt(() => body(...values));
  }

  /** Every use of the library: its failure is the end of the connection. */
  #attempt(body: () => void): void {
    if (this.#over) return;
    try {
      body();
    } catch (error) {
      this.#end(error instanceof Error ? error.message : String(error));
    }
  }
}

/**
 * As a Uint8Array that shares its memory with nothing. The library gives each message a buffer of its own, which then
 * need not be copied: of chunks of 60 KB that would be noticed.
 */
function ownBytes(data: Uint8Array | ArrayBuffer): Uint8Array {
  return data instanceof Uint8Array && data.byteLength === data.buffer.byteLength
    ? new Uint8Array(data.buffer)
    : new Uint8Array(data);
}

function rtcConfig({ bindAddress, certificate, iceServers }: ConnectionOptions): RtcConfig {
  return {
    iceServers: [...(iceServers ?? [])],
    maxMessageSize: SDP_MESSAGE_BYTES_MIN,
    ...(bindAddress !== undefined && { bindAddress }),
    // Despite their names these take the texts themselves.
    ...(certificate && { certificatePemFile: certificate.certificatePem, keyPemFile: certificate.keyPem }),
  };
}

export function withCandidatesAtMost(max: number, sdp: string): string {
  let candidates = 0;
  return sdp
    .split("\r\n")
    .filter((line) => !line.startsWith("a=candidate:") || ++candidates <= max)
    .join("\r\n");
}

/** A channel that the peer has closed takes nothing; its `onClosed` is on its way and will say so. */
function sendUnlessClosed(dc: DataChannel, bytes: Uint8Array): void {
  try {
    dc.sendMessageBinary(bytes);
  } catch (error) {
    if (dc.isOpen()) throw error;
  }
}
