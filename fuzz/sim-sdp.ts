import type { Hex } from "../core/bytes.ts";

/** What of an SDP means anything to the simulated transport. */
export interface SimDescription {
  readonly ufrag: string;
  readonly fingerprint: Hex;
  /** The user fragment of the offer that an answer belongs to, as the agents would find out by the ICE checks. */
  readonly answers: string | null;
}

/** A minimal SDP of a data-channel connection with one candidate, as the library makes it. */
export function describe(
  { ufrag, fingerprint, answers }: SimDescription,
  address: string,
  port: number,
): string {
  const digest = (fingerprint.toUpperCase().match(/../g) ?? []).join(":");
  return [
    "v=0",
    "o=rtc 1 0 IN IP4 127.0.0.1",
    "s=-",
    "t=0 0",
    "a=group:BUNDLE 0",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    `c=IN IP4 ${address}`,
    "a=mid:0",
    "a=sendrecv",
    "a=sctp-port:5000",
    "a=max-message-size:262144",
    `a=setup:${answers === null ? "actpass" : "active"}`,
    `a=ice-ufrag:${ufrag}`,
    `a=ice-pwd:${answers ?? "offer"}password`,
    `a=fingerprint:sha-256 ${digest}`,
    `a=candidate:1 1 UDP 2122317823 ${address} ${port} typ host`,
    "a=end-of-candidates",
    "",
  ].join("\r\n");
}

export function readDescription(sdp: string): SimDescription | undefined {
  const ufrag = /^a=ice-ufrag:(\S+)/m.exec(sdp)?.[1];
  const password = /^a=ice-pwd:(\S+)password/m.exec(sdp)?.[1];
  const fingerprint = /^a=fingerprint:sha-256 (\S+)/m.exec(sdp)?.[1];
  if (ufrag === undefined || password === undefined || fingerprint === undefined) return undefined;
  return {
    ufrag,
    fingerprint: fingerprint.replaceAll(":", "").toLowerCase(),
    answers: password === "offer" ? null : password,
  };
}

export const hasCandidates = (sdp: string): boolean => /^a=candidate:/m.test(sdp);
