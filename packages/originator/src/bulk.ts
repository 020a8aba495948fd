import type { ObjectClass } from "@cipsec/objects";
import {
  AttributeIds,
  MultipleServiceReply,
  MultipleServiceRequest,
  PeerError,
  Service,
  Status,
  UsageError,
  decode,
  decodeAttributeResults,
  encode,
  objectPath,
  type Reply,
  type Request,
} from "@cipsec/wire";
import { statusError, succeed, type Requester, type RequestOptions } from "./replies.ts";

/**
 * Reads several attributes of an instance with one Get_Attribute_List: name and value of each that the device has.
 *
 * @throws {PeerError} `cip/status` when the list as a whole is refused; `cip/mismatch` when the reply names other attributes.
 * @see CIP Vol 1, appendix
 */
export async function getAttributeList(
  requester: Requester,
  declaration: ObjectClass,
  instance: number,
  names: readonly string[],
  options?: RequestOptions,
): Promise<readonly (readonly [string, unknown])[]> {
  const what = `${declaration.name}/${instance}: get ${names.join(", ")}`;
  const wanted = names.map((name) => {
    const attribute = declaration.attributes[name];
    if (attribute === undefined)
      throw new UsageError("usage/argument", `${declaration.name} has no attribute '${name}'`);
    return { name, ...attribute };
  });
  const data = encode(
    AttributeIds,
    wanted.map(({ id }) => id),
  );
  const path = objectPath(declaration.classId, instance);
  const reply = await requester.request({ service: Service.getAttributeList, path, data }, options);
  // 0x0A: some entries failed, and the list says which.
  if (reply.status !== Status.success && !(reply.status === Status.attributeListError && reply.data.length > 0))
    throw statusError(reply, what);
  const results = decodeAttributeResults(reply.data, (id) => wanted.find((attribute) => attribute.id === id)?.type);
  return results.flatMap(({ id, status, value }): (readonly [string, unknown])[] => {
    const attribute = wanted.find((candidate) => candidate.id === id);
    if (attribute === undefined)
      throw new PeerError("cip/mismatch", `${what}: the device answers for attribute ${id}`, { facts: { id } });
    return status === 0 ? [[attribute.name, value]] : [];
  });
}

/**
 * Sends several requests in one Multiple_Service_Packet and returns their replies in order, whatever the status of each.
 *
 * @throws {PeerError} `cip/status` when the packet as a whole is refused; `cip/mismatch` when replies and requests do not pair.
 * @see CIP Vol 1, appendix
 */
export async function multipleServices(
  requester: Requester,
  requests: readonly Request[],
  options?: RequestOptions,
): Promise<readonly Reply[]> {
  const what = `Multiple_Service_Packet of ${requests.length}`;
  const reply = await requester.request(
    {
      service: Service.multipleServicePacket,
      path: objectPath(0x02, 1),
      data: encode(MultipleServiceRequest, requests),
    },
    options,
  );
  // 0x1E: some of the embedded services failed, and their replies say why.
  const { data } = reply.status === Status.embeddedServiceError && reply.data.length > 0 ? reply : succeed(reply, what);
  const replies = decode(MultipleServiceReply, data);
  if (replies.length !== requests.length || replies.some(({ service }, i) => service !== requests[i]?.service))
    throw new PeerError("cip/mismatch", `${what}: the embedded replies are not those of the requests`, {
      facts: { requests: requests.length, replies: replies.length },
    });
  return replies;
}
