/** A block device that is mounted somewhere. */
export interface MountedDevice {
  readonly name: string;
  readonly mountpoint: string;
  /** Whether it, or something that it lies in, is a LUKS container. */
  readonly isEncrypted: boolean;
}

/** Devices nest: partitions in disks, volumes in containers; more levels than these are no real machine's. */
const maxDepth = 12;

/** Output of `lsblk --json` with `NAME,TYPE,FSTYPE,MOUNTPOINT`; nothing when it is something else. */
export function parseBlockDevices(text: string): readonly MountedDevice[] | undefined {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch {
    return undefined;
  }
  const list = field(read, "blockdevices");
  return Array.isArray(list) ? list.flatMap((device) => mounted(device, false, 0)) : undefined;
}

function mounted(device: unknown, inEncrypted: boolean, depth: number): readonly MountedDevice[] {
  if (depth > maxDepth) return [];
  const isEncrypted = inEncrypted || field(device, "fstype") === "crypto_LUKS" || field(device, "type") === "crypt";
  const [name, mountpoint, children] = [field(device, "name"), field(device, "mountpoint"), field(device, "children")];
  const own = typeof mountpoint === "string" && typeof name === "string" ? [{ name, mountpoint, isEncrypted }] : [];
  const below = Array.isArray(children) ? children.flatMap((child) => mounted(child, isEncrypted, depth + 1)) : [];
  return [...own, ...below];
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null
    ? new Map<string, unknown>(Object.entries(value)).get(name)
    : undefined;
}
