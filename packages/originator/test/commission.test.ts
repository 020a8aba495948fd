import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer, connect as dialTcp, type AddressInfo, type Socket } from "node:net";
import { join } from "node:path";
import { CertificateManagement, CipSecurity, EtherNetIpSecurity, FileObject } from "@cipsec/objects";
import { crlToPem, makeKeyPair, privateKeyToPem, selfSigned } from "@cipsec/pki";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  commission,
  connect,
  decommission,
  isPortOpen,
  readPosture,
  type AcceptedPeer,
  type CommissionOptions,
} from "../src/index.ts";
import { net } from "./addresses.ts";
import { certificatePlan, makePlant, startDevice, type Plant } from "./real-target.ts";

let plant: Plant;
let next = 0;

beforeAll(async () => {
  plant = await makePlant();
});
afterAll(() => plant[Symbol.asyncDispose]());

function place(): { address: string; stateDir: string } {
  next += 1;
  return { address: `${net}.${next}`, stateDir: join(plant.folder, `device-${next}`) };
}

function options(more: Partial<CommissionOptions> = {}): CommissionOptions {
  return {
    plan: certificatePlan,
    issue: (csr, context) => plant.issue(csr, context),
    security: plant.security,
    acceptAny: true,
    ...more,
  };
}

// Each with a device of its own, and most of them wait for its timers.
describe("certificate mode", { concurrent: true }, () => {
  test("takes a device from factory default to proven, closes plaintext, and back", async () => {
    const where = place();
    await using _ = await startDevice(where);
    const accepted: AcceptedPeer[] = [];
    const words: string[] = [];
    const crlPem = crlToPem([await plant.ca.crl(), await plant.ca.rootCrl()]);
    const result = await commission(
      { host: where.address },
      options({
        plan: { ...certificatePlan, crlPem },
        announce: (peer) => accepted.push(peer),
        progress: ({ words: line }) => words.push(line),
      }),
    );
    expect(result).toMatchObject({
      mode: "certificate",
      before: { cipState: "factory-default", ethernetIpState: "factory-default" },
      after: { cipState: "configured", ethernetIpState: "configured" },
      firstTrust: { kind: "accepted-any" },
      plaintextClosed: true,
      skipped: [],
      channel: { protocol: "tls", peer: { verified: true } },
    });
    expect(accepted).toMatchObject([{ selfSigned: true, refusal: "trust/self-signed" }]);
    expect(words.length).toBeGreaterThan(10);
    expect(await isPortOpen(where.address, 44818, 500)).toBe(false);

    await using session = await connect({ host: where.address }, { security: plant.security });
    const posture = await readPosture(session);
    expect(posture).toMatchObject({
      security: { cipState: "configured", securePortsOnly: true },
      verifyClient: true,
      suites: { allowed: ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"] },
      deviceCertificate: { selfSigned: false },
      dtlsTimeoutS: 20,
      unread: [],
    });
    expect(posture.crl).toHaveLength(2);
    expect(posture.findings.filter(({ severity }) => severity === "high")).toEqual([]);

    const undone = await decommission({ host: where.address }, { security: plant.security });
    expect(undone.after).toEqual({ cipState: "factory-default", ethernetIpState: "factory-default" });
    expect(await isPortOpen(where.address, 44818, 500)).toBe(true);
  });

  test("commissions a configured device again, over TLS and without accepting anything", async () => {
    const where = place();
    await using _ = await startDevice(where);
    await commission({ host: where.address }, options());
    const again = await commission(
      { host: where.address },
      options({ acceptAny: false, plan: { ...certificatePlan, dtlsTimeoutS: 99, suites: [0xc02c] } }),
    );
    expect(again).toMatchObject({ before: { cipState: "configured" }, firstTrust: { kind: "verified" } });
    await using session = await connect({ host: where.address }, { security: plant.security });
    expect(await session.object(EtherNetIpSecurity, 1).get("dtlsTimeout")).toBe(99);
    // The first certificate and its files are gone.
    expect(await session.class(CertificateManagement).get("certificateList")).toHaveLength(2);
  });

  test("closing connections with Apply_Config spares those that open under the new configuration", async () => {
    const where = place();
    await using _ = await startDevice(where);
    await commission({ host: where.address }, options());
    await using old = await connect({ host: where.address }, { security: plant.security, reconnect: false });
    await old.object(CipSecurity, 1).call("beginConfig");
    await old.object(EtherNetIpSecurity, 1).call("beginConfig");
    await old.object(EtherNetIpSecurity, 1).call("applyConfig", { flags: 1, closeDelayMs: 1000 });
    await using fresh = await connect({ host: where.address }, { security: plant.security, reconnect: false });
    await old.disconnected;
    await fresh.object(CipSecurity, 1).call("endConfig");
    expect(fresh.isConnected).toBe(true);
  });

  test("ends the configuration once more when a connection is lost before the answer", async () => {
    const where = place();
    const sockets: Socket[] = [];
    const relay = createServer((socket) => {
      const onward = dialTcp(2221, where.address);
      for (const end of [socket, onward]) end.on("error", () => end.destroy());
      sockets.push(
        socket.on("close", () => onward.destroy()),
        onward.on("close", () => socket.destroy()),
      );
      socket.pipe(onward).pipe(socket);
    });
    relay.listen(0, where.address);
    await once(relay, "listening");
    let ended = 0;
    await using _ = await startDevice({
      ...where,
      onEvent({ name }) {
        if (name !== "cip-security/end") return;
        ended += 1;
        if (ended === 1) for (const socket of sockets.splice(0)) socket.destroy();
      },
    });
    const { port } = relay.address() as AddressInfo;
    const result = await commission({ host: where.address, scheme: "eips", port }, options());
    expect(result).toMatchObject({ after: { cipState: "configured", ethernetIpState: "configured" } });
    expect(ended).toBe(2);
    relay.close();
  });

  test("keeps the timers going while the authority takes longer than they run", async () => {
    const where = place();
    await using _ = await startDevice({ ...where, security: { configTimerS: 4 } });
    const result = await commission(
      { host: where.address },
      options({
        issue: async (csr, context) => {
          await new Promise((resolve) => setTimeout(resolve, 9000));
          return plant.issue(csr, context);
        },
      }),
    );
    expect(result.after.cipState).toBe("configured");
  });

  test("refuses a factory certificate unless told to accept any", async () => {
    const where = place();
    await using _ = await startDevice(where);
    await expect(commission({ host: where.address }, options({ acceptAny: false }))).rejects.toMatchObject({
      code: "trust/self-signed",
      device: "untouched",
      fix: expect.stringContaining("--insecure-accept-any"),
    });
  });

  test("says when a device belongs to another plant", async () => {
    const where = place();
    await using _ = await startDevice(where);
    await commission({ host: where.address }, options());
    await using other = await makePlant();
    await expect(commission({ host: where.address }, options({ security: other.security }))).rejects.toMatchObject({
      device: "untouched",
      step: "connect",
    });
  });
});

describe("failures before Apply_Config leave the device untouched", () => {
  test.each([
    {
      name: "the authority refuses",
      step: "sign",
      more: {
        issue: () => Promise.reject(Object.assign(new Error("no"), { code: "trust/refused", facts: {}, fix: "ask" })),
      },
    },
    {
      name: "the authority signs for another key",
      step: "verify",
      more: {
        issue: async () => {
          const other = await makeKeyPair();
          const issued = await plant.ca.issue({
            profile: "device",
            publicKey: other.publicKey,
            subject: { commonName: "x" },
          });
          return { certificatePem: issued.pem, caChainPem: String(plant.ca.export()) };
        },
      },
    },
    {
      name: "a suite that the device lacks",
      step: "settings",
      more: { plan: { ...certificatePlan, suites: [0xc03a, 0xc006, 0x003b, 0xc0ac] } },
    },
  ])("$name", async ({ step, more }) => {
    const where = place();
    await using _ = await startDevice({ ...where });
    const failed = commission({ host: where.address }, options(more));
    await expect(failed).rejects.toMatchObject({ name: "CommissionError", step, device: "untouched" });
    await using session = await connect({ scheme: "eip", host: where.address });
    expect(await session.object(CipSecurity, 1).get("state")).toBe(0);
    expect(await session.object(EtherNetIpSecurity, 1).get("state")).toBe(0);
    expect(await session.class(CertificateManagement).get("certificateList")).toHaveLength(1);
    const done = await commission({ host: where.address }, options());
    expect(done.after.cipState).toBe("configured");
  });
});

test("a reconfiguration that fails leaves a configured device as it was", async () => {
  const where = place();
  await using _ = await startDevice(where);
  await commission({ host: where.address }, options());
  const failed = commission(
    { host: where.address },
    options({
      plan: { ...certificatePlan, dtlsTimeoutS: 77 },
      issue: () => Promise.reject(Object.assign(new Error("no"), { code: "trust/refused", facts: {}, fix: "ask" })),
    }),
  );
  await expect(failed).rejects.toMatchObject({ step: "sign", device: "untouched" });
  await using session = await connect({ host: where.address }, { security: plant.security });
  expect(await session.object(CipSecurity, 1).get("state")).toBe(2);
  expect(await session.object(EtherNetIpSecurity, 1).get("dtlsTimeout")).toBe(20);
  expect(await session.class(CertificateManagement).get("certificateList")).toHaveLength(2);
});

describe("resumes", { concurrent: true }, () => {
  /** The tool keeps a session open every 2.5 s: the shortest that it can keep beside others' work. */
  const timerS = 4;

  test("after a tool that died in the middle of a configuration session", async () => {
    const where = place();
    await using _ = await startDevice({ ...where, security: { configTimerS: timerS } });
    const dead = await connect({ scheme: "eip", host: where.address });
    await dead.object(CipSecurity, 1).call("beginConfig");
    await dead.object(EtherNetIpSecurity, 1).call("beginConfig");
    await dead.class(CertificateManagement).call("create", "left over");
    await dead.close();
    const result = await commission({ host: where.address }, options());
    expect(result.before.cipState).toBe("incomplete");
    expect(result.after.cipState).toBe("configured");
  });

  test("gives up when another tool keeps its session open", async () => {
    const where = place();
    await using _ = await startDevice({ ...where, security: { configTimerS: 5 } });
    await using other = await connect({ scheme: "eip", host: where.address });
    await other.object(CipSecurity, 1).call("beginConfig");
    await expect(commission({ host: where.address }, options({ settleMs: 1000 }))).rejects.toMatchObject({
      code: "usage/state",
      step: "settle",
      device: "untouched",
    });
  });

  test.each(["create", "install", "settings", "apply", "reconnect", "end"] as const)(
    "after an abort at the step '%s', the next run succeeds",
    async (stop) => {
      const where = place();
      await using _ = await startDevice({ ...where, security: { configTimerS: timerS } });
      const controller = new AbortController();
      const broken = commission(
        { host: where.address },
        options({ signal: controller.signal, progress: ({ step }) => step === stop && controller.abort() }),
      );
      await expect(broken).rejects.toThrow();
      const done = await commission({ host: where.address }, options());
      expect(done.after).toEqual({ cipState: "configured", ethernetIpState: "configured" });
    },
  );
});

describe("pre-shared key mode", () => {
  const psk = { identity: new TextEncoder().encode("line-1"), key: new Uint8Array(32).fill(7) };
  const plan = {
    ...certificatePlan,
    suites: [0xc037],
    psks: [psk],
    verifyClient: false,
    checkExpiration: false,
  } as const;

  test("takes a device of the CBC generation to proven", async () => {
    const where = place();
    await using _ = await startDevice({ ...where, security: { generation: "cbc-psk" } });
    const { issue: __, ...rest } = options({ plan, security: { psk } });
    const result = await commission({ host: where.address }, rest);
    expect(result).toMatchObject({
      mode: "psk",
      channel: { peer: { kind: "psk", verified: true } },
      plaintextClosed: true,
    });
    await expect(
      connect({ scheme: "eips", host: where.address }, { security: { psk: { ...psk, key: new Uint8Array(32) } } }),
    ).rejects.toMatchObject({ code: expect.stringMatching(/^tls\//) });
    await using session = await connect({ host: where.address }, { security: { psk } });
    const posture = await readPosture(session);
    expect(posture.preSharedKeys).toEqual([{ identity: "line-1", usage: 2 }]);
    expect(posture.findings.map(({ id }) => id)).toContain("psk-only");
    expect(JSON.stringify(posture)).not.toContain("0707");
  });
});

test("over an unprotected connection only when that is allowed, and then the plaintext ports close too", async () => {
  const where = place();
  await using _ = await startDevice(where);
  const target = { scheme: "eip", host: where.address } as const;
  await expect(commission(target, options())).rejects.toMatchObject({ code: "usage/state", device: "untouched" });
  const result = await commission(target, options({ allowPlain: true }));
  expect(result).toMatchObject({ firstTrust: null, plaintextClosed: true, after: { cipState: "configured" } });
  expect(await isPortOpen(where.address, 44818, 500)).toBe(false);
});

test("names the maker whose root vouches for the factory certificate", async () => {
  const where = place();
  await using maker = await makePlant();
  const keys = await makeKeyPair();
  const factory = await maker.ca.issue({
    profile: "device",
    publicKey: keys.publicKey,
    subject: { commonName: "SN 9" },
  });
  const [certificate, key] = [join(plant.folder, "vendor.pem"), join(plant.folder, "vendor.key")];
  await writeFile(certificate, factory.chainPem);
  await writeFile(key, privateKeyToPem(keys.privateKey), { mode: 0o600 });
  await using _ = await startDevice({
    ...where,
    security: { defaultCertificate: { kind: "vendor", certificate, key } },
  });
  const result = await commission(
    { host: where.address },
    options({ vendorAnchors: [maker.ca.root, maker.ca.issuing] }),
  );
  expect(result.firstTrust).toMatchObject({ kind: "accepted-any", accepted: { vouchedBy: expect.any(String) } });
});

test.each([
  { field: "label", plan: { label: "a b" } },
  { field: "suites", plan: { suites: [] } },
  { field: "suites", plan: { suites: [0xc037] } },
  { field: "dtlsTimeoutS", plan: { dtlsTimeoutS: 3601 } },
  { field: "psks", plan: { psks: [{ identity: new Uint8Array(0), key: new Uint8Array(16) }] } },
])("refuses a plan with a bad $field before anything is sent", async ({ field, plan }) => {
  const failed = commission({ host: `${net}.250` }, options({ plan: { ...certificatePlan, ...plan } }));
  await expect(failed).rejects.toMatchObject({ code: "usage/argument", facts: { field } });
});

test("a decommissioning is for those that the device trusts", async () => {
  const where = place();
  await using _ = await startDevice(where);
  await commission({ host: where.address }, options());
  await using other = await makePlant();
  await expect(decommission({ host: where.address }, { security: other.security })).rejects.toMatchObject({
    code: expect.stringMatching(/^(tls|trust)\//),
  });
  await expect(
    decommission({ host: where.address }, { security: { anchors: [plant.ca.root] }, connect: { reconnect: false } }),
  ).rejects.toMatchObject({ code: expect.stringMatching(/^(tls|trust)\//) });
  await expect(
    decommission({ scheme: "eip", host: where.address }, { security: plant.security }),
  ).rejects.toMatchObject({
    code: "usage/argument",
  });
});

test("a device without a clock: the expiry check is skipped where that is allowed", async () => {
  const where = place();
  await using _ = await startDevice({ ...where, clock: false });
  const result = await commission(
    { host: where.address },
    options({ plan: { ...certificatePlan, checkExpiration: "if-possible" } }),
  );
  expect(result.skipped).toEqual(["checkExpiration"]);
});

test("trusted identities: only the listed tool gets in", async () => {
  const where = place();
  await using _ = await startDevice(where);
  const [own] = plant.tool.chain;
  await commission(
    { host: where.address },
    options({ plan: { ...certificatePlan, trustedIdentities: [own!.x509.toString()] } }),
  );
  const keys = await makeKeyPair();
  const second = await plant.ca.issue({
    profile: "tool",
    publicKey: keys.publicKey,
    subject: { commonName: "second" },
  });
  const security = { ...plant.security, certificate: { chain: second.chain, key: keys.privateKey } };
  await expect(connect({ scheme: "eips", host: where.address }, { security, reconnect: false })).rejects.toMatchObject({
    code: expect.stringMatching(/^(tls|trust)\//),
  });
  await using session = await connect({ scheme: "eips", host: where.address }, { security: plant.security });
  expect(await session.class(FileObject).get("directory")).toBeDefined();
});

test("strangers: no certificate, a stranger's, and a self-signed one are refused, the tool is not", async () => {
  const where = place();
  await using _ = await startDevice(where);
  await commission({ host: where.address }, options());
  const target = { scheme: "eips", host: where.address } as const;
  const keys = await makeKeyPair();
  const certificate = await selfSigned({
    subject: { commonName: "x" },
    privateKey: keys.privateKey,
    now: new Date(),
  });
  await using other = await makePlant();
  for (const security of [
    { anchors: [plant.ca.root] },
    { anchors: [plant.ca.root], certificate: other.tool },
    { anchors: [plant.ca.root], certificate: { chain: [certificate], key: keys.privateKey } },
  ])
    await expect(connect(target, { security, reconnect: false })).rejects.toMatchObject({
      code: expect.stringMatching(/^(tls|trust)\//),
    });
  await (await connect(target, { security: plant.security })).close();
});
