import { isIP } from "node:net";
import type { Command } from "commander";
import { commission, decommission, parseTarget, type CommissionPlan } from "@cipsec/originator";
import { crlToPem, parseCsr, toPem, type CertificateAuthority, type KeyType } from "@cipsec/pki";
import { cipherSuite, cipherSuites, UsageError } from "@cipsec/wire";
import { addCommand, addNotes, argument, textOption, wholeNumber, type Context, type Shell } from "../command.ts";
import { addCredentials, announcing, connectOptions, readPsk, securityOf } from "../credentials.ts";
import { commissionPulling } from "./commission-pull.ts";
import { sayVendor, vendorOf, withoutSecurity } from "./commission-options.ts";

/**
 * Suites that a commissioned device allows unless told otherwise: authenticated encryption with forward secrecy; on devices
 * from before that, CBC with forward secrecy.
 */
const defaultSuites = {
  certificate: { suites: [0xc02b, 0xc02c], fallbackSuites: [[0xc023, 0xc024]] },
  psk: { suites: [0xccac], fallbackSuites: [[0xc037]] },
} as const;

/** `commission` brings a device into the plant's trust domain, `decommission` takes it out again. */
export function addCommission(program: Command, shell: Shell): void {
  const commissioning = addCredentials(
    addCommand(
      program,
      shell,
      "commission",
      "bring a device into the trust domain: certificate, trust, policy, ports",
      async (context, options, args) => {
        const target = parseTarget(argument(args, 0, "TARGET"));
        if (options["pull"] === true) return await commissionPulling(context, options, target);
        const isPsk = options["psk"] === true;
        const vendor = await vendorOf(options);
        if (!context.data.hasCa() && !isPsk) {
          await context.data.makeCa("Plant");
          context.output.notice(`There was no authority yet: one is made in ${context.data.path}.`);
        }
        const security = await securityOf(context, options);
        if (security === undefined)
          throw new UsageError("usage/argument", "--psk needs --psk-identity and --psk-file", {
            fix: "Make a key with: openssl rand -hex 32",
          });
        const authority = isPsk ? undefined : await context.data.ca();
        const result = await commission(target, {
          plan: await planOf(context, options, isPsk, authority),
          security: { ...security, acceptAny: false },
          acceptAny: options["insecureAcceptAny"] === true,
          allowPlain: options["allowPlain"] === true || target.scheme === "eip",
          announce: announcing(context),
          connect: withoutSecurity(await connectOptions(context, options)),
          ...vendor,
          progress: ({ index, total, words }) => context.output.progress(`${index}/${total} ${words}`),
          signal: context.signal,
          ...(authority === undefined ? {} : { issue: issuing(authority) }),
        });
        context.output.document(result);
        context.output.say(
          `${result.address}: ${result.identity.name} is configured (${result.mode}); proven over ${result.channel.version ?? ""} ${result.channel.suite ?? ""}.`,
        );
        if (result.deviceCertificate !== null)
          context.output.say(
            `Certificate: ${result.deviceCertificate.subject}, until ${result.deviceCertificate.notAfter.slice(0, 10)}.`,
          );
        sayVendor(context, result.vendorIdentity);
        context.output.say(
          result.plaintextClosed ? "The plaintext ports are closed." : "The plaintext ports are still open.",
        );
        for (const skipped of result.skipped)
          context.output.notice(`not set, as the device does not take it: ${skipped}`);
      },
    )
      .argument("<target>", "HOST or HOST:PORT; eip://HOST for a device whose secure port is closed")
      .option("--push", "push model: this command configures the device (the default)")
      .option(
        "--pull",
        "pull model: the device fetches its certificate from its EST server; this command starts, watches and proves it",
      )
      .option("--wait <s>", "with --pull: seconds for the device to be enrolled (default: 300)", (text) =>
        wholeNumber(text, 1, 86_400),
      )
      .option("--erase", "with --pull: erase a device that is configured or enrolled already, and let it begin anew")
      .option(
        "--psk",
        "secure the device by the pre-shared key of --psk-identity and --psk-file in place of a certificate",
      )
      .option(
        "--key-types <type...>",
        "key types to give the device a certificate for: ecdsa, rsa (default: the device's own)",
      )
      .option("--pkcs7", "bring certificates and lists as PKCS#7 (default: PEM, where the device takes it)")
      .option("--suites <suite...>", "cipher suites to allow, best first: IANA names or numbers")
      .option("--keep-plaintext", "leave the plaintext ports open")
      .option("--no-verify-client", "let in clients that do not prove who they are")
      .option("--check-names", "have the device check that clients come from an address in their certificate")
      .option(
        "--dtls-timeout <s>",
        "seconds of silence after which DTLS sessions end",
        (text) => wholeNumber(text, 0, 3600),
        12,
      )
      .option(
        "--vendor <file>",
        "roots of device makers, PEM: one has to vouch for this very device, serial number included; its factory certificate is accepted then",
      )
      .option("--vendor-ca <file>", "as --vendor, but only tells whether one vouches for it")
      .option("--allow-plain", "configure over the plain port where the device has no secure one"),
    true,
  );
  addNotes(commissioning, {
    json:
      '{address, mode: "certificate" | "psk", identity, before: {cipState, ethernetIpState}, after: {…}, ' +
      "firstTrust, vendorIdentity: {verified, subject, serialNumber, vendor, reason}, " +
      "deviceCertificate: {subject, issuer, notAfter, sha256, selfSigned, keyType} | null, " +
      "deviceCertificates: [{…}], " +
      "channel: {protocol, version, suite, peer}, skipped: [setting], plaintextClosed}; " +
      'with --pull: {address, mode: "pull", identity, before, after, start: "by-itself" | "reset" | "erased" | "already-enrolled", ' +
      "firstTrust, vendorIdentity, deviceCertificate, channel, posture: as of posture, elapsedMs}",
    examples: [
      [
        "cipsec commission 192.0.2.7 --insecure-accept-any",
        "a device out of its box; makes the plant's authority where there is none",
      ],
      ["cipsec commission 192.0.2.7 --vendor maker.pem", "refuses a device for which its maker does not vouch"],
      [
        "cipsec commission 192.0.2.7 --pull --vendor maker.pem --wait 600",
        "watches a device enrol by itself, until a person has approved it",
      ],
      ["cipsec commission 192.0.2.7", "a device of the plant again: new certificate, new revocation list"],
      ["cipsec commission 192.0.2.7 --key-types ecdsa rsa", "a certificate for peers of either kind"],
      [
        "cipsec commission 192.0.2.8 --psk --psk-identity cell4 --psk-file cell4.key --insecure-accept-any",
        "by pre-shared key",
      ],
    ],
  });
  const decommissioning = addCredentials(
    addCommand(
      program,
      shell,
      "decommission",
      "erase a device's security configuration and reset it to factory default",
      async (context, options, args) => {
        const security = await securityOf(context, options);
        if (security === undefined)
          throw new UsageError("usage/argument", "nothing to identify this tool with", {
            fix: "Give --cert, --key and --ca, or --psk-identity and --psk-file, or the plant's data folder.",
          });
        const result = await decommission(parseTarget(argument(args, 0, "TARGET")), {
          security,
          connect: withoutSecurity(await connectOptions(context, options)),
          announce: announcing(context),
          progress: (words) => context.output.progress(words),
          signal: context.signal,
        });
        context.output.document(result);
        context.output.say(`${result.address} is at factory default again.`);
      },
    ).argument("<target>", "HOST or HOST:PORT"),
  );
  addNotes(decommissioning, {
    json: "{address, before: {cipState, ethernetIpState}, after: {cipState, ethernetIpState}}",
    examples: [["cipsec decommission 192.0.2.7", "before the device goes to the workshop, or out of the plant"]],
  });
}

async function planOf(
  context: Context,
  options: Readonly<Record<string, unknown>>,
  isPsk: boolean,
  authority: CertificateAuthority | undefined,
): Promise<CommissionPlan> {
  const given = options["suites"];
  const keyTypes = keyTypesOf(options["keyTypes"]);
  const usual =
    keyTypes?.includes("rsa") === true ? withRsaSuites(keyTypes) : defaultSuites[isPsk ? "psk" : "certificate"];
  const suites = Array.isArray(given) ? { suites: given.map(String).map(suiteOf) } : usual;
  const dtlsTimeout = options["dtlsTimeout"];
  return {
    label: "plant",
    ...suites,
    verifyClient: !isPsk && options["verifyClient"] !== false,
    sendChain: true,
    checkExpiration: isPsk ? false : "if-possible",
    checkSan: options["checkNames"] === true,
    dtlsTimeoutS: typeof dtlsTimeout === "number" ? dtlsTimeout : 12,
    closePlaintext: options["keepPlaintext"] !== true,
    ...(isPsk ? { psks: [await pskOf(options)] } : {}),
    ...(keyTypes === undefined ? {} : { keyTypes }),
    ...(options["pkcs7"] === true ? { encoding: "pkcs7" as const } : {}),
    ...(authority === undefined ? {} : { crlPem: crlToPem(await authority.crls()) }),
  };
}

/** Certificates with RSA keys have CBC suites only; beside them the device gets what it has for ECDSA. */
function withRsaSuites(keyTypes: readonly KeyType[]): Pick<CommissionPlan, "suites" | "fallbackSuites"> {
  const { suites, fallbackSuites } = defaultSuites.certificate;
  const ecdsa = keyTypes.includes("ecdsa") ? [...suites, ...fallbackSuites.flat()] : [];
  return { suites: [...ecdsa, 0x003d, 0x003c], fallbackSuites: [] };
}

function keyTypesOf(given: unknown): readonly KeyType[] | undefined {
  if (!Array.isArray(given)) return undefined;
  return given.map((type) => {
    if (type === "ecdsa" || type === "rsa") return type;
    throw new UsageError("usage/argument", `--key-types: '${String(type)}' is not a type of key`, {
      fix: "Use ecdsa, rsa, or both.",
    });
  });
}

async function pskOf(options: Readonly<Record<string, unknown>>): Promise<{ identity: Uint8Array; key: Uint8Array }> {
  const identity = textOption(options, "pskIdentity");
  const file = textOption(options, "pskFile");
  if (identity === undefined || file === undefined)
    throw new UsageError("usage/argument", "--psk needs --psk-identity and --psk-file", {
      fix: "Make a key with: openssl rand -hex 32",
    });
  return { identity: Buffer.from(identity, "latin1"), key: await readPsk(file) };
}

/** Signs a device's request; the address it was reached at stands in the certificate. */
function issuing(authority: CertificateAuthority): NonNullable<Parameters<typeof commission>[1]["issue"]> {
  return async (csrPem, { host }) => {
    const csr = parseCsr(csrPem);
    const issued = await authority.issue({
      profile: "device",
      csr,
      san: {
        ...csr.san,
        ip: [...new Set([host, ...csr.san.ip])].filter(isAddress),
        dns: isAddress(host) ? csr.san.dns : [...new Set([host, ...csr.san.dns])],
      },
    });
    return { certificatePem: toPem(issued.certificate), caChainPem: toPem(authority.bundle) };
  };
}

function isAddress(host: string): boolean {
  return isIP(host) !== 0;
}

/** A suite by IANA name or number. */
function suiteOf(text: string): number {
  const known = /^(0x)?[\da-f]{4}$/i.test(text)
    ? cipherSuite(Number.parseInt(text.replace(/^0x/i, ""), 16))
    : cipherSuites.find(({ name }) => name.toLowerCase() === text.toLowerCase());
  if (known === undefined)
    throw new UsageError("usage/argument", `'${text}' is not a cipher suite of CIP Security`, {
      fix: "Use an IANA name such as TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, or its number such as C02B.",
    });
  return known.id;
}
