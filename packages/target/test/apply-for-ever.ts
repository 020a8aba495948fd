/* Run as a process of its own by store.test.ts: configures the device in the given folder again and again until it is killed. */
import { EtherNetIpSecurity, TcpIpInterface } from "@cipsec/objects";
import { SetPortAdminRequest, encode } from "@cipsec/wire";
import { channels, createCertificate, emptyCsr, must, startDevice } from "./security-device.ts";
import { CertificateManagement } from "@cipsec/objects";

const [, , folder = ""] = process.argv;
const device = await startDevice(folder);
device.channel = channels.psk;
for (let first = true; ; first = false) {
  const count = (device.security.dtlsTimeoutS() + 1) % 3600;
  await must(device.call(EtherNetIpSecurity, 1, "beginConfig"));
  if ((await device.ask(0x5f, 2, 0x0e, undefined, 1)).status === 0)
    await must(device.call(CertificateManagement, 2, "delete"));
  const instance = await createCertificate(device, `certificate ${count}`);
  await must(device.call(CertificateManagement, instance, "createCsr", emptyCsr));
  await must(device.set(EtherNetIpSecurity, 1, "dtlsTimeout", count));
  const key = { identity: Buffer.from("tool"), key: new Uint8Array(16).fill(count & 0xff), usage: 2 };
  await must(device.set(EtherNetIpSecurity, 1, "preSharedKeys", [key]));
  const ports = encode(SetPortAdminRequest, [{ port: 44818, protocol: 6, open: count % 2 === 0 }]);
  await must(device.call(TcpIpInterface, 1, "setPortAdminState", ports));
  await must(device.call(EtherNetIpSecurity, 1, "applyConfig"));
  if (first) process.stdout.write("applied\n");
}
