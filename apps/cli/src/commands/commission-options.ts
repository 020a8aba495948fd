import type { FirstContact, VendorIdentity } from "@cipsec/originator";
import { parseCertificates } from "@cipsec/pki";
import { UsageError } from "@cipsec/wire";
import { textOption, type Context } from "../command.ts";
import { readInput } from "../data-folder.ts";
import { printable } from "../output.ts";

type Options = Readonly<Record<string, unknown>>;

/** Roots of device makers, and whether one of them has to vouch for the device. */
export async function vendorOf(options: Options): Promise<Pick<FirstContact, "vendorAnchors" | "requireVendor">> {
  const [required, told] = [textOption(options, "vendor"), textOption(options, "vendorCa")];
  if (required !== undefined && told !== undefined)
    throw new UsageError("usage/argument", "--vendor and --vendor-ca exclude each other", {
      fix: "Take --vendor: it refuses what --vendor-ca only tells.",
    });
  const file = required ?? told;
  if (file === undefined) return {};
  return { vendorAnchors: parseCertificates(await readInput(file)), requireVendor: required !== undefined };
}

/** Says what is known of the maker's word for a device. */
export function sayVendor({ output }: Context, { verified, serialNumber, vendor, reason }: VendorIdentity): void {
  const words = verified
    ? `Its maker vouches for it: ${vendor ?? ""}, serial number ${serialNumber ?? ""}.`
    : `The vendor's identity was not verified: ${reason ?? ""}.`;
  output.say(printable(words));
}

/** Options of connections without what commissioning sets itself. */
export function withoutSecurity<T extends { security?: unknown; requireSecure?: unknown; signal?: unknown }>({
  security: _,
  requireSecure: __,
  signal: ___,
  ...rest
}: T): Omit<T, "security" | "requireSecure" | "signal"> {
  return rest;
}
