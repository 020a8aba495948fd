import { createSecretKey, type KeyObject } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import {
  certificateSubject,
  createCrl,
  createCsr,
  crlToPem,
  decideEnrolment,
  estClient,
  initCa,
  isCrlSignedBy,
  makeEstService,
  makeKeyPair,
  makePasswordRecord,
  openKey,
  parseCertificates,
  parseCrls,
  parseCsr,
  parsePrivateKey,
  privateKeyToPem,
  readEnrolPolicy,
  readEstUrl,
  readPasswordRecords,
  readPkcs7,
  sealKey,
  selfSigned,
  toPem,
  verifyChain,
  writePkcs7,
  type Certificate,
  type EnrolPolicy,
  type EstAuthority,
  type EstConnection,
  type HeldRequest,
  type HttpAnswer,
  type Register,
} from "@cipsec/pki";
import { isStackError } from "@cipsec/wire";
import { Finding } from "./decoders.ts";
import { tlv } from "./der.ts";
import { chainTrials } from "./pki-chains.ts";
import type { Random } from "./random.ts";

/** Something of the public-key infrastructure that strangers reach. */
export interface PkiTarget {
  readonly name: string;
  /** Octets that it accepts, or nearly. */
  readonly seeds: readonly Uint8Array[];
  readonly share: number;
  /** Signs what mutations made of a signed structure, so that more than the signature is looked at. */
  readonly signer?: KeyObject;
  /** Refusing with an error of the stack is right; anything else that it throws is a finding. */
  run(bytes: Uint8Array): void | Promise<void>;
}

/** A plant, a vendor, and all that is read from strangers on behalf of either. */
export async function pkiTargets(folder: string, random: Random): Promise<readonly PkiTarget[]> {
  const now = (): Date => new Date();
  const ca = await initCa(folder, { name: "Fuzzed plant", now, crlBase: "http://pki.example" });
  const vendor = await initCa(`${folder}-vendor`, { name: "Acme", now });
  const vendors = [vendor.root, vendor.issuing];
  const device = await makeKeyPair();
  const signer = await makeKeyPair();
  const subject = { organization: "Acme", commonName: "Pump", serialNumber: "00C0FFEE" };
  const san = { ip: ["192.0.2.7", "2001:db8::1"], dns: ["a.example"], uri: ["urn:x:y"] };
  const leaf = (await ca.issue({ profile: "device", publicKey: device.publicKey, subject, san })).certificate;
  const birth = (await vendor.issue({ profile: "vendor-device", publicKey: device.publicKey, subject, san }))
    .certificate;
  const serverWish = { profile: "tool", server: true, publicKey: device.publicKey, subject } as const;
  const server = (await ca.issue({ ...serverWish, san: { dns: ["est.example"] } })).certificate;
  // Signed by a key that is at hand, unlike the plant's own: mutations of it can be signed anew.
  const root = await selfSigned({ subject: { commonName: "Vendor" }, privateKey: signer.privateKey, now: now() });
  const rsa = await makeKeyPair("rsa-2048");
  const old = await selfSigned({ subject, san, privateKey: rsa.privateKey, now: now() });
  const request = await createCsr({ subject, san, privateKey: device.privateKey, challengePassword: "x".repeat(40) });
  const sealing = await createCsr({
    subject,
    privateKey: device.privateKey,
    decryptKey: { kind: "asymmetric", id: Buffer.from("0123456789") },
  });
  const crl = await createCrl({
    issuer: ca.issuing,
    issuerKey: signer.privateKey,
    number: 7,
    thisUpdate: now(),
    nextUpdate: new Date(Date.now() + 86_400_000),
    entries: Array.from({ length: 20 }, (_, i) => ({
      serialHex: (i + 1).toString(16).padStart(4, "01"),
      revokedAt: now(),
      reason: "keyCompromise" as const,
    })),
  });
  const bundle = writePkcs7({ certificates: [leaf.der, ca.issuing.der, ca.root.der], crls: [crl.der] });
  const secret = createSecretKey(Buffer.alloc(32, 7));
  const sealed = sealKey(
    device.privateKey,
    { kind: "shared", id: Buffer.from("k"), key: secret },
    {
      certificate: root,
      key: signer.privateKey,
    },
  );
  const requests = [request.der, sealing.der];
  const anchors = [ca.root, ca.issuing, root];
  const trial = await chainTrials(random);
  return [
    {
      name: "certificates",
      seeds: [leaf.der, ca.root.der, root.der, old.der, utf8(toPem([leaf, ca.issuing])), bundle],
      share: 4,
      signer: signer.privateKey,
      run(bytes) {
        const [first, ...rest] = parseCertificates(bytes);
        if (first === undefined) return;
        verifyChain({ leaf: first, chain: rest, anchors, crls: [crl], time: now(), purpose: "client" });
        verifyChain({ leaf, chain: [first, ...rest], anchors: [ca.root], time: now(), purpose: "server" });
        toPem([first, ...rest]);
      },
    },
    {
      name: "requests",
      seeds: [...requests, utf8(request.pem)],
      share: 4,
      signer: device.privateKey,
      run(bytes) {
        const read = parseCsr(bytes);
        const caller = { kind: "birth", certificate: leaf, anchor: root.facts.sha256 } as const;
        decideEnrolment(policy, { operation: "simpleenroll", label: undefined, caller, request: read });
      },
    },
    {
      name: "revocation lists",
      seeds: [crl.der, utf8(crlToPem(crl))],
      share: 3,
      signer: signer.privateKey,
      run(bytes) {
        const crls = parseCrls(bytes);
        for (const one of crls) isCrlSignedBy(one, ca.issuing);
        verifyChain({ leaf, chain: [ca.issuing], anchors: [ca.root], crls, time: now(), purpose: "server" });
      },
    },
    { name: "PKCS#7", seeds: [bundle, indefinite(bundle)], share: 2, run: (bytes) => void readPkcs7(bytes) },
    {
      name: "sealed keys",
      seeds: [sealed],
      share: 2,
      run: (bytes) => void openKey(bytes, secret),
    },
    {
      name: "private keys",
      seeds: [utf8(privateKeyToPem(device.privateKey)), utf8(privateKeyToPem(rsa.privateKey))],
      share: 1,
      run: (bytes) => void parsePrivateKey(bytes),
    },
    {
      name: "EST server",
      share: 4,
      ...serverTarget({ requests, birth, vendors, leaf, authorities: [ca.root, ca.issuing], random }),
    },
    {
      name: "EST client",
      share: 4,
      ...clientTarget({ bundle, sealed, server, leaf, authorities: anchors, device: device.privateKey, random }),
    },
    { name: "chains", seeds: [new Uint8Array(0)], share: 1, run: trial },
    {
      name: "rules, users, addresses",
      seeds: [
        utf8(JSON.stringify(policy)),
        utf8(
          JSON.stringify([await makePasswordRecord({ username: "u", password: "correct horse" }, "est", ["SHA-256"])]),
        ),
        utf8("https://est.example:8443/.well-known/est/line2"),
      ],
      share: 1,
      run(bytes) {
        const text = Buffer.from(bytes).toString("latin1");
        for (const read of [readEnrolPolicy, readPasswordRecords, readEstUrl]) ignoreRefusal(() => read(text));
      },
    },
  ];
}

const policy: EnrolPolicy = {
  rules: [
    { name: "no", callers: ["birth"], subject: { commonName: "*no*no*" }, action: "refuse" },
    { name: "wait", callers: ["birth"], labels: ["wait"], action: "hold", takeNames: { ip: ["192.0.2.0/24"] } },
    {
      name: "yes",
      callers: ["birth", "password"],
      action: "issue",
      takeSubject: { organization: "Plant", commonName: "{request.commonName}" },
      takeNames: { ip: ["192.0.2.0/24"], dns: ["*.example"] },
    },
  ],
};

interface ServerParts {
  /** Of a vendor, and its authorities. */
  readonly birth: Certificate;
  readonly vendors: readonly Certificate[];
  readonly requests: readonly Uint8Array[];
  readonly leaf: Certificate;
  readonly authorities: readonly Certificate[];
  readonly random: Random;
}

/** Whole requests: paths, headers, and bodies in every form that is read. What is issued must be what the rule says. */
function serverTarget({
  requests,
  birth,
  vendors,
  leaf,
  authorities,
  random,
}: ServerParts): Pick<PkiTarget, "seeds" | "run"> {
  const authority: EstAuthority = {
    caCertificates: () => Promise.resolve(authorities),
    issue({ subject, san }) {
      const { organization, commonName: _, ...more } = subject;
      const isByRule = organization === "Plant" && Object.keys(more).length === 0 && san.uri.length === 0;
      const isNamed =
        san.ip.every((ip) => ip.startsWith("192.0.2.")) && san.dns.every((dns) => dns.endsWith(".example"));
      const isRenewal = isDeepStrictEqual([subject, san], [certificateSubject(leaf), leaf.facts.san]);
      if (!isRenewal && !(isByRule && isNamed))
        throw new Finding(`the EST server has issued ${JSON.stringify({ subject, san })}`);
      return Promise.resolve({ status: "issued", chain: [leaf] });
    },
    isRevoked: () => Promise.resolve(false),
    supersede: () => Promise.resolve(),
  };
  const many = Number.MAX_SAFE_INTEGER;
  const record = makePasswordRecord({ username: "line2", password: "correct horse" }, "est", ["SHA-256"]);
  let failed: unknown;
  const service = makeEstService({
    authority,
    labels: { wait: authority },
    register: memoryRegister(),
    policy: () => policy,
    now: () => new Date(),
    retryAfterS: 60,
    callers: {
      vendorAnchors: vendors,
      realm: "est",
      users: async (name) => (name === "line2" ? await record : undefined),
      passwordAlone: true,
    },
    limits: { burst: many, perMinute: many, failures: many },
    onEvent: ({ error }) => (failed = error),
  });
  const paths = [
    "simpleenroll",
    "simplereenroll",
    "serverkeygen",
    "cacerts",
    "csrattrs",
    "wait/simpleenroll",
    "fullcmc",
  ];
  return {
    seeds: [...requests, ...requests.map((der) => utf8(Buffer.from(der).toString("base64")))],
    async run(bytes) {
      failed = undefined;
      const answer = await service.handle({
        method: random.oneIn(5) ? random.pick(["GET", "HEAD", "PUT"]) : "POST",
        path: `/.well-known/est/${random.oneIn(50) ? Buffer.from(bytes).toString("latin1") : random.pick(paths)}`,
        headers: random.oneIn(1000) ? { authorization: hostileHeader(random, bytes) } : {},
        body: inSomeForm(random, bytes),
        address: "192.0.2.1",
        tls: { chain: random.pick([[], [leaf], [birth], [birth], [birth]]), binding: undefined, version: "TLSv1.3" },
      });
      if (failed instanceof Finding) throw failed;
      if (answer.status === 500) throw new Finding("the EST server calls it its own fault", { cause: failed });
    },
  };
}

interface ClientParts {
  readonly bundle: Uint8Array;
  readonly sealed: Uint8Array;
  /** For est.example. */
  readonly server: Certificate;
  readonly leaf: Certificate;
  readonly authorities: readonly Certificate[];
  readonly device: KeyObject;
  readonly random: Random;
}

/** A server that was let in and turns hostile, or a proxy in front of it. */
function clientTarget({
  bundle,
  sealed,
  server,
  leaf,
  authorities,
  device,
  random,
}: ClientParts): Pick<PkiTarget, "seeds" | "run"> {
  const attributes = tlv(
    0x30,
    Buffer.from("06092a864886f70d010907", "hex"),
    Buffer.from("301206072a8648ce3d0201310706052b81040022", "hex"),
  );
  const certs = writePkcs7({ certificates: [leaf.der] });
  const request = createCsr({ subject: { commonName: "Pump" }, privateKey: device });
  let answer: HttpAnswer;
  const connection: EstConnection = {
    tls: { chain: [server], binding: undefined, version: "TLSv1.3" },
    isOpen: () => true,
    ask: () => Promise.resolve(answer),
    close: () => undefined,
  };
  const client = estClient({
    url: "https://est.example",
    trust: { explicit: authorities },
    identity: { password: { username: "u", password: "p" } },
    now: () => new Date(),
    randomBytes: (count) => random.octets(count),
    dial: () => Promise.resolve(connection),
  });
  return {
    seeds: [bundle, certs, sealed, attributes, indefinite(bundle), utf8(Buffer.from(certs).toString("base64"))],
    async run(bytes) {
      const body = inSomeForm(random, bytes);
      const isParts = random.oneIn(3);
      answer = {
        status: random.pick([200, 200, 200, 200, 200, 202, 204, 401, 403, 404, 500, 503, 999]),
        headers: {
          "content-type": isParts ? "multipart/mixed; boundary=b" : "application/pkcs7-mime",
          "retry-after": random.pick([
            "",
            "5",
            "-1",
            "9".repeat(400),
            "Sat, 01 Jan 2050 00:00:00 GMT",
            latin(bytes.subarray(0, 99)),
          ]),
          "www-authenticate": random.oneIn(4)
            ? latin(bytes)
            : `Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256`,
        },
        body: isParts ? parts(body) : body,
      };
      const build = async () => await request;
      switch (random.below(4)) {
        case 0:
          return void (await client.cacerts());
        case 1:
          return void (await client.csrattrs());
        case 2:
          return void (await client.enroll(build));
        default:
          return void (await client.serverkeygen(
            build,
            random.oneIn(2) ? createSecretKey(Buffer.alloc(32, 7)) : undefined,
          ));
      }
    },
  };
}

/** A body as peers write it, or nearly. */
function inSomeForm(random: Random, der: Uint8Array): Uint8Array {
  const base64 = Buffer.from(der).toString("base64");
  switch (random.below(8)) {
    case 0:
      return der;
    case 1:
      return utf8(base64.replace(/.{1,64}/g, "$&\r\n"));
    case 2:
      return utf8(base64.replace(/=+$/, ""));
    case 3:
      return utf8(
        `-----BEGIN CERTIFICATE REQUEST-----\nProc-Type: 4\n\n${base64}\n-----END CERTIFICATE REQUEST-----\n`,
      );
    case 4:
      return utf8(Buffer.from(`-----BEGIN PKCS7-----\n${base64}\n-----END PKCS7-----\n`).toString("base64"));
    case 5:
      return indefinite(der);
    default:
      return utf8(base64);
  }
}

/** Parts of a multipart answer, sometimes without what belongs there. */
function parts(body: Uint8Array): Uint8Array {
  const text = latin(body);
  const head = (type: string): string => `--b\r\nContent-Type: ${type}\r\n\r\n`;
  return Buffer.from(
    `${head("application/pkcs8")}${text}\r\n${head("application/pkcs7-mime; smime-type=certs-only")}${text}\r\n--b--\r\n`,
    "latin1",
  );
}

function hostileHeader(random: Random, bytes: Uint8Array): string {
  const text = latin(bytes);
  return random.pick([
    text,
    `Basic ${Buffer.from(bytes).toString("base64")}`,
    `Digest username="line2", nonce="${text}", nc=00000001, uri="/", qop=auth, response="${text}"`,
  ]);
}

/** The outermost element with an indefinite length. */
function indefinite(der: Uint8Array): Uint8Array {
  const [tag = 0, first = 0] = der;
  const start = first > 0x80 ? 2 + (first & 0x7f) : 2;
  return Buffer.concat([Uint8Array.of(tag, 0x80), der.subarray(start), Uint8Array.of(0, 0)]);
}

/** What an EST server remembers, for as long as the campaign: requests that wait stand in each other's place. */
function memoryRegister(): Register {
  const held = new Map<string, HeldRequest>();
  return {
    locked: async (work) => await work(),
    held: (id) => Promise.resolve(held.get(id)),
    list: () => Promise.resolve([...held.values()]),
    hold: (request) => Promise.resolve(void held.set(request.id, request)),
    enrolled: () => [],
    record: () => Promise.resolve(),
    forget: () => Promise.resolve(),
  };
}

function ignoreRefusal(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    if (!isStackError(error)) throw error;
  }
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function latin(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}
