import { cipherSuite } from "@cipsec/wire";
import { run } from "./programs.ts";
import { isRegistered, registerSession, type Attempt, type TlsClient, type TlsVersion } from "./tls-client.ts";

const versionOption: Readonly<Record<TlsVersion, string>> = {
  "1.0": "-tls1",
  "1.1": "-tls1_1",
  "1.2": "-tls1_2",
  "1.3": "-tls1_3",
};

/** `openssl s_client`, with standard input and output as the data of the connection. */
export const opensslClient: TlsClient = {
  name: "openssl s_client",
  crashesAfterPsk: false,
  suiteName: opensslName,
  async connect(attempt) {
    const { address, anchorsFile } = attempt;
    const args = ["s_client", "-connect", `${address}:2221`, "-brief", "-nocommands", "-no_ign_eof", "-noservername"];
    const trust =
      anchorsFile === undefined ? [] : ["-CAfile", anchorsFile, "-verify_return_error", "-verify_ip", address];
    const { stdout, stderr, signal } = await run(
      "openssl",
      [...args, ...trust, ...identity(attempt), ...offer(attempt)],
      {
        input: registerSession,
        untilOctets: registerSession.length,
      },
    );
    const suite = /^Ciphersuite: (\S+)/mu.exec(stderr)?.[1];
    const version = /^Protocol version: TLSv(\S+)/mu.exec(stderr)?.[1];
    const number = /SSL alert number (\d+)/u.exec(stderr)?.[1];
    return {
      answered: isRegistered(stdout),
      signal,
      log: stderr,
      ...(suite === undefined ? {} : { suite }),
      ...(version === undefined ? {} : { version }),
      ...(number === undefined ? {} : { alert: Number(number) }),
    };
  },
};

/** OpenSSL's name of a suite. */
export function opensslName(id: number): string {
  const name = cipherSuite(id)?.openssl;
  if (name === undefined) throw new Error(`OpenSSL has no suite 0x${id.toString(16)}`);
  return name;
}

/** OpenSSL offers suites that do not encrypt, and old versions, at security level 0 only. */
export function cipherOption(id: number): readonly string[] {
  const suite = cipherSuite(id);
  return suite?.version === "1.3" ? ["-ciphersuites", opensslName(id)] : ["-cipher", `${opensslName(id)}:@SECLEVEL=0`];
}

function offer({ version, suite }: Attempt): readonly string[] {
  const isOld = version === "1.0" || version === "1.1";
  const ciphers = suite !== undefined ? cipherOption(suite) : isOld ? ["-cipher", "ALL:@SECLEVEL=0"] : [];
  return [...(version === undefined ? [] : [versionOption[version]]), ...ciphers];
}

function identity({ caller, psk }: Attempt): readonly string[] {
  const certificate =
    caller === undefined ? [] : ["-cert", caller.certFile, "-cert_chain", caller.certFile, "-key", caller.keyFile];
  return [...certificate, ...(psk === undefined ? [] : ["-psk_identity", psk.identity, "-psk", psk.keyHex])];
}
