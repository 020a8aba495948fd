import {
  announceEst,
  estPause,
  listenEst,
  localAuthority,
  makeEstService,
  makeKeyPair,
  openRegister,
  type Certificate,
  type CertificateAuthority,
  type EnrolPolicy,
  type EstAuthority,
  type EstEvent,
  type EstServiceOptions,
  type Register,
} from "@cipsec/pki";

/** How the EST server of a lab runs. */
export interface LabEstOptions extends Pick<EstServiceOptions, "vouch" | "limits"> {
  /** Folder of what it remembers. */
  readonly folder: string;
  /** The plant's authority: the server's own certificate is of it. */
  readonly ca: CertificateAuthority;
  /** Who signs for devices; the plant's authority where left out. */
  readonly authority?: EstAuthority;
  /** Whose devices may ask. */
  readonly vendorAnchors: readonly Certificate[];
  /** Who gets what; asked anew for each request. */
  readonly policy: () => EnrolPolicy;
  readonly address: string;
  /** Any free one where left out. */
  readonly port?: number;
  /** Announced by multicast DNS on the interface of `address` alone: the host name, `….local`, and the service type. */
  readonly announce?: { readonly host: string; readonly service: string };
  /** Seconds after which a device that waits for a person asks again. */
  readonly retryAfterS: number;
  readonly now?: () => Date;
  readonly onEvent?: (event: EstEvent) => void;
}

/** An EST server that runs beside a lab's devices. */
export interface LabEst extends AsyncDisposable {
  readonly url: string;
  readonly register: Register;
}

/** Starts an EST server with sockets of its own, and announces it where that is asked for. */
export async function startLabEst(options: LabEstOptions): Promise<LabEst> {
  const { folder, ca, vendorAnchors, policy, address, port = 0, announce, retryAfterS, onEvent } = options;
  const { now = () => new Date(), vouch, limits } = options;
  const register = await openRegister(folder, { now, pause: estPause() });
  const service = makeEstService({
    authority: options.authority ?? localAuthority(ca),
    register,
    policy,
    now,
    retryAfterS,
    callers: { vendorAnchors, realm: "cipsec lab" },
    ...(vouch === undefined ? {} : { vouch }),
    ...(limits === undefined ? {} : { limits }),
    ...(onEvent === undefined ? {} : { onEvent }),
  });
  const identity = await serverIdentity(ca, address, announce?.host);
  const listener = await listenEst(service, { host: address, port, ...identity });
  const announced =
    announce === undefined
      ? undefined
      : announceEst({ ...announce, name: ca.name, address, port: listener.port, interface: address });
  return {
    url: `https://${address}:${listener.port}`,
    register,
    async [Symbol.asyncDispose]() {
      await announced?.close();
      await listener.close();
    },
  };
}

async function serverIdentity(ca: CertificateAuthority, address: string, host: string | undefined) {
  const { publicKey, privateKey } = await makeKeyPair();
  const { chain } = await ca.issue({
    profile: "tool",
    server: true,
    publicKey,
    subject: { organization: ca.name, commonName: "EST server" },
    san: { ip: [address], dns: host === undefined ? [] : [host] },
    days: 3650,
  });
  return { chain, key: privateKey };
}
