import type { Codec } from "./codec.ts";
import { WireError } from "./errors.ts";

/** What an originator expects the device at the end of a path to be; 0 in a field means "any". */
export interface Key {
  readonly vendorId: number;
  readonly deviceType: number;
  readonly productCode: number;
  /** Set when the device may emulate an older revision. */
  readonly compatibility: boolean;
  /** 0 to 127. */
  readonly majorRevision: number;
  readonly minorRevision: number;
  /** Present in key format 5 only. */
  readonly serialNumber?: number;
}

/**
 * Electronic key behind its segment type octet 0x34: format 4, or format 5 with a serial number.
 *
 * @throws {WireError} `wire/segment` for any other key format; `wire/value` for a major revision above 127.
 * @see CIP Vol 1, appendix C-1.4.2; reference ethernet-ip.md 3.6
 */
export const ElectronicKey: Codec<Key> = {
  type: "electronic key",
  read(r) {
    const format = r.u8("key format");
    if (format !== 4 && format !== 5) {
      throw new WireError("wire/segment", `electronic key: format ${format} is not 4 or 5`, { facts: { format } });
    }
    const vendorId = r.u16("vendor id");
    const deviceType = r.u16("device type");
    const productCode = r.u16("product code");
    const major = r.u8("major revision");
    const minorRevision = r.u8("minor revision");
    const key = {
      vendorId,
      deviceType,
      productCode,
      compatibility: (major & 0x80) !== 0,
      majorRevision: major & 0x7f,
      minorRevision,
    };
    return format === 5 ? { ...key, serialNumber: r.u32("serial number") } : key;
  },
  write(w, key) {
    if (key.majorRevision > 0x7f) {
      throw new WireError("wire/value", `electronic key: major revision ${key.majorRevision} is above 127`, {
        facts: { majorRevision: key.majorRevision },
      });
    }
    w.u8(key.serialNumber === undefined ? 4 : 5);
    w.u16(key.vendorId);
    w.u16(key.deviceType);
    w.u16(key.productCode);
    w.u8((key.compatibility ? 0x80 : 0) | key.majorRevision);
    w.u8(key.minorRevision);
    if (key.serialNumber !== undefined) w.u32(key.serialNumber);
  },
};
