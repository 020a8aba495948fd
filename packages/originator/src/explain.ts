import type { Eds } from "@cipsec/objects";
import { alertMeaning, knownAlerts, type AlertMeaning } from "@cipsec/transport";
import {
  ConnectionService,
  Encapsulation,
  ForwardOpen,
  ItemType,
  LargeForwardOpen,
  MessageRouterReply,
  MessageRouterRequest,
  SendData,
  UsageError,
  decode,
  findItem,
  isStackError,
  type Reply,
  type Request,
} from "@cipsec/wire";
import { refusedFields, type FieldFinding } from "./explain-open.ts";
import { explainStatus, type Explanation } from "./explain-status.ts";

/** A refusal in words, with the fields of the request that it is about. */
export interface ExplainedExchange extends Explanation {
  /** Empty where the request is no Forward_Open, or nothing in it stands out. */
  readonly fields: readonly FieldFinding[];
}

/** A request and the status that it was answered with. */
export interface RefusedRequest {
  readonly service: number;
  /** Class of the request's path; nothing where it is a path of symbols. */
  readonly classId: number | undefined;
  readonly data: Uint8Array;
  readonly status: number;
  readonly extended: readonly number[];
  readonly eds?: Eds;
}

/** Cause and fix of a refusal whose request is known. A request that cannot be read says so, and is explained all the same. */
export function explainRequest(refused: RefusedRequest): ExplainedExchange {
  const { service, classId, data, status, extended, eds } = refused;
  const explained = explainStatus({
    status,
    extended,
    service,
    ...(classId === undefined ? { onSymbols: true } : { classId }),
  });
  const codec = classId === 0x06 ? openCodecs.get(service) : undefined;
  if (codec === undefined) return { ...explained, fields: [] };
  try {
    const open = decode(codec, data);
    return { ...explained, fields: refusedFields({ open, extended, ...(eds === undefined ? {} : { eds }) }) };
  } catch (error) {
    if (!isStackError(error)) throw error;
    return {
      ...explained,
      cause: `The request itself is malformed: ${error.message}. ${explained.cause}`,
      fix: `Correct the request. ${explained.fix}`,
      fields: [],
    };
  }
}

const openCodecs: ReadonlyMap<number, typeof ForwardOpen> = new Map([
  [ConnectionService.forwardOpen, ForwardOpen],
  [ConnectionService.largeForwardOpen, LargeForwardOpen],
]);

/**
 * Cause and fix of a refusal, from the octets of request and reply: CIP messages, or the encapsulation frames around them.
 *
 * @throws {UsageError} `usage/argument` for octets that are neither.
 */
export function explainExchange(request: Uint8Array, reply: Uint8Array, eds?: Eds): ExplainedExchange {
  const asked = readMessage<Request>("request", request, (bytes) => decode(MessageRouterRequest, bytes));
  const answered = readMessage<Reply>("reply", reply, (bytes) => decode(MessageRouterReply, bytes));
  return explainRequest({
    service: asked.service,
    classId: classOf(asked),
    data: asked.data,
    status: answered.status,
    extended: answered.extended,
    ...(eds === undefined ? {} : { eds }),
  });
}

/** Meaning of a TLS alert, by name (`unknown_ca`) or number. @throws {UsageError} `usage/argument` for one that is not known. */
export function explainAlert(text: string): AlertMeaning & { readonly number: number } {
  const wanted = text.trim().toLowerCase().replaceAll(/[\s-]/gu, "_");
  const number = knownAlerts().find((known) => String(known) === wanted || alertMeaning(known).name === wanted);
  if (number === undefined)
    throw new UsageError("usage/argument", `'${text.slice(0, 40)}' is no TLS alert that is known`, {
      fix: `Known: ${knownAlerts()
        .map((known) => `${alertMeaning(known).name} (${known})`)
        .join(", ")}.`,
    });
  return { number, ...alertMeaning(number) };
}

/** The CIP message in these octets, with or without its encapsulation. */
function readMessage<T>(what: string, bytes: Uint8Array, read: (bytes: Uint8Array) => T): T {
  try {
    return read(insideFrame(bytes) ?? bytes);
  } catch (error) {
    if (!isStackError(error)) throw error;
    throw new UsageError("usage/argument", `the ${what} is no CIP message: ${error.message}`, {
      cause: error,
      fix: "Give the octets of the CIP message from its service code on, or the whole encapsulation frame.",
    });
  }
}

function insideFrame(bytes: Uint8Array): Uint8Array | undefined {
  try {
    const { items } = decode(SendData, decode(Encapsulation, bytes).data);
    const connected = findItem(items, ItemType.connectedData)?.data;
    return findItem(items, ItemType.unconnectedData)?.data ?? connected?.subarray(2);
  } catch {
    return undefined;
  }
}

function classOf({ path }: Request): number | undefined {
  for (const segment of path) if (segment.kind === "class") return segment.value;
  return undefined;
}
