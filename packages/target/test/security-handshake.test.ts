import { CertificateManagement, CipSecurity, EtherNetIpSecurity } from "@cipsec/objects";
import { makeKeyPair } from "@cipsec/pki";
import { acceptAnyone, dial, listen, systemClock, type ChannelFacts, type TlsPolicy } from "@cipsec/transport";
import { objectPath, type PreSharedKey } from "@cipsec/wire";
import { afterAll, expect, test } from "vitest";
import { begin, channels, enrol, makeAuthority, must, startDevice } from "./security-device.ts";

const ca = await makeAuthority();
const device = await startDevice();
const seen: ChannelFacts[] = [];
const listener = await listen({
  protocol: "tls",
  address: "127.21.0.1",
  port: 0,
  tls: () => device.security.tlsPolicy(),
  accept: (channel) => {
    seen.push(channel.facts);
    channel.receive((bytes) => channel.send(bytes));
  },
});
afterAll(async () => {
  device.security.close();
  listener.closeChannels();
  await listener.close();
});

const nobody: TlsPolicy = {
  suites: [0xc02b, 0xc02c],
  certificates: [],
  sendChain: true,
  psks: [],
  verifyPeer: true,
  verify: acceptAnyone(),
};

/** What the device answers an echo with, or the code of the refusal; who it saw. */
async function connect(tls: TlsPolicy): Promise<string> {
  const before = seen.length;
  try {
    await using channel = await dial({ protocol: "tls", host: "127.21.0.1", port: listener.port, tls });
    const echo = new Promise<boolean>((resolve) => {
      channel.receive(() => resolve(true));
      void channel.closed.then(() => resolve(false));
      systemClock.after(3000, () => resolve(false));
    });
    channel.send(Uint8Array.of(1));
    if (!(await echo)) return "refused";
  } catch {
    return "refused";
  }
  return seen[before]?.security?.peer.kind ?? "nobody";
}

async function tool(authority: typeof ca): Promise<TlsPolicy> {
  const { privateKey, publicKey } = await makeKeyPair();
  const { chain } = await authority.issue({ profile: "tool", publicKey, subject: { commonName: "tool" } });
  return { ...nobody, certificates: [{ chain: chain.map(({ der }) => der), key: privateKey }] };
}

function psk(octet: number): PreSharedKey {
  return { identity: Buffer.from("tool"), key: new Uint8Array(32).fill(octet), usage: 2 };
}

test("real handshakes follow each applied configuration", async () => {
  const [known, stranger] = [await tool(ca), await tool(await makeAuthority("Other plant"))];
  const withKey = (octet: number): TlsPolicy => ({ ...nobody, suites: [0xc037], psks: [psk(octet)] });

  expect(await connect(nobody)).toBe("anonymous");
  expect(await connect({ ...nobody, suites: [0xc023] })).toBe("refused");
  expect(await connect(withKey(1))).toBe("refused");

  await begin(device);
  const { instance } = await enrol(device, ca, "plant");
  const path = objectPath(CertificateManagement.classId, instance);
  await must(device.set(EtherNetIpSecurity, 1, "activeDeviceCertificates", [path]));
  await must(device.set(EtherNetIpSecurity, 1, "trustedAuthorities", [path]));
  await must(device.set(EtherNetIpSecurity, 1, "verifyClientCertificate", true));
  // Nothing counts before Apply_Config.
  expect(await connect(nobody)).toBe("anonymous");
  await must(device.call(EtherNetIpSecurity, 1, "applyConfig"));
  await must(device.call(CipSecurity, 1, "endConfig"));
  expect(await connect(known)).toBe("certificate");
  expect(await connect(nobody)).toBe("refused");
  expect(await connect(stranger)).toBe("refused");

  device.channel = channels.certificate;
  await begin(device);
  await must(device.set(EtherNetIpSecurity, 1, "allowedCipherSuites", [0xc037]));
  await must(device.set(EtherNetIpSecurity, 1, "preSharedKeys", [psk(1)]));
  await must(device.call(EtherNetIpSecurity, 1, "applyConfig"));
  expect(await connect(withKey(1))).toBe("psk");
  expect(await connect(withKey(2))).toBe("refused");
  expect(await connect(known)).toBe("refused");
}, 60_000);
