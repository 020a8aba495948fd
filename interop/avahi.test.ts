import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { networkPeers, privateNetwork, type PrivateNetwork } from "./kit/network.ts";
import { ended, printed, stop, until, withPeers } from "./kit/programs.ts";

const peers = ["avahi-daemon", "avahi-browse", "avahi-publish", "dbus-daemon", ...networkPeers];

withPeers("Avahi at the other end of a wire", peers, () => {
  const folder = mkdtempSync(join(tmpdir(), "cipsec-avahi-"));
  const at = (name: string): string => join(folder, name);
  const bus = `unix:path=${at("bus")}`;
  const run = "/run/avahi-daemon";
  const [here, there] = ["10.36.0.1", "10.36.0.2"];
  let ours: PrivateNetwork;
  let theirs: PrivateNetwork;
  const running: ReturnType<PrivateNetwork["start"]>[] = [];

  const avahi = (program: string, ...words: readonly string[]) => {
    const child = theirs.start("env", [`DBUS_SYSTEM_BUS_ADDRESS=${bus}`, program, ...words]);
    running.push(child);
    return child;
  };
  const cipsec = (what: "announce" | "browse") => {
    const words = ["--conditions=@cipsec/source", "--no-warnings", "interop/kit/dns-sd-process.ts", what, here];
    const child = ours.start(process.execPath, words);
    running.push(child);
    return child;
  };

  beforeAll(async () => {
    [ours, theirs] = await Promise.all([privateNetwork(), privateNetwork()]);
    await ours.join(theirs, here, there);
    // A message bus of its own, where anybody may do anything: nothing else is on it.
    const everything = ["user", "own", "send_destination", "receive_sender"].map((what) => `<allow ${what}="*"/>`);
    writeFileSync(
      at("bus.conf"),
      `<busconfig><type>system</type><listen>${bus}</listen><auth>EXTERNAL</auth><policy context="default">${everything.join("")}</policy></busconfig>`,
    );
    writeFileSync(
      at("avahi.conf"),
      "[server]\nhost-name=peer\nuse-ipv6=no\n[wide-area]\nenable-wide-area=no\n[publish]\npublish-workstation=no\n",
    );
    await printed(avahi("dbus-daemon", `--config-file=${at("bus.conf")}`, "--nofork", "--print-address"), /unix:/);
    // The machine may have one of its own, which keeps its number and its socket in the same folder.
    const apart = `mkdir -p ${run} && mount -t tmpfs tmpfs ${run} && exec avahi-daemon "$@"`;
    const daemon = ["-f", at("avahi.conf"), "--no-drop-root", "--no-chroot", "--no-rlimits"];
    const words = ["--mount", "sh", "-c", apart, "avahi-daemon", ...daemon];
    await printed(avahi("unshare", ...words), /Server startup complete/, 30_000);
  });

  afterAll(async () => {
    await Promise.all(running.map(async (child) => await stop(child)));
    await Promise.all([ours.close(), theirs.close()]);
    rmSync(folder, { recursive: true, force: true });
  });

  /** What avahi-browse has found, once it has nothing more to tell. */
  const browsed = async (): Promise<string> => await ended(avahi("avahi-browse", "-rpt", "_est._tcp"));

  test("avahi-browse finds what we announce, resolves it, and forgets it when we say good-bye", async () => {
    const announcer = cipsec("announce");
    await printed(announcer, /announced/, 30_000);
    let found = "";
    await until(async () => (found = await browsed()).includes("\n="), "our server found", 30_000);
    expect(found).toMatch(/^=;\w+;IPv4;Hall\\0323;_est\._tcp;local;est\.local;10\.36\.0\.1;8443;/m);
    expect(found).toContain('"label=line2"');
    announcer.stdin.end();
    await until(async () => !(await browsed()).includes("Hall"), "our server forgotten", 30_000);
  });

  test("we find what avahi-publish announces, with its port, label and address", async () => {
    await printed(
      avahi("avahi-publish", "-s", "Avahi EST", "_est._tcp", "9443", "txtvers=1", "label=line9"),
      /Established/,
    );
    expect(JSON.parse(await ended(cipsec("browse")))).toEqual([
      { url: "https://peer.local:9443/.well-known/est/line9", source: "mdns", address: there },
    ]);
  });
});
