import type { BlockHeader } from "../../core/block.ts";
import type { DiscoveryMessage } from "../../core/channels/discovery.ts";
import type { ExchangeMessage } from "../../core/channels/exchange.ts";
import type { Found, RpcRequest, RpcResponse } from "../../core/channels/rpc.ts";
import type { StreamingMessage } from "../../core/channels/streaming-rpc.ts";
import { CHANNEL_BITS, type ChannelMessage } from "../../core/channels/table.ts";
import { isBetterTip } from "../../core/consensus.ts";
import type { Hash } from "../../core/ids.ts";
import { STREAM_OUTSTANDING_MAX } from "../../core/limits.ts";
import { POOL_NAMES, type PoolInfo, type PoolName } from "../../core/pools.ts";
import { REASONS } from "../../core/reasons.ts";
import { shortId } from "../../core/set-index.ts";
import type { Attempt, LivePeer } from "../../core/state.ts";
import { headerOf } from "./chain.ts";
import { BLOCKS, blockNamed, type Dice, ITEMS, itemNamed, NAMES, SNAPSHOTS } from "./chaos-things.ts";
import type { Item } from "./items.ts";
import { control, getNext, infos, refloor, request, response } from "./messages.ts";
import { party, type TestNode } from "./node.ts";
import { envelopeAround, multiaddrOf } from "./signals.ts";
import { chunk, streaming } from "./streams.ts";

// Peers that say what they might say at this point, right or nearly right.

export function peersOf(node: TestNode, dice: Dice): (attempt: Attempt) => ChannelMessage {
  const { random, pick, chance, bytes } = dice;
  const ping = (): ChannelMessage => control({ tag: "ping", n: random(2 ** 32) });

  function ofControl(live: LivePeer | null): ChannelMessage {
    if (chance(60)) return control({ tag: "pong", n: live?.control.awaitingPong?.n ?? random(10) });
    if (chance(94)) return ping();
    return control({ tag: "goodbye", reason: random(REASONS.length), banMs: random(100_000) });
  }

  function ofBestTip(live: LivePeer | null, isRight: boolean): ChannelMessage {
    const { ours, theirs, received = null } = live?.bestTip ?? {};
    if ((theirs !== "open" && chance(50)) || !isRight)
      return { channel: "best-tip", message: { tag: "getNext" } };
    const { chain } = node.state.config;
    const tips = BLOCKS.map(({ tip }) => tip).filter(
      (tip) => !isRight || received === null || isBetterTip(tip, received, chain),
    );
    if (tips.length === 0 || (ours?.tag !== "permitGiven" && isRight)) return ping();
    return { channel: "best-tip", message: { tag: "bestTip", header: headerOf(pick(tips)) } };
  }

  const envelope = () => envelopeAround(bytes(random(40)));
  const reply = () => pick([null, envelope(), envelope()]);

  const strangers = () => {
    const { peers, offenders } = node.state;
    const all = NAMES.map(party);
    const unknown = all.filter(({ peerId }) => !peers.has(peerId) && !offenders.has(peerId));
    return unknown.length === 0 ? all : unknown;
  };

  function ofDiscovery(live: LivePeer | null, isRight: boolean): ChannelMessage {
    const say = (message: DiscoveryMessage): ChannelMessage => ({ channel: "signaling/discovery", message });
    const { ours, theirs } = live?.discovery ?? {};
    if (!isRight)
      return say(
        pick<DiscoveryMessage>([
          { tag: "getNext" },
          { tag: "discover" },
          { tag: "discovered", target: node.state.config.publicKey },
          { tag: "reject" },
          { tag: "accept", offer: envelope() },
          { tag: "answer", reply: reply() },
        ]),
      );
    // As the dialer that we relay for.
    if (ours?.tag === "permitGiven" && chance(60)) return say({ tag: "discover" });
    if (ours?.tag === "discovered" && chance(60))
      return say(chance(70) ? { tag: "accept", offer: envelope() } : { tag: "reject" });
    // As the relay that we dial by.
    switch (theirs?.tag) {
      case "none":
        return chance(40) ? say({ tag: "getNext" }) : ping();
      case "asked":
        return say(
          chance(25)
            ? { tag: "answer", reply: null }
            : { tag: "discovered", target: chance(5) ? "ff".repeat(32) : pick(strangers()).publicKey },
        );
      case "offering":
        return chance(20) ? say({ tag: "answer", reply: null }) : ping();
      case "accepted":
        return chance(50) ? say({ tag: "answer", reply: reply() }) : ping();
      default:
        return ping();
    }
  }

  function ofExchange(live: LivePeer | null, isRight: boolean): ChannelMessage {
    const say = (message: ExchangeMessage): ChannelMessage => ({ channel: "signaling/exchange", message });
    const { ours, theirs } = live?.exchange ?? {};
    const offer = (): ExchangeMessage => ({
      tag: "offer",
      from: party(pick(NAMES)).publicKey,
      offer: envelope(),
    });
    if (!isRight)
      return say(pick<ExchangeMessage>([{ tag: "getNext" }, offer(), { tag: "answer", reply: reply() }]));
    // As the relay that brings us an offer.
    const isLate = ours?.tag === "lapsed" || ours?.tag === "void";
    if ((ours?.tag === "permitGiven" || isLate) && chance(40)) return say(offer());
    // As the listener that we relay for.
    if (theirs?.tag === "offered" && chance(60)) return say({ tag: "answer", reply: reply() });
    return theirs?.tag === "none" ? say({ tag: "getNext" }) : ping();
  }

  function infoOf(pool: PoolName): PoolInfo {
    const { info } = pick(ITEMS[pool]);
    return chance(1) ? { ...info, fee: BigInt(random(1_000)) } : info;
  }

  const priority = () => ({ class: random(120), hash: pick(ITEMS.transaction).hash });

  function ofPool(pool: PoolName, live: LivePeer | null, isRight: boolean): ChannelMessage {
    const { ours, theirs, theirSeq = -1 } = live?.pools[pool] ?? {};
    const seq = isRight ? theirSeq + 1 : Math.max(0, theirSeq);
    const floor = pool === "transaction" || !isRight ? pick([null, priority()]) : null;
    const band = pick([null, null, priority()]);
    if (chance(40)) {
      if (theirs?.tag === "open" && isRight) return refloor(seq, { floor, band }, pool);
      const { epoch } = node.state.pools[pool];
      const resume = pick([null, { epoch, next: BigInt(random(20)) }]);
      return getNext(seq, { limit: 1 + random(32), floor, band, resume }, pool);
    }
    if (chance(15)) return refloor(seq, { floor, band }, pool);
    if (ours?.tag !== "permitGiven" && isRight) return ping();
    const window = ours?.tag === "permitGiven" ? pick(ours.windows) : { seq: 0, band: null };
    const limit = ours?.tag === "permitGiven" ? ours.limit : 32;
    const isEmpty = !isRight || (window.band !== null && chance(40));
    const items = Array.from({ length: isEmpty ? 0 : 1 + random(Math.min(limit, 20)) }, () => infoOf(pool));
    const rest = window.band === null ? null : pick([null, priority()]);
    const cursor = { epoch: BigInt(chance(90) ? 1 : random(3)), next: BigInt(random(100)) };
    return infos(window.seq, chance(90) ? [...new Set(items)] : items, { rest, cursor }, pool);
  }

  const foundOf = (hash: Hash): Found => {
    const held = itemNamed(hash);
    if (held === undefined || chance(8)) return pick([{ tag: "none" }, { tag: "stream" }]);
    return { tag: "some", bytes: chance(99) ? held.bytes : bytes(10) };
  };

  function ancestryOf(hash: Hash, count: number): readonly BlockHeader[] {
    const headers: BlockHeader[] = [];
    for (
      let block = blockNamed(hash);
      block !== undefined && headers.length < count;
      block = blockNamed(block.tip.parent)
    )
      headers.push(headerOf(block.tip));
    return headers;
  }

  function responseTo(body: RpcRequest, isRight: boolean): RpcResponse {
    if (chance(10)) return pick<RpcResponse>([{ tag: "notFound" }, { tag: "busy" }]);
    if (!isRight) return { tag: "peers", addresses: [] };
    switch (body.tag) {
      case "transactions":
      case "snarks":
        return {
          tag: "items",
          found: body.hashes.slice(0, 1 + random(16)).map(foundOf) as [Found, ...Found[]],
        };
      case "block": {
        const block = blockNamed(body.hash);
        return block === undefined
          ? { tag: "notFound" }
          : { tag: "block", header: headerOf(block.tip), body: block.body };
      }
      case "ancestry":
        return { tag: "ancestry", headers: ancestryOf(body.hash, body.count) };
      case "reconcile": {
        const cursor = { epoch: 1n, next: BigInt(random(50)) };
        if (chance(20)) return { tag: "reconcile", cursor, ranges: body.ranges };
        const ids = idsOf(body.pool, body.salt);
        const ranges = body.ranges.map(({ from, to }) => {
          const within = ids.filter((id) => id >= from && id <= to && chance(90));
          return { from, to, body: { tag: "ids", ids: within } as const };
        });
        return { tag: "reconcile", cursor, ranges };
      }
      case "infosByShortId":
        return infosNamed(body.pool, body.salt, body.ids);
      case "peers": {
        const told = NAMES.filter(() => chance(20)).map((name) =>
          multiaddrOf(party(name), 7_300 + random(3)),
        );
        return { tag: "peers", addresses: chance(80) ? told : ["x", ...told] };
      }
      default:
        return { tag: "notFound" };
    }
  }

  const idsOf = (pool: number, salt: bigint): readonly bigint[] =>
    thingsOf(pool)
      .map(({ hash }) => shortId(salt, hash))
      .sort((a, b) => (a < b ? -1 : 1));

  function infosNamed(pool: number, salt: bigint, ids: readonly bigint[]): RpcResponse {
    const infos = thingsOf(pool)
      .filter(({ hash }) => ids.includes(shortId(salt, hash)))
      .map(({ info }) => info);
    const transactions = infos.flatMap((info) => ("nonce" in info ? [info] : []));
    const snarks = infos.flatMap((info) => ("prover" in info ? [info] : []));
    const commitments = infos.flatMap((info) => ("snarker" in info ? [info] : []));
    if (pool === 0) return { tag: "infos", infos: { tag: "transactions", items: transactions } };
    if (pool === 1) return { tag: "infos", infos: { tag: "snarks", items: snarks } };
    return { tag: "infos", infos: { tag: "commitments", items: commitments } };
  }

  function ofRpc(live: LivePeer | null, isRight: boolean): ChannelMessage {
    const open = live?.rpc?.ours ?? [];
    if (open.length > 0 && chance(75)) {
      const { id, body } = pick(open);
      return response(id, responseTo(body, isRight));
    }
    if (live?.rpc?.theirs.length === 4 && isRight) return ping();
    const id = (live?.rpc?.theirNextId ?? 0) + (isRight ? 0 : 1);
    const things = pick([ITEMS.transaction, ITEMS.snark]);
    const hashes = Array.from({ length: 1 + random(16) }, () => pick(things).hash);
    const hash = chance(60) ? pick([...node.state.chain.blocks.keys()]) : pick(BLOCKS).tip.hash;
    return request(
      id,
      pick<RpcRequest>([
        { tag: "transactions", hashes },
        { tag: "snarks", hashes },
        { tag: "peers" },
        { tag: "bestTip" },
        { tag: "block", hash },
        { tag: "ancestry", hash, count: random(9) },
        {
          tag: "reconcile",
          pool: random(3),
          salt: 1n,
          ranges: [{ from: 0n, to: 2n ** 64n - 1n, body: NOTHING }],
        },
        { tag: "infosByShortId", pool: random(3), salt: 1n, ids: [BigInt(random(100))] },
      ]),
    );
  }

  function ofStreaming(attempt: Attempt, live: LivePeer | null, isRight: boolean): ChannelMessage {
    const { theirs = null, theirNextId = 0, nextId = 0 } = live?.streaming ?? {};
    const source = attempt.peerId === null ? undefined : node.state.download?.sources.get(attempt.peerId);
    const { root, manifest } = pick(SNAPSHOTS);
    if (source !== undefined && chance(70)) {
      const id = source.streamId;
      const right = SNAPSHOTS.find((snapshot) => snapshot.root === node.state.download?.root)?.manifest;
      if (!source.isServing)
        return streaming({
          tag: "manifest",
          id,
          manifest: isRight ? (chance(85) ? (right ?? null) : null) : manifest,
        });
      const [first] = source.permitted;
      if (first !== undefined || !isRight)
        return streaming(chunk(id, isRight ? pick(source.permitted) : random(80)));
      if (chance(10)) return streaming({ tag: "cancel", id });
    }
    if (theirs === null || !isRight)
      return streaming({ tag: "request", id: theirNextId + (isRight ? 0 : 1), root });
    const free = STREAM_OUTSTANDING_MAX - theirs.permitted.length;
    const from = random(Math.max(1, theirs.chunks ?? 1));
    const count = Math.min(1 + random(8), free, (theirs.chunks ?? 0) - from);
    if (theirs.chunks !== null && count > 0 && chance(85))
      return streaming({ tag: "next", id: theirs.id, from, count });
    return streaming(
      pick<StreamingMessage>([
        { tag: "cancel", id: theirs.id },
        ...(nextId > 0 ? [chunk(0, random(5))] : []),
      ]),
    );
  }

  return (attempt) => {
    const live = attempt.peerId === null ? null : (node.state.peers.get(attempt.peerId)?.live ?? null);
    if (attempt.hello === null && chance(60)) {
      const session = chance(95) ? attempt.session : "00".repeat(32);
      const channels = pick([CHANNEL_BITS, CHANNEL_BITS, CHANNEL_BITS, CHANNEL_BITS, 1, 17, 129, 0xffff]);
      return control({ tag: "hello", version: 1 + random(2), session, userAgent: "chaos", channels });
    }
    const isRight = random(150) > 0;
    // Who waits for a relay is seldom: then it is heard.
    const isSeeking = ["asked", "accepted"].includes(live?.discovery?.theirs.tag ?? "");
    if (isSeeking && chance(40)) return ofDiscovery(live, isRight);
    switch (random(12)) {
      case 0:
      case 1:
        return ofControl(live);
      case 10:
        return ofDiscovery(live, isRight);
      case 11:
        return ofExchange(live, isRight);
      case 2:
        return ofBestTip(live, isRight);
      case 3:
      case 4:
      case 5:
        return ofPool(pick(POOL_NAMES), live, isRight);
      case 6:
        return ofStreaming(attempt, live, isRight);
      default:
        return ofRpc(live, isRight);
    }
  };
}

/** A dozen of a pool, by its number on the wire: few beside the many that are held. */
const thingsOf = (pool: number): readonly Item[] => ITEMS[POOL_NAMES[pool] ?? "snark"].slice(0, 12);

const NOTHING = { tag: "fingerprint", count: 0, xor: 0n, sum: 0n } as const;
