import { reachOf } from "./address.ts";
import type { Hex } from "./bytes.ts";
import { SDP_CANDIDATES_MAX, SDP_MESSAGE_BYTES_MIN } from "./limits.ts";

/** An SDP that keeps the rules, and what is used of it. */
export interface SoundSdp {
  readonly tag: "ok";
  /** SHA-256 of the certificate, lowercase, without colons. */
  readonly fingerprint: Hex;
  /** Without any candidate: what an answerer's agent is given first. */
  readonly bare: string;
  /** Values of the usable `a=candidate` attributes. */
  readonly candidates: readonly string[];
}

export type CheckedSdp = SoundSdp | { readonly tag: "bad"; readonly detail: string };

const SETUPS = { offer: ["actpass"], answer: ["active", "passive"] } as const;
const FINGERPRINT = /^sha-256 ((?:[0-9a-f]{2}:){31}[0-9a-f]{2})$/i;

/**
 * The rules for an SDP from outside (section 3). Candidates that are not UDP with a literal, usable address are
 * left out; they are never resolved.
 *
 * @param allowLocal loopback and private candidates may be used
 */
export function checkSdp(sdp: string, kind: "offer" | "answer", allowLocal: boolean): CheckedSdp {
  if (/[^\r\n\x20-\x7e]/.test(sdp)) return bad("has characters outside printable ASCII");
  // A lone CR is no end of a line here, but some parsers drop it or end a line there: they would read another SDP.
  if (/\r(?!\n)/.test(sdp)) return bad("has a carriage return inside a line");
  const lines = sdp.split(/\r\n|\n/).filter((line) => line !== "");
  const media = lines.filter((line) => line.startsWith("m="));
  if (media.length !== 1 || !media[0]?.startsWith("m=application "))
    return bad("needs exactly one m=application line");
  const [fingerprint, ...others] = valuesOf(lines, "fingerprint");
  if (fingerprint === undefined || others.length > 0) return bad("needs exactly one a=fingerprint");
  const digest = FINGERPRINT.exec(fingerprint)?.[1];
  if (digest === undefined) return bad("needs a sha-256 fingerprint");
  const setups: readonly string[] = SETUPS[kind];
  const setup = valuesOf(lines, "setup");
  if (setup.length !== 1 || !setups.includes(setup[0] ?? ""))
    return bad(`needs a=setup:${setups.join(" or ")}`);
  const sizes = valuesOf(lines, "max-message-size");
  if (sizes.length !== 1 || !/^\d{1,10}$/.test(sizes[0] ?? "") || Number(sizes[0]) < SDP_MESSAGE_BYTES_MIN) {
    return bad(`needs a=max-message-size of at least ${SDP_MESSAGE_BYTES_MIN}`);
  }
  const candidates = valuesOf(lines, "candidate");
  if (candidates.length > SDP_CANDIDATES_MAX) return bad(`has more than ${SDP_CANDIDATES_MAX} candidates`);
  return {
    tag: "ok",
    fingerprint: digest.toLowerCase().replaceAll(":", ""),
    bare: joined(lines.filter((line) => !line.startsWith("a=candidate:") && line !== "a=end-of-candidates")),
    candidates: candidates
      .filter((value) => isUsable(value, allowLocal))
      .map((value) => `candidate:${value}`),
  };
}

/** The SDP with its usable candidates: what a dialer's agent is given at once. */
export const sdpWithCandidates = (bare: string, candidates: readonly string[]): string =>
  bare + joined([...candidates.map((candidate) => `a=${candidate}`), "a=end-of-candidates"]);

const bad = (detail: string): CheckedSdp => ({ tag: "bad", detail: `the SDP ${detail}` });

const joined = (lines: readonly string[]): string => lines.map((line) => `${line}\r\n`).join("");

function valuesOf(lines: readonly string[], attribute: string): readonly string[] {
  const start = `a=${attribute}:`;
  return lines.filter((line) => line.startsWith(start)).map((line) => line.slice(start.length));
}

/** foundation component transport priority address port typ type ... (RFC 8839) */
function isUsable(candidate: string, allowLocal: boolean): boolean {
  const [, , transport, , address, port] = candidate.split(" ");
  if (transport?.toLowerCase() !== "udp" || address === undefined) return false;
  if (!/^\d{1,5}$/.test(port ?? "") || Number(port) < 1 || Number(port) > 65_535) return false;
  const reach = reachOf(address);
  return reach === "public" || (reach === "local" && allowLocal);
}
