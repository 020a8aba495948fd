import { randomBytes } from "node:crypto";
import { isIP } from "node:net";
import { CertificateManagement, EtherNetIpSecurity, FileObject, VerifyTarget } from "@cipsec/objects";
import { keyFacts, parseCertificates, parseCsr, type Certificate, type KeyType } from "@cipsec/pki";
import {
  AlternativeNames,
  CertificateState,
  certificateStateText,
  cipherSuite,
  decode,
  encode,
  objectPath,
  PeerError,
  type Segment,
  SHORT_STRING,
  UsageError,
} from "@cipsec/wire";
import { certificateFile, chooseEncoding, crlFile, type PushEncoding, type PushedFile } from "./commission-files.ts";
import type { CommissionPlan } from "./commission-plan.ts";
import type { Undo } from "./commission-run.ts";
import type { CommissionOptions, IssueContext } from "./commission.ts";
import { putFile, readFile } from "./file.ts";
import type { Session } from "./session.ts";
import { destination } from "./settings.ts";

/** One certificate on its way into the device. */
interface Making {
  /** Nothing: whatever key the device makes by itself. */
  readonly keyType: KeyType | undefined;
  readonly instance: number;
  csrPem?: string;
  /** Leaf first. */
  chain?: readonly Certificate[];
  authorities?: readonly Certificate[];
}

/** What certificates are made from: the part of a commissioning's options that says so. */
export interface CertificateWish extends Pick<CommissionOptions, "issue"> {
  readonly plan: Pick<CommissionPlan, "label" | "keyTypes" | "encoding" | "crlPem" | "trustedIdentities">;
}

/** The part of a commissioning that makes and brings certificates: what is made lives in the pending configuration. */
export class CertificateWork {
  readonly #options: CertificateWish;
  readonly #host: string;
  /** Files of different attempts must not have the same name. */
  readonly #suffix = randomBytes(3).toString("hex");
  readonly #makings: Making[] = [];
  #encoding: PushEncoding = "pem";
  #crlFile: number | undefined;
  readonly #identityFiles: number[] = [];

  constructor(options: CertificateWish, host: string) {
    this.#options = options;
    this.#host = host;
  }

  /** The certificates that were issued, in certificate mode; the first is the one to name where there is room for one. */
  get issued(): readonly Certificate[] {
    return this.#makings.flatMap(({ chain }) => chain?.slice(0, 1) ?? []);
  }

  /** Paths of the Certificate Management instances; none in pre-shared key mode. */
  get instancePaths(): readonly (readonly Segment[])[] {
    return this.#makings.map(({ instance }) => objectPath(CertificateManagement.classId, instance));
  }

  get crlPaths(): readonly (readonly Segment[])[] {
    return this.#crlFile === undefined ? [] : [objectPath(FileObject.classId, this.#crlFile)];
  }

  get identityPaths(): readonly (readonly Segment[])[] {
    return this.#identityFiles.map((instance) => objectPath(FileObject.classId, instance));
  }

  /** @throws {UsageError} `usage/state` when the device takes neither PEM nor PKCS#7, or not what the plan asks for. */
  async create(session: Session, undo: Undo[]): Promise<void> {
    const { label, keyTypes = [undefined] } = this.#options.plan;
    const management = session.class(CertificateManagement);
    await this.#chooseEncoding(session);
    for (const keyType of keyTypes) {
      const kind = keyTypes.length > 1 ? `-${keyType}` : "";
      const instance = await management.call("create", `${label}${kind}-${this.#suffix}`);
      undo.push(() => session.object(CertificateManagement, instance).call("delete"));
      this.#makings.push({ keyType, instance });
    }
  }

  /**
   * The requests carry the address that we reach the device by, so that its certificate can be checked against it.
   *
   * @throws {UsageError} `usage/state` when the device makes another type of key than the plan needs.
   */
  async request(session: Session, signal: AbortSignal): Promise<void> {
    for (const making of this.#makings) {
      if (making.keyType !== undefined) await preferKeyType(session, making.keyType);
      const bytes = await this.#requestOne(session, making.instance, signal);
      // Parsing proves that the device holds the key, before an authority is asked.
      const csr = parseCsr(bytes);
      const { type } = keyFacts(csr.publicKey);
      if (making.keyType !== undefined && type !== making.keyType)
        throw new UsageError("usage/state", `the device makes keys of ${type}, and not of ${making.keyType}`, {
          facts: { wanted: making.keyType, made: type },
          fix: "Leave out the key types of the plan, or this one.",
        });
      making.csrPem = csr.pem;
    }
  }

  async sign(context: { readonly identity: IssueContext["identity"] }): Promise<void> {
    const { issue } = this.#options;
    for (const making of this.#makings) {
      if (issue === undefined || making.csrPem === undefined)
        throw new UsageError("usage/state", "there is no request to sign");
      const pem = await issue(making.csrPem, { host: this.#host, identity: context.identity });
      making.chain = parseCertificates(pem.certificatePem);
      making.authorities = parseCertificates(pem.caChainPem);
    }
  }

  async install(session: Session, undo: Undo[], signal: AbortSignal): Promise<void> {
    // The same authorities stand in one file, whatever number of certificates they issued.
    const authorityFiles = new Map<string, number>();
    for (const { keyType, instance, chain, authorities } of this.#makings) {
      if (chain === undefined || authorities === undefined)
        throw new UsageError("usage/state", "there is no certificate to install");
      const kind = this.#makings.length > 1 ? `-${keyType}` : "";
      const device = await this.#put(session, `device${kind}`, certificateFile(chain, this.#encoding), undo, signal);
      const key = authorities.map(({ facts }) => facts.sha256).join();
      const authority =
        authorityFiles.get(key) ??
        (await this.#put(session, `ca${kind}`, certificateFile(authorities, this.#encoding), undo, signal));
      authorityFiles.set(key, authority);
      const object = session.object(CertificateManagement, instance);
      await object.set("deviceCertificate", { status: 0, path: objectPath(FileObject.classId, device) });
      await object.set("caCertificate", { status: 0, path: objectPath(FileObject.classId, authority) });
    }
  }

  /** @throws {PeerError} `cip/status` 0xD0 when the device finds a certificate bad; `cip/mismatch` when its state says so. */
  async verify(session: Session): Promise<void> {
    for (const { instance } of this.#makings) {
      const object = session.object(CertificateManagement, instance);
      await object.call("verifyCertificate", VerifyTarget.deviceCertificate);
      await object.call("verifyCertificate", VerifyTarget.caCertificate);
      const state = await object.get("state");
      if (state !== CertificateState.verified)
        throw new PeerError(
          "cip/mismatch",
          `the device has checked both certificates, and says ${certificateStateText(state)}`,
          {
            facts: { state },
            fix: "Check that the authority's certificate is that of the issuer, and the device's clock.",
          },
        );
    }
  }

  async lists(session: Session, undo: Undo[], signal: AbortSignal): Promise<void> {
    const { crlPem, trustedIdentities = [] } = this.#options.plan;
    if (this.#makings.length === 0) await this.#chooseEncoding(session);
    if (crlPem !== undefined)
      this.#crlFile = await this.#put(session, "crl", crlFile(crlPem, this.#encoding), undo, signal);
    for (const [i, pem] of trustedIdentities.entries()) {
      const file = certificateFile(parseCertificates(pem), this.#encoding);
      this.#identityFiles.push(await this.#put(session, `peer${i}`, file, undo, signal));
    }
  }

  async #chooseEncoding(session: Session): Promise<void> {
    const flags = await session.class(CertificateManagement).get("encodings");
    this.#encoding = chooseEncoding(flags, this.#options.plan.encoding);
  }

  async #requestOne(session: Session, instance: number, signal: AbortSignal): Promise<Uint8Array> {
    const kind = isIP(this.#host) === 0 ? "dNSName" : "iPAddress";
    const subjectAltName = decode(SHORT_STRING, encode(AlternativeNames, [{ kind, value: this.#host }]));
    // Making a key takes a small device some time.
    const path = await session.object(CertificateManagement, instance).call(
      "createCsr",
      {
        commonName: "",
        organization: "",
        organizationalUnit: "",
        locality: "",
        state: "",
        country: "",
        email: "",
        serialNumber: "",
        subjectAltName,
      },
      { timeoutMs: 30_000, signal },
    );
    const file = destination(path);
    if (file === undefined || file.classId !== FileObject.classId)
      throw new PeerError("cip/mismatch", "Create_CSR: the device answers with a path that is no file");
    return readFile(session, file.instance, { maxOctets: 64 * 1024, signal });
  }

  async #put(
    session: Session,
    what: string,
    { encoding, octets }: PushedFile,
    undo: Undo[],
    signal: AbortSignal,
  ): Promise<number> {
    const name = `${this.#options.plan.label}-${what}-${this.#suffix}`;
    const instance = await putFile(session, name, encoding, octets, { signal });
    undo.push(() => session.object(FileObject, instance).call("delete"));
    return instance;
  }
}

/**
 * Create_CSR has no field for the type of the key: a device that can make several goes by the suites that are allowed at that
 * moment. The plan's own follow later.
 *
 * @throws {UsageError} `usage/state` when the device has no suite for this type of key.
 * @see docs/decisions/012-push-choices.md
 */
async function preferKeyType(session: Session, type: KeyType): Promise<void> {
  const object = session.object(EtherNetIpSecurity, 1);
  const available = await object.get("availableCipherSuites");
  const fitting = available.filter((id) => cipherSuite(id)?.auth === type);
  if (fitting.length === 0)
    throw new UsageError("usage/state", `the device has no cipher suite for a certificate with a key of ${type}`, {
      facts: { wanted: type },
      fix: "Leave out the key types of the plan, or this one.",
    });
  await object.set("allowedCipherSuites", fitting);
}
