import { STATUS_CODES } from "node:http";
import type { FastifyReply } from "fastify";

/** The ways in which a request of an operator fails; each is one problem type of RFC 9457. */
const PROBLEMS = {
  malformed: [400, "The request is malformed"],
  invalidTransaction: [400, "The transaction is invalid"],
  invalidSnark: [400, "The SNARK work is invalid"],
  invalidAddress: [400, "The address cannot be dialed"],
  invalidBan: [400, "This cannot be banned"],
  foreignOrigin: [403, "Pages of other sites have no access"],
  notFound: [404, "Not found"],
  wrongMethod: [405, "The path does not allow this method"],
  conflict: [409, "The pool does not take the item"],
  notConfigured: [409, "The node was not started for this"],
  tooLong: [413, "The body is too long"],
  notJson: [415, "The body must be JSON"],
  wrongHost: [421, "The request is for another host"],
  bug: [500, "Internal error of the node"],
  unavailable: [503, "The node cannot do this now"],
} as const satisfies Readonly<Record<string, readonly [number, string]>>;

export type ProblemKind = keyof typeof PROBLEMS;

/** Thrown by handlers and answered as application/problem+json. */
export class Problem extends Error {
  override readonly name = "Problem";
  readonly kind: ProblemKind;

  constructor(kind: ProblemKind, detail: string) {
    super(detail);
    this.kind = kind;
  }
}

const PROBLEM_CONTENT_TYPE = "application/problem+json";

export function sendProblem(reply: FastifyReply, kind: ProblemKind, detail: string): FastifyReply {
  const [status, title] = PROBLEMS[kind];
  if (status === 503) reply.header("retry-after", RETRY_AFTER_S);
  const type = `urn:pollen:problem:${kind}`;
  return reply
    .code(status)
    .type(PROBLEM_CONTENT_TYPE)
    .serializer(JSON.stringify)
    .send({ type, title, status, detail });
}

/** For what is no HTTP request, so that there is no reply to send it by. */
export function rawProblem(status: number, detail: string): string {
  const title = STATUS_CODES[status] ?? "Error";
  const body = JSON.stringify({ type: "about:blank", title, status, detail });
  const head = [
    `HTTP/1.1 ${status} ${title}`,
    "connection: close",
    `content-type: ${PROBLEM_CONTENT_TYPE}`,
    `content-length: ${Buffer.byteLength(body)}`,
  ];
  return `${head.join("\r\n")}\r\n\r\n${body}`;
}

const RETRY_AFTER_S = 1;
