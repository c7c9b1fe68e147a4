import type { AttemptId, PeerId } from "../../core/ids.ts";
import { STREAM_NEXT_MIN, STREAM_OUTSTANDING_MAX } from "../../core/limits.ts";
import type { LivePeer, State } from "../../core/state.ts";
import { chunksIn, type Download, type Source } from "../../core/streams.ts";
import { isAwaited } from "./sources.ts";

/** What holds of streams between two inputs (7.8): a part of `brokenInvariants`. */

type Must = (holds: boolean, invariant: string) => void;

export function checkStreams(state: State, must: Must): void {
  for (const { live } of state.peers.values()) if (live !== null) checkServed(state, live, must);
  const { download } = state;
  if (download === null) return;
  checkChunks(download, must);
  for (const [peerId, source] of download.sources.entries())
    checkSource(state, download, peerId, source, must);
  const { byName } = state.deadlines;
  must(download.isActive !== byName.has("stream keep"), "a download is fetched or kept for a while");
  must(download.isActive || download.sources.size === 0, "a kept download has no sources");
  must(
    !download.isActive || download.sources.size + download.storing.size > 0,
    "a download has somebody to fetch from",
  );
  must(![...download.sources.values()].some(isAwaited) || byName.has("stream watch"), "sources are watched");
}

/** `stream serve <attempt>`, and three of the one download. */
export function isStreamDeadline(
  { download }: State,
  kind: string | undefined,
  live: LivePeer | null,
): boolean {
  switch (kind) {
    case "serve":
      return live?.streaming?.theirs != null;
    case "watch":
    case "relieve":
      return download?.isActive === true;
    case "keep":
      return download?.isActive === false;
    default:
      return false;
  }
}

function checkServed({ deadlines }: State, { attemptId, streaming, blocked }: LivePeer, must: Must): void {
  const stream = streaming?.theirs;
  if (stream == null) return;
  const name = `stream ${stream.id} of ${attemptId}`;
  const { permitted, chunks, isLoading } = stream;
  must(stream.id + 1 === streaming?.theirNextId, `${name} is the last that was opened`);
  must(
    permitted.length <= STREAM_OUTSTANDING_MAX,
    `${name} has at most ${STREAM_OUTSTANDING_MAX} chunks outstanding`,
  );
  must(
    permitted.every((index) => index < (chunks ?? 0)),
    `${name} permits chunks that exist`,
  );
  must(!isLoading || permitted.length > 0, `${name} loads what was permitted`);
  const holds = permitted.length > 0 && !isLoading;
  must(!holds || blocked.includes("streaming-rpc"), `${name} waits only for the transport`);
  must(deadlines.byName.has(`stream serve ${attemptId}`), `${name} ends when it is idle`);
}

/** Each chunk is at exactly one place. */
function checkChunks({ chunks, missing, storing, stored, sources }: Download, must: Must): void {
  const permitted = [...sources.values()].flatMap((source) => source.permitted);
  const elsewhere = [...permitted, ...storing.keys()];
  const count = chunksIn(missing) + elsewhere.length + stored;
  must(count === chunks, `${chunks} chunks of a download are ${count}`);
  must(new Set(elsewhere).size === elsewhere.length, "a chunk is asked of one source");
  let last = -1;
  for (const [from, to] of missing.entries()) {
    must(last < from && from < to && to <= chunks, "runs neither overlap nor touch");
    const isMissing = (index: number): boolean => from <= index && index < to;
    must(!elsewhere.some(isMissing), "what is missing was asked of nobody");
    last = to;
  }
}

function checkSource(
  state: State,
  download: Download,
  peerId: PeerId,
  { attemptId, streamId, isServing, permitted, storing }: Source,
  must: Must,
): void {
  const name = `source ${peerId}`;
  const live = state.peers.get(peerId)?.live;
  must(live?.attemptId === attemptId, `${name} is live`);
  must(live?.streaming?.nextId === streamId + 1, `${name} serves the last stream we asked it for`);
  must(
    permitted.length + storing <= STREAM_OUTSTANDING_MAX,
    `${name} has at most ${STREAM_OUTSTANDING_MAX} chunks outstanding`,
  );
  must(storing === storingOf(download, peerId, attemptId, streamId), `${name} knows what is being stored`);
  must(isServing || permitted.length === 0, `${name} has permits only after its Manifest`);
  const free = STREAM_OUTSTANDING_MAX - permitted.length - storing;
  must(
    !isServing || download.missing.size === 0 || free < STREAM_NEXT_MIN,
    `${name} is asked for what it can`,
  );
}

const storingOf = ({ storing }: Download, peerId: PeerId, attemptId: AttemptId, streamId: number): number =>
  [...storing.values()].filter(
    (origin) => origin.peerId === peerId && origin.attemptId === attemptId && origin.streamId === streamId,
  ).length;
