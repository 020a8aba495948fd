import { randomBytes } from "node:crypto";
import { isIP } from "node:net";
import { CertificateManagement, FileEncoding, FileObject, VerifyTarget } from "@cipsec/objects";
import { parseCertificates, parseCsr, toPem, type Certificate } from "@cipsec/pki";
import {
  AlternativeNames,
  CertificateState,
  certificateStateText,
  decode,
  encode,
  objectPath,
  PeerError,
  type Segment,
  SHORT_STRING,
  UsageError,
} from "@cipsec/wire";
import type { Undo } from "./commission-run.ts";
import type { CommissionOptions, IssueContext, IssuedPem } from "./commission.ts";
import { putFile, readFile } from "./file.ts";
import type { Session } from "./session.ts";
import { destination } from "./settings.ts";

/** The part of a commissioning that makes and brings certificates: what is made lives in the pending configuration. */
export class CertificateWork {
  readonly #options: CommissionOptions;
  readonly #host: string;
  /** Files of different attempts must not have the same name. */
  readonly #suffix = randomBytes(3).toString("hex");
  #instance: number | undefined;
  #csrPem: string | undefined;
  #pem: IssuedPem | undefined;
  #certificate: Certificate | undefined;
  #crlFile: number | undefined;
  readonly #identityFiles: number[] = [];

  constructor(options: CommissionOptions, host: string) {
    this.#options = options;
    this.#host = host;
  }

  /** The certificate that was issued, in certificate mode. */
  get issued(): Certificate | undefined {
    return this.#certificate;
  }

  /** Path of the Certificate Management instance, in certificate mode. */
  get instancePath(): readonly Segment[] | undefined {
    return this.#instance === undefined ? undefined : objectPath(CertificateManagement.classId, this.#instance);
  }

  get crlPaths(): readonly (readonly Segment[])[] {
    return this.#crlFile === undefined ? [] : [objectPath(FileObject.classId, this.#crlFile)];
  }

  get identityPaths(): readonly (readonly Segment[])[] {
    return this.#identityFiles.map((instance) => objectPath(FileObject.classId, instance));
  }

  /** @throws {UsageError} `usage/state` when the device does not take PEM. */
  async create(session: Session, undo: Undo[]): Promise<void> {
    const management = session.class(CertificateManagement);
    const encodings = await management.get("encodings");
    if ((encodings & CertificateManagement.classAttributes.encodings.values.pem) === 0)
      throw new UsageError("usage/state", "the device takes certificates as PKCS#7 only, which is not supported");
    const instance = await management.call("create", `${this.#options.plan.label}-${this.#suffix}`);
    undo.push(() => session.object(CertificateManagement, instance).call("delete"));
    this.#instance = instance;
  }

  /** The request carries the address that we reach the device by, so that its certificate can be checked against it. */
  async request(session: Session, signal: AbortSignal): Promise<void> {
    const kind = isIP(this.#host) === 0 ? "dNSName" : "iPAddress";
    const subjectAltName = decode(SHORT_STRING, encode(AlternativeNames, [{ kind, value: this.#host }]));
    // Making a key takes a small device some time.
    const path = await session.object(CertificateManagement, this.#made()).call(
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
    const bytes = await readFile(session, file.instance, { maxOctets: 64 * 1024, signal });
    // Parsing proves that the device holds the key, before an authority is asked.
    this.#csrPem = parseCsr(bytes).pem;
  }

  async sign(context: { readonly identity: IssueContext["identity"] }): Promise<void> {
    const { issue } = this.#options;
    if (issue === undefined || this.#csrPem === undefined)
      throw new UsageError("usage/state", "there is no request to sign");
    const pem = await issue(this.#csrPem, { host: this.#host, identity: context.identity });
    const [certificate] = parseCertificates(pem.certificatePem);
    const chain = parseCertificates(pem.caChainPem);
    this.#certificate = certificate;
    this.#pem = { certificatePem: pem.certificatePem, caChainPem: toPem(chain) };
  }

  async install(session: Session, undo: Undo[], signal: AbortSignal): Promise<void> {
    if (this.#pem === undefined) throw new UsageError("usage/state", "there is no certificate to install");
    const object = session.object(CertificateManagement, this.#made());
    const device = await this.#put(
      session,
      "device",
      FileEncoding.pemCertificate,
      this.#pem.certificatePem,
      undo,
      signal,
    );
    const authority = await this.#put(session, "ca", FileEncoding.pemCertificate, this.#pem.caChainPem, undo, signal);
    await object.set("deviceCertificate", { status: 0, path: objectPath(FileObject.classId, device) });
    await object.set("caCertificate", { status: 0, path: objectPath(FileObject.classId, authority) });
  }

  /** @throws {PeerError} `cip/status` 0xD0 when the device finds a certificate bad; `cip/mismatch` when its state says so. */
  async verify(session: Session): Promise<void> {
    const object = session.object(CertificateManagement, this.#made());
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

  async lists(session: Session, undo: Undo[], signal: AbortSignal): Promise<void> {
    const { crlPem, trustedIdentities = [] } = this.#options.plan;
    if (crlPem !== undefined)
      this.#crlFile = await this.#put(session, "crl", FileEncoding.pemCrl, crlPem, undo, signal);
    for (const [i, pem] of trustedIdentities.entries())
      this.#identityFiles.push(await this.#put(session, `peer${i}`, FileEncoding.pemCertificate, pem, undo, signal));
  }

  async #put(
    session: Session,
    what: string,
    encoding: number,
    pem: string,
    undo: Undo[],
    signal: AbortSignal,
  ): Promise<number> {
    const name = `${this.#options.plan.label}-${what}-${this.#suffix}`;
    const instance = await putFile(session, name, encoding, new TextEncoder().encode(pem), { signal });
    undo.push(() => session.object(FileObject, instance).call("delete"));
    return instance;
  }

  #made(): number {
    if (this.#instance === undefined) throw new UsageError("usage/state", "no certificate instance has been made");
    return this.#instance;
  }
}
