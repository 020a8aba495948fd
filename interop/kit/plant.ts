import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { commission, parseTarget, type CommissionPlan, type SecurityOptions } from "@cipsec/originator";
import {
  crlToPem,
  initCa,
  makeKeyPair,
  openCa,
  parseCsr,
  privateKeyToPem,
  toPem,
  type Certificate,
  type CertificateAuthority,
  type KeyPair,
} from "@cipsec/pki";
import { readDescription, startTarget, type DeviceDescription, type Target, type TargetOptions } from "@cipsec/target";
import { must } from "./programs.ts";

const dayMs = 24 * 60 * 60 * 1000;

/** A caller: its certificate and key, as our originator takes them and as files for other programs. */
export interface Caller {
  readonly chain: readonly Certificate[];
  readonly key: KeyPair["privateKey"];
  /** PEM: leaf, then the issuing authority where there is one. */
  readonly certFile: string;
  readonly keyFile: string;
}

/** What a device is started with, beside what all devices of these tests share. */
export interface DeviceWish {
  readonly address: string;
  readonly serialNumber?: number;
  readonly security?: object | null;
  readonly ports?: object;
  readonly assemblies?: readonly object[];
  readonly keyLog?: TargetOptions["keyLog"];
  readonly onEvent?: TargetOptions["onEvent"];
}

/** A plant of the tests: a folder, its authority, and devices that are stopped with it. */
export interface Plant extends AsyncDisposable {
  readonly folder: string;
  readonly authority: CertificateAuthority;
  /** Root and issuing authority: what peers trust. */
  readonly anchors: readonly Certificate[];
  readonly anchorsFile: string;
  readonly crlFile: string;
  /** The tool that everyone trusts. */
  readonly tool: Caller;
  device(wish: DeviceWish): Promise<Target>;
  commission(target: Target, wish: Partial<CommissionPlan>, options?: CommissionOptions): Promise<void>;
  /** A certificate and key issued by the plant's authority, as if today were `shiftDays` from now. */
  issue(name: string, wish?: IssueWish): Promise<Caller>;
}

/** What commissioning is given besides the plan. */
export interface CommissionOptions {
  /** Pre-shared key mode: how our tool gets in afterwards. */
  readonly psk?: SecurityOptions["psk"];
  readonly connect?: NonNullable<Parameters<typeof commission>[1]["connect"]>;
}

/** What a caller's certificate is to be. */
export interface IssueWish {
  readonly shiftDays?: number;
  readonly days?: number;
  readonly server?: boolean;
  readonly san?: { readonly ip?: readonly string[]; readonly dns?: readonly string[] };
  readonly pair?: KeyPair;
}

/** Makes a plant in a new folder, with an authority that is two years old: so it can have issued what has expired since. */
export async function makePlant(name: string): Promise<Plant> {
  const folder = await mkdtemp(join(tmpdir(), `cipsec-interop-${name}-`));
  const targets: Target[] = [];
  const authority = await initCa(join(folder, "ca"), { name: "Interop Plant", now: () => at(-700) });
  const today = await openCa(authority.folder, { now: () => at(0) });
  const anchors = [today.issuing, today.root];
  const anchorsFile = await save(folder, "anchors.pem", toPem(anchors));
  const tool = await issueCaller(folder, today, "tool");
  const lost = await issueCaller(folder, today, "revoked");
  await today.revoke(lost.chain[0]!.facts.serialHex, "keyCompromise");
  const crlPem = crlToPem(await today.crl());
  const plant: Plant = {
    folder,
    authority: today,
    anchors,
    anchorsFile,
    crlFile: await save(folder, "crl.pem", crlPem),
    tool,
    async device(wish) {
      const { keyLog, onEvent } = wish;
      const description = describeDevice(wish);
      const stateDir = join(folder, description.name);
      const target = await startTarget({
        description,
        stateDir,
        ...(keyLog === undefined ? {} : { keyLog }),
        ...(onEvent === undefined ? {} : { onEvent }),
      });
      targets.push(target);
      return target;
    },
    async commission({ description: { address } }, wish, { psk, connect } = {}) {
      const certificate = { chain: tool.chain, key: tool.key };
      await commission(parseTarget(address), {
        plan: {
          label: "plant",
          suites: [0xc02b, 0xc02c],
          verifyClient: psk === undefined,
          sendChain: true,
          checkExpiration: psk === undefined,
          checkSan: false,
          dtlsTimeoutS: 12,
          closePlaintext: true,
          ...(psk === undefined ? { crlPem } : { psks: [psk] }),
          ...wish,
        },
        security: psk === undefined ? { certificate, anchors, suites: anySuite } : { psk },
        acceptAny: true,
        ...(psk === undefined
          ? {
              issue: async (csr) => {
                const request = { profile: "device", csr: parseCsr(csr), san: { ip: [address] } } as const;
                const issued = await today.issue(request);
                return { certificatePem: issued.pem, caChainPem: toPem(anchors) };
              },
            }
          : {}),
        ...(connect === undefined ? {} : { connect }),
      });
    },
    issue: async (commonName, wish = {}) => {
      const { shiftDays = 0 } = wish;
      const then = await openCa(authority.folder, { now: () => at(shiftDays) });
      return await issueCaller(folder, then, commonName, wish);
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(targets.map((target) => target.stop()));
      await rm(folder, { recursive: true, force: true });
    },
  };
  return plant;
}

/** Every suite that a device may be commissioned with here, so that the tool that commissions gets in again. */
const anySuite = [
  0x1301, 0x1302, 0x1303, 0xc02b, 0xc02c, 0xcca9, 0xc0ac, 0xc0ae, 0xc023, 0xc024, 0x003c, 0x003d, 0xc006, 0x003b,
];

/** Tools that the device must refuse, by the reason for it. */
export interface Strangers {
  readonly unknownCa: Caller;
  readonly expired: Caller;
  readonly notYetValid: Caller;
  readonly revoked: Caller;
  readonly selfSigned: Caller;
  readonly wrongUsage: Caller;
}

/** Makes them: those of the plant by its authority, the others by the openssl command. */
export async function makeStrangers(plant: Plant): Promise<Strangers> {
  const { folder } = plant;
  const [expired, notYetValid] = await Promise.all([
    plant.issue("expired", { shiftDays: -20, days: 10 }),
    plant.issue("not-yet-valid", { shiftDays: 10, days: 10 }),
  ]);
  const ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const path = (name: string): string => join(folder, name);
  const issueWith = async (name: string, ca: string, caKey: string, extensions: string): Promise<void> => {
    await save(folder, `${name}.ext`, extensions);
    await must("openssl", [
      "req",
      ...ec,
      "-keyout",
      path(`${name}.key`),
      "-out",
      path(`${name}.csr`),
      "-subj",
      `/CN=${name}`,
    ]);
    const request = ["x509", "-req", "-in", path(`${name}.csr`), "-CA", ca, "-CAkey", caKey, "-CAcreateserial"];
    const serial = ["-CAserial", path(`${name}.srl`)];
    await must("openssl", [
      ...request,
      ...serial,
      "-days",
      "5",
      "-extfile",
      path(`${name}.ext`),
      "-out",
      path(`${name}.crt`),
    ]);
  };
  const leaf = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n";
  const selfSign = async (name: string, ...extensions: readonly string[]): Promise<void> => {
    const added = extensions.flatMap((extension) => ["-addext", extension]);
    const files = ["-keyout", path(`${name}.key`), "-out", path(`${name}.crt`)];
    await must("openssl", ["req", "-x509", ...ec, ...files, "-days", "5", "-subj", `/CN=${name}`, ...added]);
  };
  await selfSign("other-ca");
  await issueWith("unknown-ca", path("other-ca.crt"), path("other-ca.key"), `${leaf}extendedKeyUsage=clientAuth\n`);
  const ca = plant.authority.folder;
  const server = `${leaf}extendedKeyUsage=serverAuth\n`;
  await issueWith("wrong-usage", join(ca, "issuing.cert.pem"), join(ca, "issuing.key.pem"), server);
  await selfSign("self-signed", "extendedKeyUsage=clientAuth");
  const made = (name: string): Caller => ({
    chain: [],
    key: plant.tool.key,
    certFile: path(`${name}.crt`),
    keyFile: path(`${name}.key`),
  });
  return {
    unknownCa: made("unknown-ca"),
    wrongUsage: made("wrong-usage"),
    selfSigned: made("self-signed"),
    revoked: { ...plant.tool, certFile: path("revoked.crt"), keyFile: path("revoked.key") },
    expired,
    notYetValid,
  };
}

async function issueCaller(
  folder: string,
  authority: CertificateAuthority,
  commonName: string,
  { days = 30, server = false, san, pair }: IssueWish = {},
): Promise<Caller> {
  const { publicKey, privateKey } = pair ?? (await makeKeyPair());
  const issued = await authority.issue({
    profile: "tool",
    publicKey,
    subject: { organization: authority.name, commonName },
    days,
    server,
    ...(san === undefined ? {} : { san }),
  });
  return {
    chain: issued.chain,
    key: privateKey,
    certFile: await save(folder, `${commonName}.crt`, issued.chainPem),
    keyFile: await save(folder, `${commonName}.key`, privateKeyToPem(privateKey)),
  };
}

function describeDevice({
  address,
  serialNumber = 0x00c0_ffee,
  security,
  ports,
  assemblies,
}: DeviceWish): DeviceDescription {
  return readDescription({
    name: `device-${address}`,
    identity: {
      vendorId: 0xffff,
      deviceType: 0x2b,
      productCode: 7,
      revision: { major: 2, minor: 1 },
      serialNumber,
      productName: "Interop Device",
    },
    address,
    hostName: "interop",
    ...(ports === undefined ? {} : { ports }),
    ...(security === undefined ? {} : { security }),
    ...(assemblies === undefined ? {} : { assemblies }),
  });
}

async function save(folder: string, name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text, { mode: 0o600 });
  return path;
}

function at(days: number): Date {
  return new Date(Date.now() + days * dayMs);
}
