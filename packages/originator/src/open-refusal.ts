import {
  ConnectionFailure,
  ConnectionService,
  PeerError,
  decode,
  type Facts,
  type Reply,
  type Segment,
} from "@cipsec/wire";
import { explainStatus } from "./explain-status.ts";
import { hexWord, statusError } from "./replies.ts";

/**
 * The error for a Forward_Open that is refused: its cause, the fix, and the field that is wrong where the answer tells.
 *
 * @param what The request in words, such as `Forward_Open`.
 * @param route Of the request: with it `facts.remainingPathWords` says how far the request came.
 */
export function openRefusal(
  reply: Reply,
  what: string,
  route: readonly Segment[] | undefined,
  further: Facts = {},
): Error {
  const error = statusError(reply, what);
  if (!(error instanceof PeerError)) return error;
  const { status, cause, fix, field } = explainStatus({
    status: reply.status,
    extended: reply.extended,
    classId: 0x06,
    service: ConnectionService.forwardOpen,
  });
  const remaining = remainingWords(reply);
  return new PeerError("cip/status", `${what}: the device refuses: ${status}. ${cause}`, {
    facts: {
      status: reply.status,
      ...(reply.extended.length === 0 ? {} : { extended: reply.extended.map(hexWord).join(" ") }),
      ...(field === undefined ? {} : { field }),
      ...(route === undefined || remaining === 0 ? {} : { remainingPathWords: remaining }),
      ...further,
    },
    fix,
  });
}

/** Words of the path that a router had not used; 0 where the reply does not tell. */
function remainingWords({ data }: Reply): number {
  try {
    return decode(ConnectionFailure, data).remainingPath[0] ?? 0;
  } catch {
    return 0;
  }
}
