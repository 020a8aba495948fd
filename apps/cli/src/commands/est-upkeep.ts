import { existsSync, statSync } from "node:fs";
import { isIP } from "node:net";
import {
  createCsr,
  hasUpstream,
  makeKeyPair,
  readEnrolPolicy,
  renewsAt,
  samePublicKey,
  writeFileAtomic,
  writeKeyFile,
  type Certificate,
  type CertificateAuthority,
  type EnrolPolicy,
  type EstListener,
} from "@cipsec/pki";
import { isStackError, UsageError } from "@cipsec/wire";
import { textOption, type Context } from "../command.ts";
import { readIdentity, readInput, type CallerIdentity } from "../data-folder.ts";

type Options = Readonly<Record<string, unknown>>;

/** Rules of a file, as it stands. */
export interface Rules {
  current(): EnrolPolicy;
  /** Reads the file again where it has changed, or in any case; a file that is wrong changes nothing, and is told. */
  look(anyway: boolean): Promise<void>;
}

/** Opens the rules of a file; without one, what is given stays. */
export async function openRules(context: Context, file: string | undefined, otherwise: EnrolPolicy): Promise<Rules> {
  if (file === undefined) return { current: () => otherwise, look: () => Promise.resolve() };
  const read = async (): Promise<EnrolPolicy> => readEnrolPolicy(Buffer.from(await readInput(file)).toString("utf8"));
  let seen = stamp(file);
  let policy = await read();
  return {
    current: () => policy,
    async look(anyway) {
      const now = stamp(file);
      if (now === seen && !anyway) return;
      seen = now;
      try {
        policy = await read();
        context.output.notice(`The rules of ${file} are in force: ${policy.rules.map(({ name }) => name).join(", ")}.`);
      } catch (error) {
        if (!isStackError(error)) throw error;
        context.output.notice(`warning: the rules of ${file} are not taken, the ones before stay: ${error.message}`);
      }
    },
  };
}

/** Tells one state of a file from the next. */
function stamp(file: string): string {
  const found = statSync(file, { bigint: true, throwIfNoEntry: false });
  return found === undefined ? "" : `${found.ino} ${found.size} ${found.mtimeNs}`;
}

/**
 * The server's own certificate: given, or of the plant's authority, made anew when days ask for it, another authority issues now, or, at the
 * start of the server, names are missing.
 */
export async function serverIdentity(
  context: Context,
  options: Options,
  ca: CertificateAuthority,
  host: string,
  isStart = true,
): Promise<CallerIdentity> {
  const [cert, key] = [textOption(options, "cert"), textOption(options, "key")];
  if (cert !== undefined && key !== undefined) return await readIdentity(cert, key);
  const [certFile, keyFile] = [context.data.file("est", "server.pem"), context.data.file("est", "server.key.pem")];
  const more = Array.isArray(options["name"]) ? options["name"].map(String) : [];
  const announced = textOption(options, "announce");
  const names = [...new Set([host, ...more, ...(announced === undefined ? [] : [announced])])];
  const san = { ip: names.filter((name) => isIP(name) !== 0), dns: names.filter((name) => isIP(name) === 0), uri: [] };
  if (existsSync(certFile)) {
    const kept = await readIdentity(certFile, keyFile);
    const { facts, constraints, publicKey } = leafOf(kept);
    const fits =
      san.ip.every((name) => facts.san.ip.includes(name)) && san.dns.every((name) => facts.san.dns.includes(name));
    // Which of the authorities above issues is theirs to know.
    const isOfIssuer = hasUpstream(ca.folder) || constraints.authorityKeyId === ca.issuing.constraints.subjectKeyId;
    // Names are asked for once: an authority that does not give them would be asked without end.
    // A crash between the two files leaves a key without its certificate.
    const isWhole = samePublicKey(publicKey, kept.key);
    if (new Date() < renewsAt(facts) && (fits || !isStart) && isOfIssuer && isWhole) return kept;
  }
  const { privateKey } = await makeKeyPair();
  const csr = await createCsr({ subject: { organization: ca.name, commonName: "cipsec est" }, san, privateKey });
  const { chain, chainPem } = await ca.issue({ profile: "tool", server: true, csr });
  await writeKeyFile(keyFile, privateKey);
  await writeFileAtomic(certFile, chainPem);
  return { chain, key: privateKey };
}

/** The certificate of an identity itself. */
export function leafOf({ chain: [leaf] }: CallerIdentity): Certificate {
  if (leaf === undefined) throw new UsageError("usage/file", "the server's certificate file holds no certificate");
  return leaf;
}

/** How often the rules file is looked at; a person waits for it. */
const rulesMs = 1000;

/** How often the authority and the server's certificate are looked at; SIGHUP has it done at once. */
const identityMs = 60_000;

/**
 * Keeps a server going for years: rules that are changed, or SIGHUP, and its own certificate, which it renews at two thirds of its life and
 * when another authority issues. What fails is told, and tried again.
 *
 * @returns How to end it.
 */
export function keepUp(
  context: Context,
  rules: Rules,
  identity: { current: CallerIdentity; look(): Promise<CallerIdentity> },
  listener: EstListener,
): () => void {
  const told = (work: () => Promise<void>) => (): void => {
    work().catch((error: unknown) => {
      context.output.notice(`warning: ${error instanceof Error ? error.message : String(error)}`);
    });
  };
  const renew = async (): Promise<void> => {
    const next = await identity.look();
    if (leafOf(next).facts.sha256 === leafOf(identity.current).facts.sha256) return;
    identity.current = next;
    listener.renew(next);
    context.output.notice(`The server has a new certificate, until ${leafOf(next).facts.notAfter.toISOString()}.`);
  };
  const onHangUp = told(async () => {
    await rules.look(true);
    await renew();
  });
  const timers = [
    setInterval(
      told(async () => await rules.look(false)),
      rulesMs,
    ),
    setInterval(told(renew), identityMs),
  ];
  process.on("SIGHUP", onHangUp);
  return () => {
    for (const timer of timers) clearInterval(timer);
    process.off("SIGHUP", onHangUp);
  };
}
