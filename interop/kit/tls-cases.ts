import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makePlant, makeStrangers, type Plant, type Strangers } from "./plant.ts";
import { alert, suiteText, type Attempt, type Outcome, type TlsClient } from "./tls-client.ts";

/** Suites of a device of today, by what they are allowed for here. */
const ecdsaSuites = [0xc02b, 0xc02c, 0xcca9, 0xc0ac, 0xc0ae, 0xc023, 0xc024, 0xc006];
const pskSuites = [0xccac, 0xc037, 0xc03a];
const rsaSuites = [0x003c, 0x003d, 0x003b];
const strictSuites = [0xc02b, 0xc02c];

const psk = { identity: "line-4/tool ü", keyHex: "6b".repeat(32) };
const pskOctets = { identity: Buffer.from(psk.identity), key: Buffer.from(psk.keyHex, "hex") };

/**
 * What a foreign TLS client must see of commissioned devices. Each refusal has its positive control: the same client with
 * the same suite gets in where the suite is allowed, the same certificate where it is not judged by its days.
 *
 * @param prefix First three octets of the loopback addresses of these devices.
 */
export function tlsClientCases(client: TlsClient, prefix: string): void {
  const address = {
    strict: `${prefix}.1`,
    wide: `${prefix}.2`,
    rsa: `${prefix}.3`,
    psk: `${prefix}.4`,
    tls13: `${prefix}.5`,
  };
  let plant: Plant;
  let strangers: Strangers;
  /** What the device for pre-shared keys let in, as its event log says. */
  const letIn: unknown[] = [];

  beforeAll(async () => {
    plant = await makePlant("tls");
    strangers = await makeStrangers(plant);
    const strict = await plant.device({ address: address.strict });
    const wide = await plant.device({ address: address.wide });
    const old = { generation: "cbc-psk", csrKey: "RSA-2048" };
    const rsa = await plant.device({ address: address.rsa, security: old });
    const pskOnly = await plant.device({
      address: address.psk,
      onEvent: ({ name, facts }) => void (name === "connected" && letIn.push(facts["peer"])),
    });
    const newer = await plant.device({ address: address.tls13, security: { maxVersion: "TLSv1.3" } });
    await plant.commission(strict, { suites: strictSuites });
    await plant.commission(wide, { suites: ecdsaSuites, checkExpiration: false });
    await plant.commission(rsa, { suites: rsaSuites });
    await plant.commission(pskOnly, { suites: pskSuites }, { psk: pskOctets });
    await plant.commission(newer, { suites: [0x1301, 0x1302] });
  });

  afterAll(async () => await plant[Symbol.asyncDispose]());

  const asTool = (attempt: Attempt): Promise<Outcome> =>
    client.connect({ caller: plant.tool, anchorsFile: plant.anchorsFile, ...attempt });

  const accepted = async (attempt: Promise<Outcome>, version: string, suite?: number): Promise<void> => {
    const outcome = await attempt;
    expect(outcome, outcome.log).toMatchObject({ answered: true, version });
    if (suite !== undefined) expect(outcome.suite).toBe(client.suiteName(suite));
  };

  const refused = async (attempt: Promise<Outcome>, wanted: number): Promise<void> => {
    const outcome = await attempt;
    expect(outcome, outcome.log).toMatchObject({ answered: false, alert: wanted });
  };

  const named = (ids: readonly number[]): readonly { readonly id: number; readonly name: string }[] =>
    ids.map((id) => ({ id, name: suiteText(id) }));

  describe("suites", () => {
    test.each(named(ecdsaSuites))("$name connects where it is allowed", async ({ id }) =>
      accepted(asTool({ address: address.wide, version: "1.2", suite: id }), "1.2", id),
    );

    test.each(named(rsaSuites))("$name connects to a device with an RSA key", async ({ id }) =>
      accepted(asTool({ address: address.rsa, version: "1.2", suite: id }), "1.2", id),
    );

    test.each(named(pskSuites))("$name connects with the right key", async ({ id }) => {
      letIn.length = 0;
      const outcome = client.connect({ address: address.psk, version: "1.2", suite: id, psk });
      if (client.crashesAfterPsk && (await outcome).signal === "SIGSEGV")
        expect(await outcome).not.toHaveProperty("alert");
      else await accepted(outcome, "1.2", id);
      expect(letIn).toEqual([`PSK ${psk.identity}`]);
    });

    test.each(named(strictSuites))("$name connects to the device that allows two", async ({ id }) =>
      accepted(asTool({ address: address.strict, version: "1.2", suite: id }), "1.2", id),
    );

    test.each(named(ecdsaSuites.filter((id) => !strictSuites.includes(id))))(
      "$name is refused by the device that has but does not allow it: handshake_failure",
      async ({ id }) => refused(asTool({ address: address.strict, version: "1.2", suite: id }), alert.handshakeFailure),
    );

    test.each(named(pskSuites))(
      "$name is refused where only certificates are allowed: handshake_failure",
      async ({ id }) =>
        refused(client.connect({ address: address.strict, version: "1.2", suite: id, psk }), alert.handshakeFailure),
    );

    test.each(named(ecdsaSuites))(
      "$name is refused where only pre-shared keys are: handshake_failure",
      async ({ id }) => refused(asTool({ address: address.psk, version: "1.2", suite: id }), alert.handshakeFailure),
    );
  });

  describe("versions", () => {
    test.each(["1.0", "1.1"] as const)("TLS %s is refused: protocol_version", async (version) =>
      refused(asTool({ address: address.wide, version }), alert.protocolVersion),
    );

    test("TLS 1.3 is refused by a device that does 1.2: protocol_version", async () =>
      refused(asTool({ address: address.strict, version: "1.3" }), alert.protocolVersion));

    test("TLS 1.2 is refused by a device that allows suites of 1.3 only: protocol_version", async () =>
      refused(asTool({ address: address.tls13, version: "1.2" }), alert.protocolVersion));
  });

  describe("certificates", () => {
    const reasons = [
      { name: "of an unknown authority", who: "unknownCa", wanted: alert.unknownCa, says: "unknown_ca" },
      { name: "self-signed", who: "selfSigned", wanted: alert.unknownCa, says: "unknown_ca" },
      { name: "expired", who: "expired", wanted: alert.certificateExpired, says: "certificate_expired" },
      { name: "not yet valid", who: "notYetValid", wanted: alert.certificateExpired, says: "certificate_expired" },
      { name: "revoked", who: "revoked", wanted: alert.certificateRevoked, says: "certificate_revoked" },
      {
        name: "for servers only",
        who: "wrongUsage",
        wanted: alert.unsupportedCertificate,
        says: "unsupported_certificate",
      },
    ] as const;

    test("none: handshake_failure", async () =>
      refused(
        client.connect({ address: address.strict, version: "1.2", anchorsFile: plant.anchorsFile }),
        alert.handshakeFailure,
      ));

    test.each(reasons)("$name: $says", async ({ who, wanted }) =>
      refused(asTool({ address: address.strict, version: "1.2", caller: strangers[who] }), wanted),
    );

    test.each(["expired", "notYetValid"] as const)("%s is let in where days are not checked", async (who) =>
      accepted(asTool({ address: address.wide, version: "1.2", suite: 0xc02b, caller: strangers[who] }), "1.2"),
    );
  });

  describe("pre-shared keys", () => {
    test.each([
      { name: "wrong key: bad_record_mac", given: { ...psk, keyHex: "6c".repeat(32) }, wanted: alert.badRecordMac },
      {
        name: "unknown identity: unknown_psk_identity",
        given: { ...psk, identity: "line-5/tool" },
        wanted: alert.unknownPskIdentity,
      },
    ])("$name", async ({ given, wanted }) => {
      letIn.length = 0;
      await refused(client.connect({ address: address.psk, version: "1.2", suite: 0xc037, psk: given }), wanted);
      expect(letIn).toEqual([]);
    });
  });

  describe("TLS 1.3", () => {
    test.each(named([0x1301, 0x1302]))("$name connects", async ({ id }) =>
      accepted(asTool({ address: address.tls13, version: "1.3", suite: id }), "1.3", id),
    );

    test("a suite that is not allowed: handshake_failure", async () =>
      refused(asTool({ address: address.tls13, version: "1.3", suite: 0x1303 }), alert.handshakeFailure));

    test("no certificate: certificate_required", async () =>
      refused(
        client.connect({ address: address.tls13, version: "1.3", anchorsFile: plant.anchorsFile }),
        alert.certificateRequired,
      ));

    test.each(["unknownCa", "selfSigned", "expired", "notYetValid", "revoked", "wrongUsage"] as const)(
      "%s: hung up on without an answer",
      async (who) => {
        const outcome = await asTool({ address: address.tls13, version: "1.3", suite: 0x1301, caller: strangers[who] });
        expect(outcome, outcome.log).toMatchObject({ answered: false });
      },
    );
  });
}
