import { UsageError } from "@cipsec/wire";
import type { AccountBench } from "./accounts.ts";

/**
 * Root, intermediate, leaves, and lists, in `/tmp/pki` of the private view, by the host's own OpenSSL. Each bad one is bad in one
 * way alone. Security level 0 for making them: the host must be able to make what it must refuse.
 */
const script = `set -e
mkdir -p /tmp/pki; cd /tmp/pki; chmod 755 .
cat >ca.cnf <<'END'
openssl_conf = none
[none]
[req]
distinguished_name = dn
[dn]
[ca]
default_ca = test
[test]
database = index
serial = serial
crlnumber = crlnumber
default_md = sha256
default_crl_days = 30
new_certs_dir = .
policy = any
[any]
commonName = supplied
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[last]
basicConstraints = critical, CA:true, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[leaf]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = DNS:device.test
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
END
: >index; echo 1000 >crlnumber
ec() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }
request() { openssl req -new -config ca.cnf -key "$1.key" -subj "/CN=$1" -out "$1.csr"; }
sign() { # who, by whom, extensions, digest
  openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -days 90 "-$4" -set_serial "0x$(openssl rand -hex 8)" \
    -extfile ca.cnf -extensions "$3" -out "$1.pem"
}
selfsigned() { ec "$1"; openssl req -new -x509 -config ca.cnf -extensions authority -key "$1.key" -subj "/CN=$1" -days 90 -out "$1.pem"; }
selfsigned root; selfsigned other
ec int; request int; sign int root last sha256
for name in leaf revoked ra; do ec $name; request $name; sign $name int leaf sha256; done
ec below-leaf; request below-leaf; sign below-leaf leaf leaf sha256
ec deep; request deep; sign deep int authority sha256
ec below-deep; request below-deep; sign below-deep deep leaf sha256
openssl genrsa -out rsa3072.key 3072; request rsa3072; sign rsa3072 int leaf sha256
openssl genrsa -out rsa1024.key 1024; request rsa1024; sign rsa1024 int leaf sha256
ec sha1; request sha1; sign sha1 int leaf sha1
openssl ca -config ca.cnf -keyfile int.key -cert int.pem -revoke revoked.pem
openssl ca -config ca.cnf -keyfile int.key -cert int.pem -gencrl -out crl.pem
openssl ca -config ca.cnf -keyfile int.key -cert int.pem -gencrl -crl_lastupdate 20200101000000Z -crl_nextupdate 20200201000000Z -out old-crl.pem
chmod 644 ./*.pem
`;

/**
 * Makes the test authority.
 *
 * @throws {UsageError} `usage/state` when the host's OpenSSL cannot.
 */
export async function makeTestPki(bench: AccountBench): Promise<void> {
  const made = await bench.see("authority", ["sh", "-c", script], { timeoutMs: 60_000 });
  if (made.exit !== 0)
    throw new UsageError(
      "usage/state",
      `certificates to try with could not be made: ${made.stderr.trim().slice(-300)}`,
    );
  const leaf = await bench.runner.run(["openssl", "x509", "-in", "/tmp/pki/leaf.pem", "-outform", "PEM"]);
  await bench.runner.run(["tee", "/tmp/pki/bit.pem"], { input: withBitChanged(leaf.stdout) });
  await bench.runner.run(["chmod", "644", "/tmp/pki/bit.pem"]);
}

/** A PEM certificate with the last bit but some of its signature changed: its last octets are the signature's. */
export function withBitChanged(pem: string): string {
  const octets = Buffer.from(pem.replaceAll(/-----[A-Z ]+-----|\s/g, ""), "base64");
  const at = octets.length - 5;
  octets[at] = (octets[at] ?? 0) ^ 0x01;
  const lines = octets.toString("base64").match(/.{1,64}/g) ?? [];
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n");
}
