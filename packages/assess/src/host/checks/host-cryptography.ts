import { randomInt } from "node:crypto";
import type { Check } from "../../check.ts";
import { capability, control, negative, repeated } from "../../observation.ts";
import { openAccounts } from "../accounts.ts";
import { makeBench } from "../bench.ts";
import { numberOf } from "../parse/settings.ts";
import { makeTestPki } from "../test-pki.ts";
import type { HostSubject } from "../subject.ts";

/** The policy that is asked for, named with its date as C-4.3 wants. */
const policy =
  "TLS 1.2 and later (NIST SP 800-52r2, 2019); no MD5, RC4, DES, 3DES, RSA below 2048 (NIST SP 800-131A r2, 2019)";

/** A server and a client of the host's own OpenSSL, as they are without options; the client asks for one version alone. */
const handshakeScript = `cd /tmp/pki
openssl s_server -accept "127.0.0.1:$1" -cert leaf.pem -key leaf.key -quiet >/dev/null 2>&1 &
server=$!
tries=0
until ss -Htln "sport = :$1" | grep -q . || [ $tries -ge 50 ]; do tries=$((tries + 1)); sleep 0.1; done
openssl s_client -connect "127.0.0.1:$1" "$2" </dev/null 2>&1
kill $server
`;

/** C-4.3: the host's cryptography is of today. */
export const hostCryptography: Check<HostSubject> = {
  id: "C-4.3",
  version: "1.0",
  title: "Cryptography follows a policy",
  requirements: ["CR 4.3"],
  part: "whole",
  method: "test",
  needs: ["root"],
  estimateMs: 5000,
  async run(subject, recorder) {
    const bench = makeBench(subject, recorder);
    if (!(await subject.has("openssl")))
      return {
        observations: [
          capability({ name: "openssl", expected: "installed", observed: "it is not installed", holds: undefined }),
        ],
      };
    const version = await bench.see("version", ["openssl", "version", "-a"]);
    const suites = async (name: string, ...args: readonly string[]) =>
      await bench.see(name, ["openssl", "ciphers", "-s", "-v", ...args]);
    const usual = await suites("suites", "DEFAULT");
    const weak = usual.stdout.split("\n").filter((line) => /RC4|3?DES\(|NULL|MD5|EXP|Enc=None|Au=None/.test(line));
    const ready = await bench.see("random", ["cat", "/proc/sys/kernel/random/entropy_avail"]);
    const entropy = numberOf(ready.stdout.trim());
    await using view = await openAccounts(subject, recorder);
    await makeTestPki(view);
    const handshake = async (protocol: string, run: number) => {
      const port = 20_000 + randomInt(20_000);
      const seen = await view.see(`handshake${protocol}-${run}`, [
        "sh",
        "-c",
        handshakeScript,
        "sh",
        String(port),
        protocol,
      ]);
      return { seen, agreed: /^New, (TLSv[\d.]+), Cipher is/m.exec(seen.stdout)?.[1] };
    };
    const old = async (protocol: string) =>
      await repeated(async (run) => {
        const { seen, agreed } = await handshake(protocol, run);
        return {
          holds: agreed === undefined,
          observed: agreed === undefined ? "refused" : `agreed on ${agreed}`,
          evidence: seen.evidence,
        };
      });
    const small = await repeated(async (run) => {
      const key = await bench.see(`md5-${run}`, [
        "sh",
        "-c",
        "openssl req -x509 -newkey rsa:1024 -nodes -keyout /dev/null -subj /CN=small -md5 -days 1 2>/dev/null | openssl verify -auth_level 2 -CAfile /dev/null 2>&1",
      ]);
      return { holds: key.exit !== 0, observed: key.exit === 0 ? "accepted" : "refused", evidence: key.evidence };
    });
    const modern = await handshake("-tls1_2", 1);
    return {
      observations: [
        control({
          name: "TLS 1.2",
          expected: "agreed",
          observed: modern.agreed ?? "refused",
          holds: modern.agreed !== undefined,
          evidence: modern.seen.evidence,
        }),
        capability({
          name: "weak suites by default",
          expected: "none",
          observed: weak.length === 0 ? "none" : weak.map((line) => line.split(/\s+/)[0]).join(", "),
          holds: usual.exit === 0 ? weak.length === 0 : undefined,
          evidence: usual.evidence,
        }),
        negative({ name: "TLS 1.0 by default", expected: "refused", ...(await old("-tls1")) }),
        negative({ name: "TLS 1.1 by default", expected: "refused", ...(await old("-tls1_1")) }),
        negative({ name: "a certificate with RSA of 1024 bits and MD5", expected: "refused", ...small }),
        capability({
          name: "the kernel's random numbers",
          expected: "seeded (256 bits)",
          observed: `${entropy ?? "unknown"} bits`,
          holds: entropy === undefined ? undefined : entropy >= 256,
          evidence: ready.evidence,
        }),
      ],
      howMet: `OpenSSL (${version.stdout.split("\n")[0] ?? ""}) offers nothing by default that the policy forbids.`,
      conditions: [`policy: ${policy}`],
      limits: [
        "each listening TLS port of the product: assess it as an endpoint (B-4.3)",
        "life cycles of keys: a person must tell",
      ],
      userAction: "Follow a national or NIST list of ciphers, and write down which and of what date.",
    };
  },
};
