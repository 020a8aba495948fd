import { decode, list, mapped, optional, struct, type Codec } from "./codec.ts";
import type { Reader, Writer } from "./cursor.ts";
import { COUNTED_EPATH, type Segment } from "./epath.ts";
import { WireError } from "./errors.ts";
import { BOOL, BYTE, DWORD, SHORT_STRING, UDINT, UINT, USINT, WORD } from "./types.ts";

/*
 * Layouts of the security objects in every edition that is known. Source: CIP Vol 8, chapter 5; reference cip-security.md 3.
 */

/** A cipher suite by its IANA number, first octet first on the wire: 0xC02B travels as C0 2B. */
export const CipherSuiteId: Codec<number> = {
  type: "USINT[2]",
  read: (r) => r.u16be("cipher suite"),
  write: (w, v) => w.u16be(v),
};

/** Suites that IANA knows for TLS 1.2 and 1.3 number some 350, but the count is one octet. */
export const CipherSuiteList: Codec<readonly number[]> = list(USINT, CipherSuiteId, 255);

/** Paths to certificates, authorities, identities; each behind its word count. */
export const PathList: Codec<readonly (readonly Segment[])[]> = list(USINT, COUNTED_EPATH, 64);

/**
 * Certificate Revocation List of EtherNet/IP Security: old editions hold one path, newer ones a list. Reads both, writes the list.
 * Octet 0 = 0 is empty in both; octet 1 = a class segment (0x20, 0x21) means one path of that many words.
 *
 * @see reference cip-security.md 9, row 4
 */
export const CrlPaths: Codec<readonly (readonly Segment[])[]> = {
  type: "path list",
  read: (r) => (isSinglePath(r) ? [COUNTED_EPATH.read(r)] : PathList.read(r)),
  write: (w, paths) => PathList.write(w, paths),
};

/** The old form of {@link CrlPaths}: no path or exactly one. @throws {WireError} `wire/length` for more than one. */
export const CrlPathOld: Codec<readonly (readonly Segment[])[]> = {
  type: "path",
  read: (r) => {
    const path = COUNTED_EPATH.read(r);
    return path.length === 0 ? [] : [path];
  },
  write(w, paths) {
    if (paths.length > 1)
      throw new WireError("wire/length", `CRL: ${paths.length} paths given, the old form holds one`, {
        facts: { given: paths.length },
      });
    COUNTED_EPATH.write(w, paths[0] ?? []);
  },
};

/** A pre-shared key. `usage`: 0 as server, 1 as client, 2 both. Reading from a device gives an empty key. */
export interface PreSharedKey {
  readonly identity: Uint8Array;
  readonly key: Uint8Array;
  readonly usage: number;
}

/** Usage values of {@link PreSharedKey}. */
export const PskUsage = { server: 0, client: 1, any: 2 } as const;

/** Octets of an identity, and of a key. @see reference cip-security.md 2.4 */
export const maxPskIdentity = 128;
export const maxPskKey = 64;
const maxPsks = 32;

/** Keys in the newer form, each followed by its usage. */
export const PskListNew: Codec<readonly PreSharedKey[]> = list(USINT, pskEntry(true), maxPsks);

/** Keys in the old form, without a usage; it reads as "both". */
export const PskListOld: Codec<readonly PreSharedKey[]> = list(USINT, pskEntry(false), maxPsks);

/**
 * Pre-Shared Keys of EtherNet/IP Security in either form; fills the octets it is given. Writes the newer form.
 *
 * @throws {WireError} from the newer form when neither fits.
 * @see reference cip-security.md 3.2
 */
export const PskList: Codec<readonly PreSharedKey[]> = {
  type: "PSK list",
  read(r) {
    const bytes = r.rest();
    try {
      return decode(PskListNew, bytes);
    } catch (error) {
      return decodeOldOr(bytes, error);
    }
  },
  write: (w, keys) => PskListNew.write(w, keys),
};

/** A certificate of a Certificate Management instance: its status and the path of its File instance (empty: none yet). */
export interface CertificateSlot {
  /** 0 not verified, 1 verified, 2 invalid. */
  readonly status: number;
  readonly path: readonly Segment[];
}

/** Attributes 3 and 4 of Certificate Management. */
export const CertificateSlot: Codec<CertificateSlot> = struct("USINT status, path", {
  status: USINT,
  path: COUNTED_EPATH,
});

/** Class attribute 9 of Certificate Management: every instance by name. */
export const CertificateDirectory = list(USINT, struct("certificate", { name: SHORT_STRING, path: COUNTED_EPATH }), 64);

/** Request of Create_CSR; the ninth field came with a later edition. Empty fields take the device's defaults. */
export const CreateCsrRequest = struct("Create_CSR request", {
  commonName: SHORT_STRING,
  organization: SHORT_STRING,
  organizationalUnit: SHORT_STRING,
  locality: SHORT_STRING,
  state: SHORT_STRING,
  country: SHORT_STRING,
  email: SHORT_STRING,
  serialNumber: SHORT_STRING,
  subjectAltName: optional(SHORT_STRING),
});

/** Request of Apply_Config. Bit 0 of the flags closes existing connections after the delay (ms), bit 1 cleans up orphans. */
export const ApplyConfigRequest: Codec<{ readonly flags: number; readonly closeDelayMs: number } | undefined> =
  optional(struct("Apply_Config request", { flags: WORD, closeDelayMs: UINT }));

/** Bits of the Apply_Config flags. */
export const ApplyFlag = { closeConnections: 0x0001, objectCleanup: 0x0002 } as const;

/** Class attribute 4 of CIP Security: which roles (bit mask) a service of a class needs. @see reference cip-security.md 3.1 */
export const ObjectAuthorization = list(
  UINT,
  struct("authorization", { classId: UDINT, service: USINT, reserved: BYTE, roles: DWORD }),
  1024,
);

/** Attribute 14 of the TCP/IP Interface: ports, with IP protocol (6 TCP, 17 UDP), whether open, and capability (bit 0 configurable, bit 1 reset required). */
export const PortAdminList = list(
  USINT,
  struct("port", { name: SHORT_STRING, port: UINT, protocol: USINT, open: BOOL, capability: BYTE }),
  32,
);

/** Request of Set_Port_Admin_State. */
export const SetPortAdminRequest = list(USINT, struct("port state", { port: UINT, protocol: USINT, open: BOOL }), 32);

/** Attribute 15 of the TCP/IP Interface, in the layout that this stack proposes; no public source has one. */
export const ProtocolAdminList = list(
  USINT,
  struct("protocol", { name: SHORT_STRING, protocol: USINT, open: BOOL, capability: BYTE }),
  32,
);

/** Ranges of ports that ingress rules may name. */
export const PortRanges = list(UINT, struct("port range", { low: UINT, high: UINT }), 64);

/** Rules of the Ingress Egress Object: text, one rule each. */
export const RuleList = list(UINT, SHORT_STRING, 256);

/** Request of Set_Rules. @see reference cip-security.md 3.6 */
export const SetRulesRequest = struct("Set_Rules request", {
  changeCount: UDINT,
  behaviour: DWORD,
  rules: list(UINT, struct("rule set", { instance: UINT, ingress: RuleList, egress: RuleList }), 16),
});

/** Text lines `dNSName=…`, `iPAddress=…`, `URI=…` of the Create_CSR subject alternative name. */
export const AlternativeNames: Codec<readonly { readonly kind: string; readonly value: string }[]> = mapped(
  "SHORT_STRING",
  SHORT_STRING,
  (text) =>
    text
      .split("\n")
      .filter((line) => line.length > 0)
      .map(alternativeName),
  (names) => names.map(alternativeLine).join("\n"),
);

/** One line; a line break inside would smuggle in another name. */
function alternativeLine({ kind, value }: { readonly kind: string; readonly value: string }): string {
  if (kind === "" || /[=\n]/u.test(kind) || value.includes("\n"))
    throw new WireError("wire/value", "subject alternative name: a kind holds no '=', and nothing a line break", {
      facts: { kind: kind.length, value: value.length },
    });
  return `${kind}=${value}`;
}

function alternativeName(line: string): { kind: string; value: string } {
  const at = line.indexOf("=");
  if (at < 1)
    throw new WireError("wire/value", "subject alternative name: each line must be dNSName=…, iPAddress=… or URI=…", {
      facts: { length: line.length },
    });
  return { kind: line.slice(0, at), value: line.slice(at + 1) };
}

function pskEntry(hasUsage: boolean): Codec<PreSharedKey> {
  return {
    type: "PSK",
    read(r: Reader) {
      const identity = r.octets(r.u8("PSK identity size", maxPskIdentity), "PSK identity");
      const key = r.octets(r.u8("PSK size", maxPskKey), "PSK");
      return { identity, key, usage: hasUsage ? pskUsage(r.u8("PSK usage")) : PskUsage.any };
    },
    write(w: Writer, { identity, key, usage }) {
      bounded("PSK identity", identity, maxPskIdentity);
      bounded("PSK", key, maxPskKey);
      w.u8(identity.length);
      w.octets(identity);
      w.u8(key.length);
      w.octets(key);
      if (hasUsage) w.u8(pskUsage(usage));
    },
  };
}

function pskUsage(usage: number): number {
  if (usage > PskUsage.any) throw new WireError("wire/value", `PSK usage ${usage} is not 0 to 2`, { facts: { usage } });
  return usage;
}

function decodeOldOr(bytes: Uint8Array, error: unknown): readonly PreSharedKey[] {
  try {
    return decode(PskListOld, bytes);
  } catch {
    throw error;
  }
}

function bounded(field: string, bytes: Uint8Array, max: number): void {
  if (bytes.length > max)
    throw new WireError("wire/length", `${field}: ${bytes.length} octets are above the bound of ${max}`, {
      facts: { field, length: bytes.length, max },
    });
}

function isSinglePath(r: Reader): boolean {
  return r.peek() !== 0 && (r.peek(1) === 0x20 || r.peek(1) === 0x21);
}
