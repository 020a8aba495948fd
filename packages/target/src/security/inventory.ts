import type { KeyObject } from "node:crypto";
import {
  completeChain,
  keyType,
  parseCertificates,
  parseCrls,
  samePublicKey,
  toPem,
  type Certificate,
  type Crl,
} from "@cipsec/pki";
import { CertificateManagement, FileEncoding } from "@cipsec/objects";
import { CertificateStatus, type InternationalText } from "@cipsec/wire";
import {
  defaultCertificateInstance,
  type CertificateEntry,
  type Configuration,
  type FileEntry,
  type Reference,
} from "./configuration.ts";
import type { KeyRing } from "./key-ring.ts";

/** Numbers of the File instances that are always there: the EDS, and the default certificate with its authority. */
export const FixedFile = { eds: 0xc8, defaultCertificate: 0x100, defaultAuthority: 0x101 } as const;

/** The default device certificate: leaf first, then what the vendor gave with it. */
export interface DefaultCertificate {
  readonly chain: readonly Certificate[];
  readonly key: KeyObject;
}

/** A certificate that the device can present. */
export interface OwnCertificate {
  readonly chain: readonly Certificate[];
  readonly key: KeyObject;
}

/**
 * What a device has beside its configuration, and the one view of both: fixed and made instances look the same from here.
 * A file that is empty or not what it should be gives nothing, never an error: who asks decides what that means.
 */
export class Inventory {
  readonly fixedFiles: ReadonlyMap<number, FileEntry>;
  readonly defaultCertificate: DefaultCertificate;
  readonly #defaultEntry: CertificateEntry;
  readonly #keys: KeyRing;
  /** A large list takes a while to read, and Apply_Config and the policy after it look at the same octets. */
  readonly #crls = new WeakMap<Uint8Array, readonly Crl[]>();

  constructor(defaultCertificate: DefaultCertificate, keys: KeyRing, eds: Uint8Array | undefined) {
    this.defaultCertificate = defaultCertificate;
    this.#keys = keys;
    const [leaf, ...authorities] = defaultCertificate.chain;
    this.fixedFiles = new Map([
      ...(eds === undefined
        ? []
        : [[FixedFile.eds, fixedFile("EDS and Icon Files", FileEncoding.binary, eds)] as const]),
      ...fixedCertificate(FixedFile.defaultCertificate, "Default Device Certificate", leaf === undefined ? [] : [leaf]),
      ...fixedCertificate(FixedFile.defaultAuthority, "Default CA Certificate", authorities),
    ]);
    const verified = CertificateStatus.verified;
    this.#defaultEntry = {
      name: "Default Device Certificate",
      requested: false,
      device: { status: verified, file: FixedFile.defaultCertificate },
      // A self-signed certificate is its own authority.
      authority: {
        status: verified,
        file: authorities.length === 0 ? FixedFile.defaultCertificate : FixedFile.defaultAuthority,
      },
    };
  }

  /** Ids of all File instances, ascending. */
  fileIds(configuration: Configuration): readonly number[] {
    return [...this.fixedFiles.keys(), ...configuration.files.keys()].sort((a, b) => a - b);
  }

  /** The File instance of this id. */
  file(configuration: Configuration, id: number): FileEntry | undefined {
    return this.fixedFiles.get(id) ?? configuration.files.get(id);
  }

  /** Ids of all Certificate Management instances, ascending. */
  certificateIds(configuration: Configuration): readonly number[] {
    return [defaultCertificateInstance, ...configuration.certificates.keys()].sort((a, b) => a - b);
  }

  /** The Certificate Management instance of this id. */
  certificate(configuration: Configuration, id: number): CertificateEntry | undefined {
    return id === defaultCertificateInstance ? this.#defaultEntry : configuration.certificates.get(id);
  }

  /** Private key of a Certificate Management instance. */
  key(configuration: Configuration, id: number): KeyObject | undefined {
    if (id === defaultCertificateInstance) return this.defaultCertificate.key;
    const name = configuration.certificates.get(id)?.key;
    return name === undefined ? undefined : this.#keys.get(name);
  }

  /** Certificates in a File instance; none when it is not there, empty, or holds something else. */
  certificatesIn(configuration: Configuration, file: number | undefined): readonly Certificate[] {
    const content = file === undefined ? undefined : this.file(configuration, file)?.content;
    if (content === undefined) return [];
    try {
      return parseCertificates(content);
    } catch {
      return [];
    }
  }

  /** Revocation lists in a File instance; none when it is not there, empty, or holds something else. */
  crlsIn(configuration: Configuration, file: number): readonly Crl[] {
    const content = this.file(configuration, file)?.content;
    if (content === undefined) return [];
    const known = this.#crls.get(content) ?? crlsOf(content);
    this.#crls.set(content, known);
    return known;
  }

  /**
   * The certificate of an instance with its key and what stands above it, in the order of a handshake; nothing unless key and
   * certificate are both there and belong together. The files may hold their certificates in any order, as PKCS#7 does, and others
   * beside. Who trusts a root has it: only what leads there is sent.
   */
  own(configuration: Configuration, id: number): OwnCertificate | undefined {
    const entry = this.certificate(configuration, id);
    const key = this.key(configuration, id);
    const held = this.certificatesIn(configuration, entry?.device.file);
    const leaf = key && held.find(({ publicKey }) => samePublicKey(publicKey, key));
    if (leaf === undefined || key === undefined) return undefined;
    return { chain: completeChain(leaf, [...held, ...this.certificatesIn(configuration, entry?.authority.file)]), key };
  }

  /** What the device can present: of the active certificates, the first of each type of key that is whole. */
  active(configuration: Configuration): readonly OwnCertificate[] {
    const found = new Map<string, OwnCertificate>();
    for (const { instance } of configuration.settings.activeDeviceCertificates) {
      const own = this.own(configuration, instance);
      const type = own && keyType(own.key);
      if (own !== undefined && type !== undefined && !found.has(type)) found.set(type, own);
    }
    return [...found.values()];
  }

  /** Certificates of trusted authorities that a reference leads to: a File, or the CA certificate of an instance. */
  authorities(configuration: Configuration, { classId, instance }: Reference): readonly Certificate[] {
    if (classId !== CertificateManagement.classId) return this.certificatesIn(configuration, instance);
    return this.certificatesIn(configuration, this.certificate(configuration, instance)?.authority.file);
  }

  /** Certificate of a trusted peer that a reference leads to: a File, or the device certificate of an instance. */
  identities(configuration: Configuration, { classId, instance }: Reference): readonly Certificate[] {
    const file =
      classId === CertificateManagement.classId ? this.certificate(configuration, instance)?.device.file : instance;
    const held = this.certificatesIn(configuration, file);
    // Its chain may stand beside it, in any order: what is pinned is the peer.
    const peer = held.find(({ facts }) => !facts.isCa) ?? held[0];
    return peer === undefined ? [] : [peer];
  }
}

function crlsOf(content: Uint8Array): readonly Crl[] {
  try {
    return parseCrls(content);
  } catch {
    return [];
  }
}

/** One English text as STRINGI carries it. */
export function english(text: string): readonly InternationalText[] {
  return [{ language: "eng", stringType: 0xd0, characterSet: 4, text }];
}

function fixedCertificate(
  id: number,
  name: string,
  certificates: readonly Certificate[],
): readonly (readonly [number, FileEntry])[] {
  if (certificates.length === 0) return [];
  return [[id, fixedFile(name, FileEncoding.pemCertificate, Buffer.from(toPem(certificates), "latin1"))]];
}

function fixedFile(name: string, encoding: number, content: Uint8Array): FileEntry {
  return {
    name: english(name),
    fileName: english(name),
    encoding,
    formatVersion: 1,
    revision: { major: 1, minor: 1 },
    readOnly: true,
    transferTimeoutS: 10,
    content,
  };
}
