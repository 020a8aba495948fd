/** What a check may need beyond its subject, with the words that tell why it could not run. */
export const needs = {
  disruptive: "it changes settings, locks accounts or stops traffic: allow it with --disruptive, outside production",
  credentials: "it needs an identity that the device trusts (--cert, --key and --ca, or a pre-shared key)",
  "trusted-authority": "it needs the authority that the device trusts, to make good and bad certificates (ca init)",
  administrator: "it needs the rights to change the device's settings",
  "pre-shared-key": "it needs the pre-shared key of the device (--psk-identity and --psk-file)",
  "second-unit": "it needs a second unit of the same product to compare with (--second)",
  "io-connection": "it needs an I/O connection of the device with outputs (--eds, or --o-to-t and --t-to-o)",
  users: "it needs user authentication, roles or audit, which this version does not assess yet",
  root: "it needs root on the host",
  "probe-object": "it needs a harmless writable attribute to probe with (--probe)",
} as const satisfies Record<string, string>;

/** One of {@link needs}. */
export type Need = keyof typeof needs;
