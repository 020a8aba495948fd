import { CipSecurityState, EtherNetIpSecurityState, isStackError, TrustError, UsageError } from "@cipsec/wire";
import { CipSecurity, EtherNetIpSecurity } from "@cipsec/objects";
import { Port, formatTarget, type TargetAddress } from "./address.ts";
import { connect, type ConnectOptions } from "./connect.ts";
import type { IdentityReport } from "./device-report.ts";
import { identify } from "./identify.ts";
import { isPortOpen } from "./probe.ts";
import type { Session } from "./session.ts";
import type { AcceptedPeer, SecurityOptions } from "./trust.ts";
import { judgeVendorIdentity, unverifiedVendor, type VendorIdentity } from "./vendor-identity.ts";
import type { Certificate } from "@cipsec/pki";

/** How a device that nobody has commissioned yet may be talked to. */
export interface FirstContact {
  /** Accept the certificate that the device has from the factory. Without it only trusted devices are configured. */
  readonly acceptAny?: boolean;
  /** Accept a connection without protection, for devices without a secure port at factory default. */
  readonly allowPlain?: boolean;
  /** Roots of device makers; tells whether one of them vouches for the factory certificate. */
  readonly vendorAnchors?: readonly Certificate[];
  /** One of them has to, for this very device: then its factory certificate is accepted without {@link FirstContact.acceptAny}. */
  readonly requireVendor?: boolean;
  /** Called with the factory certificate that was accepted. */
  readonly announce?: (accepted: AcceptedPeer) => void;
}

/** Options of connections without what commissioning sets itself. */
export type PlainConnectOptions = Omit<ConnectOptions, "security" | "requireSecure" | "signal">;

/** States of both security objects. */
export interface SecurityStates {
  readonly cipState: number;
  readonly ethernetIpState: number;
}

/**
 * Opens the session that a device is commissioned over: as the plant trusts it where that works already, else by its factory
 * certificate, else without protection, as far as each is allowed.
 *
 * @throws the error of the strictest way that could be tried, when none works.
 * @throws {TrustError} `trust/refused` when a device is configured, but not by those whom we trust.
 */
export async function firstContact(
  target: TargetAddress,
  security: SecurityOptions,
  contact: FirstContact,
  options: PlainConnectOptions,
  signal?: AbortSignal,
): Promise<Session> {
  const common = { ...options, ...(signal === undefined ? {} : { signal }) };
  const secure: TargetAddress = {
    scheme: "eips",
    host: target.host,
    port: target.scheme === "eip" ? Port.eips : (target.port ?? Port.eips),
  };
  const isSecureOpen =
    target.scheme === "eip" ? false : await isPortOpen(target.host, secure.port ?? Port.eips, 2000, signal);
  if (!isSecureOpen) return plainContact(target, contact, common);
  try {
    return await connect(secure, { ...common, security });
  } catch (error) {
    const mayBeNew = contact.acceptAny === true || contact.requireVendor === true;
    if (!mayBeNew || !isRefusedIdentity(error)) throw error;
    return factoryContact(secure, security, contact, common, error);
  }
}

/**
 * Verifies the vendor's identity of the device behind a session, as far as the caller asks for it; before anything is written.
 *
 * @throws {TrustError} `trust/counterfeit` also where a vendor is named and not required; `trust/refused` only where one is.
 */
export async function checkVendor(
  session: Session,
  { host }: TargetAddress,
  { vendorAnchors, requireVendor = false, security: { crls } }: FirstContact & { readonly security: SecurityOptions },
  identity: IdentityReport,
  signal?: AbortSignal,
): Promise<VendorIdentity> {
  if (vendorAnchors === undefined) return unverifiedVendor(session);
  const announced = await identify(host, signal === undefined ? {} : { signal });
  const verdict = await judgeVendorIdentity(session, {
    anchors: vendorAnchors,
    identity,
    ...(announced === undefined ? {} : { announced }),
    ...(crls === undefined ? {} : { crls }),
  });
  const { refusal } = verdict;
  if (refusal !== undefined && (requireVendor || refusal.code === "trust/counterfeit")) throw refusal;
  return verdict.identity;
}

/** Reads the states of both objects. */
export async function readStates(session: Session): Promise<SecurityStates> {
  const [cipState, ethernetIpState] = await Promise.all([
    session.object(CipSecurity, 1).get("state"),
    session.object(EtherNetIpSecurity, 1).get("state"),
  ]);
  return { cipState, ethernetIpState };
}

async function plainContact(target: TargetAddress, contact: FirstContact, options: ConnectOptions): Promise<Session> {
  if (contact.allowPlain !== true)
    throw new UsageError(
      "usage/state",
      `${formatTarget(target)}: its secure port is closed, and an unprotected commissioning is not allowed`,
      {
        fix: "Allow it explicitly on a network that you trust: write eip:// before the address.",
      },
    );
  const port = target.scheme === "eip" ? (target.port ?? Port.eip) : Port.eip;
  return connect({ scheme: "eip", host: target.host, port }, options);
}

/** A session with a device by whatever certificate it has: for the factory certificate and nothing else. */
async function factoryContact(
  secure: TargetAddress,
  security: SecurityOptions,
  contact: FirstContact,
  options: ConnectOptions,
  refusal: unknown,
): Promise<Session> {
  // Suites of the plan may be others than those of the factory; a key of the plan is not in the device yet.
  const { psk: _, suites: __, pinned: ___, ...rest } = security;
  const session = await connect(secure, {
    ...options,
    security: {
      ...rest,
      acceptAny: true,
      ...(contact.vendorAnchors === undefined ? {} : { vendorAnchors: contact.vendorAnchors }),
      // A vendor that is required is named in the result, or refused.
      ...(contact.announce === undefined || contact.acceptAny !== true ? {} : { announce: contact.announce }),
    },
  });
  try {
    const { cipState, ethernetIpState } = await readStates(session);
    const { configured, pullCompleted } = EtherNetIpSecurityState;
    const isConfigured =
      cipState === CipSecurityState.configured || ethernetIpState === configured || ethernetIpState === pullCompleted;
    if (!isConfigured) return session;
    throw new TrustError("trust/refused", `${formatTarget(secure)}: the device is configured, but not for us`, {
      cause: refusal,
      fix: "Connect with the authority that commissioned it, or reset it to factory default at the device.",
    });
  } catch (error) {
    await session.close();
    throw error;
  }
}

/** Whether the strict connection failed over who somebody is or what both speak, not over the network. */
function isRefusedIdentity(error: unknown): boolean {
  return isStackError(error) && (error.code.startsWith("trust/") || error.code.startsWith("tls/"));
}
