import type { Check } from "../../check.ts";
import { capability, control, negative, type Observation } from "../../observation.ts";
import { forgetFailures, newPassword, openAccounts, withoutDelays } from "../accounts.ts";
import { makeBench } from "../bench.ts";
import { mustBeRefused, mustLogIn, openPaths, seeSshd, type LoginResult } from "../login.ts";
import { parsePasswd, parseShadow } from "../parse/accounts.ts";
import { parseSshd } from "../parse/settings.ts";
import type { HostSubject } from "../subject.ts";

/** Programs that are not shells: an account that has one of these is nobody's. */
const noShell = /\/(?:nologin|false|sync|halt|shutdown)$/;

/** C-1.1: every way in asks for a secret, and takes the right one only. */
export const humanUsers: Check<HostSubject> = {
  id: "C-1.1",
  version: "1.0",
  title: "People are identified and authenticated on every way in",
  requirements: ["CR 1.1"],
  part: "whole",
  method: "test",
  crossReferences: ["TC_CR1.1_1", "TC_CR1.1_2"],
  needs: ["root"],
  estimateMs: 60_000,
  async run(subject, recorder) {
    const host = makeBench(subject, recorder);
    const accounts = await host.see("accounts", ["getent", "passwd"]);
    const people = parsePasswd(accounts.stdout).filter(
      ({ uid, shell }) => (uid === 0 || uid >= 1000) && !noShell.test(shell),
    );
    const terminals = await host.see("terminals", ["sh", "-c", "ps -eo args= | grep -E '[g]etty' || true"]);
    const sockets = await host.see("sockets", ["ss", "-Htulnp"]);
    const shadow = parseShadow(await host.readSecretly(["cat", "/etc/shadow"]));
    const states = [await recorder.settings("passwords", shadow)];
    const empty = shadow.filter(({ state }) => state === "empty").map(({ name }) => name);
    const observations: Observation[] = [
      capability({
        name: "people's accounts",
        expected: "a list of all accounts that a person can use",
        observed: people.map(({ name, uid }) => `${name} (${uid})`).join(", ") || "none",
        holds: accounts.exit === 0 && people.length > 0,
        evidence: accounts.evidence,
      }),
      capability({
        name: "accounts without a password",
        expected: "none",
        observed: empty.length === 0 ? "none" : empty.join(", "),
        holds: shadow.length === 0 ? undefined : empty.length === 0,
        evidence: states,
      }),
    ];
    if (await subject.has("sshd")) {
      const seen = await seeSshd(host, "sshd");
      const settings = parseSshd(seen.stdout);
      const allows = settings.get("permitemptypasswords")?.[0];
      observations.push(
        capability({
          name: "SSH and empty passwords",
          expected: "permitemptypasswords no",
          observed: `permitemptypasswords ${allows ?? "could not be read"}, permitrootlogin ${settings.get("permitrootlogin")?.[0] ?? "?"}, usepam ${settings.get("usepam")?.[0] ?? "?"}`,
          holds: allows === undefined ? undefined : allows === "no",
          evidence: seen.evidence,
        }),
      );
    }
    await using bench = await openAccounts(subject, recorder);
    await withoutDelays(bench);
    const { paths, door, limits } = await openPaths(bench);
    await using _door = door;
    const wrong = newPassword(recorder);
    // One after the other: wrong tries at the same time would lock the account for each other.
    for (const path of paths) {
      const { name } = path;
      const right = await mustLogIn(bench, path, `${name}-right`, bench.first);
      const refused = async (what: string, user: string, secret: string): Promise<Observation> =>
        negative({
          name: `${what} on ${name}`,
          expected: "refused",
          ...(await mustBeRefused(bench, path, `${name}-${what.replaceAll(" ", "-")}`, user, secret)),
        });
      observations.push(
        control({ name: `right password on ${name}`, expected: "logged in", ...right }),
        await refused("wrong password", bench.first.name, wrong),
        await refused("empty password", bench.first.name, ""),
        await refused("unknown user", "iec_nobody", wrong),
      );
    }
    await bench.see("passwd-delete", ["passwd", "--delete", bench.first.name]);
    const bare: { path: string; result: LoginResult }[] = [];
    for (const path of paths) {
      await forgetFailures(bench, bench.first.name);
      const result = await path.attempt(bench, `${path.name}-no-password`, bench.first.name, "");
      bare.push({ path: path.name, result });
    }
    const open = bare.filter(({ result }) => result.isIn).map(({ path }) => path);
    observations.push(
      capability({
        name: "an account whose password was deleted",
        expected: "cannot log in",
        observed: open.length === 0 ? "refused" : `logged in without a secret on ${open.join(", ")}`,
        holds: open.length === 0,
        otherwise: "partial",
        evidence: bare.flatMap(({ result }) => result.evidence),
      }),
    );
    const ports = new Set(sockets.stdout.split("\n").filter((line) => line.startsWith("tcp")));
    return {
      observations,
      howMet: `PAM authenticates people on ${paths.map(({ name }) => name).join(", ")}: the right password lets in, a wrong, an empty one and an unknown user do not.`,
      conditions: [
        `accounts of people: ${people.map(({ name }) => name).join(", ")}`,
        `terminals: ${terminals.stdout.trim().split("\n").filter(Boolean).join("; ") || "none running"}`,
        "tried in a private copy of the host's accounts and policies",
      ],
      limits: [
        ...limits,
        `${ports.size} listening TCP ports: logins of the product's own (web, serial) were not tried`,
      ],
      userAction:
        "List the people and the interfaces of the product, say how each logs in, and add proof for methods of your own.",
      ...(open.length === 0
        ? {}
        : { deviation: "An account without a password can be used; take `nullok` out of the PAM stack." }),
    };
  },
};
