import { Command, frame } from "@cipsec/wire";
import { readSerial } from "./checks/channel-separation.ts";

/** A message with one thing wrong. */
export interface Malformed {
  readonly name: string;
  readonly octets: Uint8Array;
  /** Whether a success in reply would mean that it was executed. */
  readonly mustFail: boolean;
}

/** Some three hundred frames with one thing wrong each, made from a sound one. */
export function malformedFrames(session: number): readonly Malformed[] {
  const sound = Buffer.from(readSerial(session));
  const bad = (name: string, octets: Uint8Array, mustFail = true): Malformed => ({ name, octets, mustFail });
  const set16 = (at: number, value: number): Buffer => {
    const copy = Buffer.from(sound);
    copy.writeUInt16LE(value, at);
    return copy;
  };
  const cip = (request: readonly number[]): Uint8Array => {
    const data = Buffer.alloc(16 + request.length);
    data.writeUInt16LE(2, 6);
    data.writeUInt16LE(0xb2, 12);
    data.writeUInt16LE(request.length, 14);
    data.set(request, 16);
    return frame(Command.sendRRData, { session, data });
  };
  const commands = [0x0001, 0x0005, 0x0067, 0x006e, 0x0071, 0x00c7, 0x00ff, 0x7fff, 0xffff].map((command) =>
    bad(`command 0x${command.toString(16)}`, frame(command, { session })),
  );
  const sessions = [0, 1, 0xffff_ffff, session ^ 1].map((other) =>
    bad(`session 0x${(other >>> 0).toString(16)}`, readSerial(other >>> 0)),
  );
  const options = [1, 0x8000_0000].map((value) => {
    const copy = Buffer.from(sound);
    copy.writeUInt32LE(value, 20);
    return bad(`options 0x${value.toString(16)}`, copy, false);
  });
  const counts = [0, 1, 3, 16, 0xff, 0xffff].map((count) => bad(`item count ${count}`, set16(30, count)));
  const lengths = [0, 1, 0xff, 0xffff].flatMap((length) => [
    bad(`address length ${length}`, set16(34, length), length !== 0),
    bad(`data length ${length}`, set16(38, length)),
  ]);
  const types = [0x0001, 0x00b1, 0x00a1, 0x8000, 0x8002, 0xffff].map((type) =>
    bad(`data item type 0x${type.toString(16)}`, set16(36, type)),
  );
  const services = [0x00, 0x02, 0x11, 0x31, 0x4f, 0x63, 0x7f, 0x80, 0x8e, 0xff].map((service) =>
    bad(`service 0x${service.toString(16)}`, cip([service, 2, 0x20, 0x01, 0x24, 0x01])),
  );
  const paths: readonly (readonly number[])[] = [
    [],
    [0x20],
    [0x20, 0x01, 0x24],
    [0xff, 0xff],
    [0x00, 0x00],
    [0x28, 0x01],
    [0x20, 0xfe, 0x24, 0x01],
    [0x91, 0xff, 0x41],
    [0x21, 0x00, 0x01, 0x00],
    [0x34, 0x04],
  ];
  const epaths = paths.flatMap((path, at) =>
    [Math.ceil(path.length / 2), 0, 0x7f, 0xff].map((words) =>
      bad(`path ${at} of ${words} words`, cip([0x0e, words, ...path])),
    ),
  );
  const long = [500, 1500, 4000, 60_000].map((size) =>
    bad(`${size} octets of data`, cip([0x10, 3, 0x20, 0x01, 0x24, 0x01, 0x30, 0x07, ...Buffer.alloc(size, 0x41)])),
  );
  const cut = [1, 4, 8, 16, 23].map((size) => bad(`cut after ${size} octets`, sound.subarray(0, size)));
  const claims = [1, 0x1000, 0xffff].map((length) => bad(`length 0x${length.toString(16)}`, set16(2, length)));
  const truncated = Array.from({ length: sound.length - 24 }, (_, at) => {
    const copy = Buffer.from(sound.subarray(0, 24 + at));
    copy.writeUInt16LE(at, 2);
    return bad(`${at} octets of data`, copy);
  });
  const segments = Array.from({ length: 64 }, (_, at) => at * 4 + 1).map((octet) =>
    // An even count of octets behind it, so that only the kind of segment is wrong.
    bad(`segment 0x${octet.toString(16)}`, cip([0x0e, 2, octet, 0xff, octet, 0xff])),
  );
  const unknownServices = [
    0x04, 0x07, 0x0b, 0x0c, 0x0f, 0x12, 0x13, 0x14, 0x17, 0x1a, 0x1b, 0x1c, 0x20, 0x2a, 0x3f,
  ].map((service) => bad(`unknown service 0x${service.toString(16)}`, cip([service, 2, 0x20, 0x01, 0x24, 0x01])));
  const numbers = [0, 99, 0xff].flatMap((number) => [
    bad(`class ${number}`, cip([0x0e, 3, 0x20, number, 0x24, 0x01, 0x30, 0x01]), number !== 0),
    bad(`instance ${number}`, cip([0x0e, 3, 0x20, 0x01, 0x24, number, 0x30, 0x06]), number !== 0),
    bad(`attribute ${number}`, cip([0x0e, 3, 0x20, 0x01, 0x24, 0x01, 0x30, number])),
  ]);
  const addresses = [0x0001, 0x00a1, 0x00b2, 0x8002, 0xffff].map((type) =>
    bad(`address item type 0x${type.toString(16)}`, set16(32, type)),
  );
  const opens = [0, 1, 4, 12, 20, 34].map((size) =>
    bad(`Forward_Open of ${size} octets`, cip([0x54, 2, 0x20, 0x06, 0x24, 0x01, ...Buffer.alloc(size, 0xff)])),
  );
  const nested = [0, 1, 2, 0xff, 0xffff].map((count) =>
    bad(
      `${count} services in one`,
      cip([0x0a, 2, 0x20, 0x02, 0x24, 0x01, count & 0xff, count >> 8, 0xff, 0xff, 0x02, 0x00]),
    ),
  );
  const flipped = Array.from({ length: sound.length }, (_, at) => {
    const copy = Buffer.from(sound);
    copy[at] = (copy[at] ?? 0) ^ (1 << (at % 8));
    return bad(`octet ${at} altered`, copy, false);
  });
  return [
    ...flipped,
    ...truncated,
    ...segments,
    ...unknownServices,
    ...numbers,
    ...addresses,
    ...opens,
    ...nested,
    ...commands,
    ...sessions,
    ...options,
    ...counts,
    ...lengths,
    ...types,
    ...services,
    ...epaths,
    ...long,
    ...claims,
    ...cut,
  ];
}

/** TLS records that are none, or lie about their length or content. */
export function malformedRecords(): readonly Pick<Malformed, "name" | "octets">[] {
  const record = (type: number, version: number, length: number, body: Uint8Array = new Uint8Array()): Uint8Array =>
    Buffer.from([type, version >> 8, version & 0xff, length >> 8, length & 0xff, ...body]);
  const types = [0x00, 0x14, 0x15, 0x17, 0x18, 0x80, 0xff].map((type) => ({
    name: `record type ${type}`,
    octets: record(type, 0x0303, 2, Uint8Array.of(2, 40)),
  }));
  const versions = [0x0000, 0x0200, 0x03ff, 0xffff].map((version) => ({
    name: `record version 0x${version.toString(16)}`,
    octets: record(0x16, version, 4, Uint8Array.of(1, 0, 0, 0)),
  }));
  const lengths = [0, 1, 0x4001, 0xffff].map((length) => ({
    name: `record length ${length}`,
    octets: record(0x16, 0x0301, length, Buffer.alloc(Math.min(length, 64), 1)),
  }));
  const hellos = [0, 3, 0xffff, 0xff_ffff].map((length) => ({
    name: `hello of ${length} octets`,
    octets: record(0x16, 0x0301, 8, Uint8Array.of(1, length >> 16, (length >> 8) & 0xff, length & 0xff, 3, 3, 0, 0)),
  }));
  return [...types, ...versions, ...lengths, ...hellos];
}

/** Chains of certificates with octets that are none. The key that signs is that of the first. */
export function malformedCertificates(
  chain: readonly Uint8Array[],
): readonly { readonly name: string; readonly certificates: readonly Uint8Array[] }[] {
  const [leaf = new Uint8Array(), ...above] = chain;
  const altered = (at: number, octet: number): Uint8Array => {
    const copy = leaf.slice();
    copy[at] = octet;
    return copy;
  };
  return [
    { name: "a certificate cut in half", certificates: [leaf.subarray(0, leaf.length >> 1), ...above] },
    { name: "a certificate with octets behind it", certificates: [Buffer.concat([leaf, Buffer.alloc(8)]), ...above] },
    { name: "a certificate that claims more than it has", certificates: [altered(2, 0xff), ...above] },
    { name: "a certificate of another tag", certificates: [altered(0, 0x04), ...above] },
    { name: "a certificate of nonsense", certificates: [Buffer.alloc(300, 0x5a), ...above] },
    { name: "the same certificate eight times", certificates: Array.from({ length: 8 }, () => leaf) },
  ];
}
