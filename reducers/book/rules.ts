import type { BookAction } from "../../core/actions/book.ts";
import { BOOK_LOOK_MS } from "../../core/limits.ts";
import type { Rules } from "../rules.ts";
import { attemptOf, liveAttempt, livePeer } from "../state.ts";
import { ask, askAgain, canAsk, learn } from "./ask.ts";
import { look } from "./look.ts";
import { proveTarget } from "./proof.ts";
import { lookSoon, usesBook } from "./soon.ts";
import { hearClaim, isVerifiable, verify } from "./verify.ts";

/** 7.7, Peers: addresses told by others are claims. Few of them are dialed, and only proven ones are passed on. */
export const book: Rules<BookAction> = {
  "book/look": {
    enabled: (state) => usesBook(state) && state.timeMs >= state.book.lookedMs + BOOK_LOOK_MS,
    reduce: (draft, _action, context) => {
      look(draft, context);
    },
  },

  "book/peerReady": {
    enabled: (state, { peerId, attemptId }) => liveAttempt(state, peerId, attemptId) !== undefined,
    reduce: (draft, { peerId, attemptId }, { propose }) => {
      const attempt = attemptOf(draft, attemptId);
      if (attempt.direction === "incoming") {
        hearClaim(draft, peerId, attempt);
      } else {
        if (attempt.target !== null) proveTarget(draft, attempt.target);
        propose({ type: "book/ask", peerId });
      }
      lookSoon(draft);
    },
  },

  "book/ask": {
    enabled: (state, { peerId }) => usesBook(state) && canAsk(state, peerId),
    reduce: (draft, { peerId }, context) => {
      ask(draft, peerId, context);
    },
  },

  "book/answered": {
    enabled: (state, { peerId }) => livePeer(state, peerId) !== undefined,
    reduce: (draft, { peerId, response }) => {
      if (response?.tag === "peers") learn(draft, peerId, response.addresses);
      else askAgain(draft, peerId);
      lookSoon(draft);
    },
  },

  "book/verify": {
    enabled: (state, { peerId, attemptId }) => usesBook(state) && isVerifiable(state, peerId, attemptId),
    reduce: (draft, { peerId, attemptId }, context) => {
      verify(draft, peerId, attemptId, context);
    },
  },
};
