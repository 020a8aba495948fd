/** Content types of records. @see RFC 5246 6.2.1; RFC 9146 4; RFC 9853 */
export const contentTypes = {
  changeCipherSpec: 20,
  alert: 21,
  handshake: 22,
  applicationData: 23,
  /** The record carries a connection id; its true type is inside the protection. */
  connectionId: 25,
} as const;

/** DTLS 1.2 on the wire. */
export const dtls12 = 0xfefd;
/** DTLS 1.0 on the wire: seen in the record headers of first hellos, never spoken. */
export const dtls10 = 0xfeff;

/** Everything of a record before its body, without the length. */
export interface RecordHeader {
  readonly type: number;
  readonly version: number;
  readonly epoch: number;
  /** 48 bits. */
  readonly seq: number;
  /** Empty unless the type is {@link contentTypes.connectionId}. */
  readonly cid: Uint8Array;
}

/** A record as it stands in a datagram: nothing of it is proven yet. */
export interface RawRecord {
  readonly header: RecordHeader;
  readonly body: Uint8Array;
}

/** 2^14 octets of content, and what protection may add. @see RFC 5246 6.2.3 */
const maxBodyOctets = 16_384 + 2048;

/** Octets of a header without connection id. */
export const headerLength = 13;

const noCid = new Uint8Array(0);

/**
 * Splits a datagram into records. What does not parse ends the datagram: the rest is nobody's, and dropped.
 *
 * @param cidLength Octets of the connection ids that this side gave out; records name no length of their own.
 * @see RFC 6347 4.1; RFC 9146 4
 */
export function readRecords(datagram: Uint8Array, cidLength: number): readonly RawRecord[] {
  const records: RawRecord[] = [];
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.length);
  for (let at = 0; at + headerLength <= datagram.length;) {
    const type = view.getUint8(at);
    const ids = type === contentTypes.connectionId ? cidLength : 0;
    if (type < 20 || type > 25 || (type === contentTypes.connectionId && ids === 0)) break;
    const body = at + headerLength + ids;
    if (body > datagram.length) break;
    const version = view.getUint16(at + 1);
    const length = view.getUint16(body - 2);
    if ((version !== dtls12 && version !== dtls10) || length > maxBodyOctets || body + length > datagram.length) break;
    records.push({
      header: {
        type,
        version,
        epoch: view.getUint16(at + 3),
        seq: view.getUint16(at + 5) * 2 ** 32 + view.getUint32(at + 7),
        cid: ids === 0 ? noCid : datagram.subarray(at + 11, at + 11 + ids),
      },
      body: datagram.subarray(body, body + length),
    });
    at = body + length;
  }
  return records;
}

/** A buffer that begins with the header and has room for `bodyLength` octets behind it. */
export function beginRecord(header: RecordHeader, bodyLength: number): Buffer {
  const start = headerLength + header.cid.length;
  const record = Buffer.allocUnsafe(start + bodyLength);
  record[0] = header.type;
  record.writeUInt16BE(header.version, 1);
  writeNumber(record, header.epoch, header.seq, 3);
  record.set(header.cid, 11);
  record.writeUInt16BE(bodyLength, start - 2);
  return record;
}

/**
 * What a MAC or an AEAD covers beside the content: a pseudo header with the length of what is protected.
 *
 * @see RFC 5246 6.2.3.3; RFC 9146 5
 */
export function additionalData({ type, version, epoch, seq, cid }: RecordHeader, length: number): Buffer {
  if (type !== contentTypes.connectionId) {
    const data = Buffer.allocUnsafe(headerLength);
    writeNumber(data, epoch, seq, 0);
    data[8] = type;
    data.writeUInt16BE(version, 9);
    data.writeUInt16BE(length, 11);
    return data;
  }
  const data = Buffer.allocUnsafe(23 + cid.length);
  data.fill(0xff, 0, 8);
  data[8] = type;
  data[9] = cid.length;
  data[10] = type;
  data.writeUInt16BE(version, 11);
  writeNumber(data, epoch, seq, 13);
  data.set(cid, 21);
  data.writeUInt16BE(length, 21 + cid.length);
  return data;
}

/** Epoch and sequence number as eight octets. */
export function writeNumber(target: Buffer, epoch: number, seq: number, at: number): void {
  target.writeUInt16BE(epoch, at);
  target.writeUIntBE(seq, at + 2, 6);
}
