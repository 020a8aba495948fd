import type { DirectionKeys } from "../key-schedule.ts";
import type { Bulk } from "../suites.ts";
import type { RecordCipher } from "./cipher.ts";
import { additionalDataWriter, beginRecord, headerLength, writeNumber } from "./header.ts";
import type { RecordHeader } from "./header.ts";
import type { Primitives } from "./primitives.ts";

type Aead = Extract<Bulk, { kind: "aead" }>;

/** GCM and CCM send eight octets of the nonce with each record; ChaCha20 derives all of it. */
const explicitLength = 8;

/**
 * AEAD protection. The explicit nonce of GCM and CCM is epoch and sequence number, so no nonce can come twice.
 *
 * @see RFC 5288 3; RFC 6655 3; RFC 7905 2
 */
export function aeadCipher(bulk: Aead, { key, iv }: DirectionKeys, primitives: Primitives): RecordCipher {
  const { cipher, tagLength } = bulk;
  const aead = primitives.aead(cipher, key, tagLength);
  const explicit = cipher === "chacha20-poly1305" ? 0 : explicitLength;
  const nonceOf = explicit === 0 ? xorNonces(iv) : prefixNonces(iv);
  const additionalData = additionalDataWriter();
  const overhead = explicit + tagLength;

  return {
    overhead,
    accelerated: primitives.accelerated,
    sealedLength: (contentLength) => contentLength + overhead,
    seal(header, content) {
      const record = beginRecord(header, content.length + overhead);
      const start = headerLength + header.cid.length;
      if (explicit > 0) writeNumber(record, header.epoch, header.seq, start);
      aead.encrypt(nonceOf(header), additionalData(header, content.length), content, record, start + explicit);
      return record;
    },
    open(header, body) {
      const length = body.length - overhead;
      if (length < 0) return undefined;
      const nonce = nonceOf(header);
      // The nonce that was sent counts: some stacks count it apart from the record's number.
      if (explicit > 0) nonce.set(body.subarray(0, explicit), iv.length);
      return aead.decrypt(nonce, additionalData(header, length), body.subarray(explicit));
    },
    dispose: () => aead.dispose(),
  };
}

type Nonces = (header: RecordHeader) => Buffer;

/** Each nonce stands where the last one stood. */
function prefixNonces(iv: Uint8Array): Nonces {
  const nonce = Buffer.alloc(iv.length + explicitLength);
  nonce.set(iv);
  return ({ epoch, seq }) => {
    writeNumber(nonce, epoch, seq, iv.length);
    return nonce;
  };
}

function xorNonces(iv: Uint8Array): Nonces {
  const nonce = Buffer.from(iv);
  const at = iv.length - 8;
  const [high, low] = [nonce.readUInt32BE(at), nonce.readUInt32BE(at + 4)];
  return ({ epoch, seq }) => {
    nonce.writeUInt32BE((high ^ ((epoch << 16) | Math.floor(seq / 2 ** 32))) >>> 0, at);
    nonce.writeUInt32BE((low ^ seq) >>> 0, at + 4);
    return nonce;
  };
}
