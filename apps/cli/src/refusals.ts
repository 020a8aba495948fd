import type { CipLine, MessageLine } from "@cipsec/capture";
import type { Eds } from "@cipsec/objects";
import { explainEncapsulation, explainRequest, explainStatus, type ExplainedExchange } from "@cipsec/originator";
import { Service, Status } from "@cipsec/wire";

/** A refusal that a capture holds. */
export interface CapturedRefusal {
  readonly n: number;
  readonly time: string;
  readonly src: string;
  readonly dst: string;
  readonly service: number | null;
  /** Class that was asked; `null` for a path of symbols, and where the request was not captured. */
  readonly class: number | null;
  readonly explained: ExplainedExchange;
}

/** Requests that wait for their reply, of one pair of peers and service; and pairs. More were never answered. */
const maxWaiting = 64;
const maxWays = 10_000;

/** Finds the refusals of a capture, each with the request that it answers: replies come in the order of their requests. */
export class Refusals {
  readonly #waiting = new Map<string, CipLine[]>();
  readonly #eds: Eds | undefined;

  constructor(eds?: Eds) {
    this.#eds = eds;
  }

  /** The refusals that this message brings. */
  of(line: MessageLine): readonly CapturedRefusal[] {
    const { n, time, src, dst } = line;
    const found: CapturedRefusal[] = [];
    if (line.status !== null && line.status !== 0)
      found.push({
        n,
        time,
        src,
        dst,
        service: null,
        class: null,
        explained: { ...explainEncapsulation(line.status), fields: [] },
      });
    for (const message of line.cip) {
      if (!message.response) {
        this.#ask(`${dst} ${src} ${message.service}`, message);
        continue;
      }
      const request = this.#waiting.get(`${src} ${dst} ${message.service}`)?.shift();
      if (!isRefusal(message)) continue;
      found.push({
        n,
        time,
        src,
        dst,
        service: message.service,
        class: request?.class ?? null,
        explained: this.#explain(message, request),
      });
    }
    return found;
  }

  #ask(way: string, request: CipLine): void {
    const waiting = this.#waiting.get(way) ?? [];
    waiting.push(request);
    if (waiting.length > maxWaiting) waiting.shift();
    if (this.#waiting.size >= maxWays) this.#waiting.clear();
    this.#waiting.set(way, waiting);
  }

  #explain({ service, status, extended }: CipLine, request: CipLine | undefined): ExplainedExchange {
    const refusal = { service, status: status ?? 0, extended };
    if (request === undefined) return { ...explainStatus(refusal), fields: [] };
    return explainRequest({
      ...refusal,
      classId: request.class ?? undefined,
      data: Buffer.from(request.dataHex, "hex"),
      ...(this.#eds === undefined ? {} : { eds: this.#eds }),
    });
  }
}

/** A partial transfer goes on; a packet of services says itself which of them failed. */
function isRefusal({ service, status }: CipLine): boolean {
  if (status === null || status === Status.success || status === Status.partialTransfer) return false;
  return !(service === Service.multipleServicePacket && status === Status.embeddedServiceError);
}
