import { commissionByPull, isPlaintext, type PullResult, type TargetAddress } from "@cipsec/originator";
import { UsageError } from "@cipsec/wire";
import type { Context } from "../command.ts";
import { announcing, connectOptions, securityOf } from "../credentials.ts";
import { printable } from "../output.ts";
import { sayVendor, vendorOf, withoutSecurity } from "./commission-options.ts";

/** Options that say how this command would configure a device: a device that enrols by itself is not configured by it. */
const pushOnly = {
  push: "--push",
  psk: "--psk",
  keyTypes: "--key-types",
  pkcs7: "--pkcs7",
  suites: "--suites",
  keepPlaintext: "--keep-plaintext",
  checkNames: "--check-names",
} as const;

/** `commission --pull`: has a device enrol by itself, watches and proves it. */
export async function commissionPulling(
  context: Context,
  options: Readonly<Record<string, unknown>>,
  target: TargetAddress,
): Promise<void> {
  for (const [name, flag] of Object.entries(pushOnly))
    if (options[name] !== undefined && options[name] !== false)
      throw new UsageError("usage/argument", `${flag} does not go with --pull: the device configures itself`, {
        fix: "Leave it out; afterwards the same command without --pull sets the rest.",
      });
  const security = await securityOf(context, { ...options, insecureAcceptAny: undefined });
  if (security === undefined)
    throw new UsageError("usage/argument", "nothing to verify by what the device will get", {
      fix: "Give --cert, --key and --ca of the authority behind the EST server, or its data folder: --data DIR.",
    });
  const wait = options["wait"];
  const result = await commissionByPull(target, {
    security,
    acceptAny: options["insecureAcceptAny"] === true,
    allowPlain: options["allowPlain"] === true || target.scheme === "eip",
    announce: announcing(context),
    connect: withoutSecurity(await connectOptions(context, options)),
    ...(await vendorOf(options)),
    ...(typeof wait === "number" ? { waitMs: wait * 1000 } : {}),
    erase: options["erase"] === true,
    progress: ({ words, elapsedMs }) => context.output.progress(`${Math.round(elapsedMs / 1000)} s: ${words}`),
    signal: context.signal,
  });
  context.output.document(result);
  tell(context, result);
}

const starts: Readonly<Record<PullResult["start"], string>> = {
  "by-itself": "enrolled by itself",
  reset: "enrolled, as told to",
  erased: "was erased and enrolled anew",
  "already-enrolled": "had enrolled already",
};

function tell(context: Context, result: PullResult): void {
  const { address, identity, channel, deviceCertificate, posture } = result;
  const { output } = context;
  // Names come from the device, and from the certificate that it asked for.
  const say = (text: string): void => output.say(printable(text));
  const how = `${channel.version ?? ""} ${channel.suite ?? ""}`;
  say(`${address}: ${identity.name} ${starts[result.start]}; proven over ${how}.`);
  const { subject, issuer, notAfter, sha256 } = deviceCertificate;
  say(`Certificate: ${subject}, from ${issuer}, until ${notAfter.slice(0, 10)}, SHA-256 ${sha256}.`);
  sayVendor(context, result.vendorIdentity);
  const open = posture.ports.filter(isPlaintext).map(({ port, protocol }) => `${port}/${protocol}`);
  if (open.length > 0)
    say(`Still open without protection: ${open.join(", ")}; 'cipsec commission ${address}' sets the rest by push.`);
  const high = posture.findings.filter(({ severity }) => severity === "high").length;
  if (high > 0) say(`Grave findings: ${high}; see 'cipsec posture ${address}'.`);
}
