import { createHash, randomBytes } from "node:crypto";
import { cipherSuite, keysFromMaster, readClientHello } from "@cipsec/capture";
import { extendedMasterSecret, groups, handshakeTypes, prf, signatureSchemes, signWith } from "@cipsec/dtls";
import { originatorTrust } from "@cipsec/originator";
import { makeKeyPair, parseCertificate, verifyChain } from "@cipsec/pki";
import { dial, listen, systemClock, type Channel } from "@cipsec/transport";
import { u16, vector16, vector8 } from "../src/endpoint/client-hello.ts";
import { certificateList, messagesOf } from "../src/endpoint/tls-client.ts";
import { contentType, tlsRecords } from "../src/endpoint/tls-records.ts";
import type { Plant } from "./plant.ts";

const [suite, p256, ecdsaSha256] = [0xc02b, 0x0017, 0x0403];
const verifyLength = 12;
const waitMs = 20_000;

/** Of an alert. @see RFC 5246 7.2.2 */
const [fatal, badCertificate] = [2, 42];

/**
 * A TLS 1.2 endpoint on port 2221 that judges a caller's certificate in every way, and does not look at the signature that proves that it
 * is his. What comes over it goes to a device. For tests of the assessor only.
 */
export async function startCareless(plant: Plant, address: string, device: string): Promise<AsyncDisposable> {
  const pair = await makeKeyPair();
  const san = { ip: [address, device] };
  const issued = await plant.ca.issue({
    profile: "device",
    publicKey: pair.publicKey,
    subject: { commonName: "careless" },
    san,
  });
  const chain = issued.chain.map(({ der }) => der);
  const { policy } = originatorTrust({ ...plant.security, checkName: false });
  const serve = async (near: Channel): Promise<void> => {
    const records = tlsRecords(near, systemClock);
    const messages = messagesOf(records, waitMs);
    const transcript: Uint8Array[] = [];
    const say = (type: number, body: Uint8Array): void => {
      const message = Buffer.concat([Buffer.from([type, 0]), u16(body.length), body]);
      transcript.push(message);
      records.send(contentType.handshake, message);
    };
    const hear = async (type: number): Promise<Uint8Array> => {
      const message = await messages.next();
      if ("ended" in message || message.type !== type) throw new RangeError(`no message ${type}`);
      transcript.push(message.whole);
      return message.whole.subarray(4);
    };
    const digest = (): Uint8Array => createHash("sha256").update(Buffer.concat(transcript)).digest();
    const hello = readClientHello(await hear(handshakeTypes.clientHello));
    const bulk = cipherSuite(suite)?.bulk;
    const ephemeral = groups.find(({ id }) => id === p256)?.generate();
    const scheme = signatureSchemes.find(({ id }) => id === ecdsaSha256);
    if (
      hello?.suites.includes(suite) !== true ||
      bulk?.mode !== "gcm" ||
      ephemeral === undefined ||
      scheme === undefined
    )
      throw new RangeError("a hello that this server is not made for");
    const random = randomBytes(32);
    // Extended master secret, and an empty renegotiation_info.
    const extensions = Buffer.from("00170000ff01000100", "hex");
    say(
      handshakeTypes.serverHello,
      Buffer.concat([
        u16(0x0303),
        random,
        vector8(Buffer.alloc(0)),
        u16(suite),
        Buffer.from([0]),
        vector16(extensions),
      ]),
    );
    say(handshakeTypes.certificate, certificateList(chain));
    const parameters = Buffer.concat([Buffer.from([3]), u16(p256), vector8(Buffer.from(ephemeral.point))]);
    const signature = signWith(scheme, pair.privateKey, Buffer.concat([hello.random, random, parameters]));
    say(
      handshakeTypes.serverKeyExchange,
      Buffer.concat([parameters, u16(scheme.id), vector16(Buffer.from(signature))]),
    );
    const schemes = Buffer.concat(signatureSchemes.map(({ id }) => u16(id)));
    // Certificates with keys of ECDSA and RSA, of any authority.
    const request = [vector8(Buffer.from([64, 1])), vector16(schemes), vector16(Buffer.alloc(0))];
    say(handshakeTypes.certificateRequest, Buffer.concat(request));
    say(handshakeTypes.serverHelloDone, Buffer.alloc(0));

    if (!isSound(plant, certificatesIn(await hear(handshakeTypes.certificate)))) {
      records.send(contentType.alert, Uint8Array.of(fatal, badCertificate));
      return await near.close();
    }
    const exchange = await hear(handshakeTypes.clientKeyExchange);
    const master = extendedMasterSecret(bulk.prf, ephemeral.agree(exchange.subarray(1)), digest());
    // Here is what is wrong: nobody looks at it.
    await hear(handshakeTypes.certificateVerify);
    const keys = keysFromMaster(bulk, master, hello.random, random);
    messages.onChange(() => records.protect("in", { bulk, keys: keys.client, encryptThenMac: false }));
    const expected = prf(bulk.prf, master, "client finished", digest(), verifyLength);
    if (!Buffer.from(expected).equals(await hear(handshakeTypes.finished))) throw new RangeError("no true Finished");
    records.send(contentType.changeCipherSpec, Uint8Array.of(1));
    records.protect("out", { bulk, keys: keys.server, encryptThenMac: false });
    say(handshakeTypes.finished, prf(bulk.prf, master, "server finished", digest(), verifyLength));

    await using far = await dial({ protocol: "tls", host: device, port: 2221, timeoutMs: waitMs, tls: policy });
    far.receive((octets) => records.send(contentType.applicationData, octets.slice()));
    for (;;) {
      const record = await records.next(waitMs);
      if ("ended" in record) return;
      if (record.type === contentType.applicationData) far.send(Uint8Array.from(record.body));
    }
  };
  return await listen({
    protocol: "tcp",
    address,
    port: 2221,
    // Whoever breaks off in a handshake has what he wanted.
    accept: (near) =>
      void serve(near)
        .catch(() => undefined)
        .finally(() => near.destroy()),
  });
}

/** @see RFC 5246 7.4.2 */
function certificatesIn(body: Uint8Array): readonly Uint8Array[] {
  const octets = Buffer.from(body);
  const found: Uint8Array[] = [];
  for (let at = 3; at + 3 <= octets.length; at += 3 + octets.readUIntBE(at, 3))
    found.push(Uint8Array.from(octets.subarray(at + 3, at + 3 + octets.readUIntBE(at, 3))));
  return found;
}

function isSound(plant: Plant, shown: readonly Uint8Array[]): boolean {
  const [leaf, ...chain] = shown.map((der) => parseCertificate(der));
  if (leaf === undefined) return false;
  return verifyChain({ leaf, chain, anchors: [plant.ca.root], time: new Date(), purpose: "client" }).ok;
}
