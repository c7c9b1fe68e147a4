import type { Manifest } from "../../core/channels/streaming-rpc.ts";
import type { ChannelMessage } from "../../core/channels/table.ts";
import type { Hash } from "../../core/ids.ts";
import { manifestOf, streamRootOf } from "../../core/stream.ts";
import { type ConnectionBehaviour, type Line, lying, saying } from "./behaviour.ts";
import { forgedBranch, headerOf } from "./forgeries.ts";
import { randomHex, response, stream, times } from "./messages.ts";
import { announcing } from "./tip-lies.ts";

/** 7.8: streams that are asked for, and a ledger that is promised. */

/** More headers than are walked through: a node asks for the ledger instead. */
const BRANCH = 300;
const ANCESTRY_MAX = 128;
const DATA = Uint8Array.from({ length: 100 }, (_, index) => index);

/** The honest side's ledger, which is small: one chunk. */
const ledgerRootOf = ({ liar }: Line): Hash => liar.node().state.chain.tip.ledgerRoot;

/** Opens a stream and says more when its Manifest is there. */
const opening = (
  name: string,
  breaks: string,
  endsIn: ConnectionBehaviour["endsIn"],
  then: (line: Line) => void,
  rootOf: (line: Line) => Hash = ledgerRootOf,
): ConnectionBehaviour =>
  lying(name, breaks, endsIn, (line) => ({
    hears: ({ channel, message }) => {
      if (channel !== "streaming-rpc" || message.tag === "request" || message.tag === "next") return false;
      if (message.tag === "manifest") then(line);
      return true;
    },
    acts: () => line.say(stream({ tag: "request", id: 0, root: rootOf(line) })),
  }));

const next = (from: number, count: number): ChannelMessage => stream({ tag: "next", id: 0, from, count });

interface Served {
  readonly manifest: Manifest;
  /** Null: never. */
  readonly data: Uint8Array | null;
}

/** Announces a branch far ahead, which makes the honest side ask for a ledger. */
function promising(
  name: string,
  breaks: string,
  endsIn: ConnectionBehaviour["endsIn"],
  { manifest, data }: Served,
): ConnectionBehaviour {
  const root = streamRootOf(DATA);
  const branch = announcing(name, breaks, endsIn, (line) => {
    const tips = forgedBranch(line, BRANCH, root);
    return {
      said: tips.slice(0, 1),
      serve: (request, id) => {
        if (request.tag !== "ancestry") return undefined;
        const from = tips.findIndex(({ hash }) => hash === request.hash);
        if (from < 0) return undefined;
        const headers = tips.slice(from, from + Math.min(request.count, ANCESTRY_MAX)).map(headerOf);
        return [response(id, { tag: "ancestry", headers })];
      },
    };
  });
  return lying(name, breaks, endsIn, (line) => {
    const lie = branch.create(line);
    return {
      ...lie,
      hears: (heard) => {
        const { channel, message } = heard;
        if (channel !== "streaming-rpc") return lie.hears?.(heard) ?? false;
        if (message.tag === "request") {
          const known = message.root === root ? manifest : null;
          line.say(stream({ tag: "manifest", id: message.id, manifest: known }));
        } else if (message.tag === "next" && data !== null) {
          line.say(stream({ tag: "chunk", id: message.id, index: 0, data, proof: [] }));
        }
        return true;
      },
    };
  });
}

const manifest = manifestOf(DATA);

export const STREAM_LIES: readonly ConnectionBehaviour[] = [
  saying("a second open stream", "7.8", "overLimit", (line) =>
    line.say(...times(3, (id) => stream({ tag: "request", id, root: ledgerRootOf(line) }))),
  ),
  saying("a stream id that skips", "7.8", "badState", (line) =>
    line.say(stream({ tag: "request", id: 7, root: ledgerRootOf(line) })),
  ),
  opening("a Next beyond the end", "7.8", "overLimit", ({ say }) => say(next(0, 8))),
  // Each of them may be answered before the next comes, but not so many.
  opening("more than sixteen chunks outstanding", "7.8", "overLimit", ({ say }) =>
    say(...times(64, () => next(0, 1))),
  ),
  opening("opens a stream and asks for nothing", "7.8", null, () => {}),
  opening(
    "a stream of what nobody has",
    "7.8",
    null,
    () => {},
    ({ liar }) => randomHex(liar.random) as Hash,
  ),
  saying("a Next of a stream never opened", "5", "badState", ({ say }) => say(next(0, 1))),
  saying("a Manifest for what was never asked", "5", "badState", ({ say }) =>
    say(stream({ tag: "manifest", id: 0, manifest })),
  ),
  saying("a Chunk for what was never asked", "5", "badState", ({ say }) =>
    say(stream({ tag: "chunk", id: 0, index: 0, data: DATA, proof: [] })),
  ),
  promising("a Manifest of another root", "7.8", "badChunk", {
    manifest: { ...manifest, size: 7n },
    data: null,
  }),
  promising("a chunk that is not what the root names", "7.8", "badChunk", {
    manifest,
    data: DATA.toReversed(),
  }),
  promising("chunks that never come", "7.8", "timeout", { manifest, data: null }),
];
