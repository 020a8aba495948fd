import { execFileSync } from "node:child_process";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { launchOverSsh, shellLine, shellWord } from "../../src/host/launch.ts";
import { duplicates, hashType, parseGroup, parsePasswd, parseShadow } from "../../src/host/parse/accounts.ts";
import { lockoutPolicy } from "../../src/host/parse/lockout.ts";
import { pamStack } from "../../src/host/parse/pam.ts";
import { passwordPolicy } from "../../src/host/parse/password-policy.ts";
import { parseSettings, parseSshd } from "../../src/host/parse/settings.ts";
import { parseSockets } from "../../src/host/parse/sockets.ts";
import { parsePamFiles } from "../../src/host/read-pam.ts";

describe("accounts", () => {
  test("passwd and group", () => {
    expect(parsePasswd("root:x:0:0:root:/root:/bin/bash\nbad line\nx:y:z\n")).toEqual([
      { name: "root", uid: 0, gid: 0, home: "/root", shell: "/bin/bash" },
    ]);
    expect(parseGroup("shadow:*:42:\nno:x:\n")).toEqual([{ name: "shadow", gid: 42 }]);
  });

  test.each([
    ["", "empty", undefined],
    ["*", "none", undefined],
    ["!", "none", undefined],
    ["!$6$salt$hash", "locked", "sha512"],
    ["$y$j9T$salt$hash", "hash", "yescrypt"],
    ["$6$salt$hash", "hash", "sha512"],
    ["$1$salt$hash", "weak-hash", "md5"],
    ["$5$salt$hash", "weak-hash", "sha256"],
    ["abJnggxhB/yWI", "weak-hash", "des"],
  ])("a password field %j is %s", (field, state, hash) => {
    expect(parseShadow(`u:${field}:19000:0:90:7:::`)).toEqual([{ name: "u", state, hash, maxDays: 90 }]);
  });

  test("an unknown hash is not a strong one", () => expect(hashType("$zz$x").isStrong).toBe(false));

  test("values that come twice", () => expect(duplicates([0, 1, 0, 2, 2, 0])).toEqual([0, 2]));
});

const pam = parsePamFiles(`=== common-auth
auth	[success=1 default=ignore]	pam_unix.so nullok
auth	requisite			pam_deny.so
=== login
# auth required pam_commented.so
auth       optional   pam_faildelay.so  delay=3000000
-auth  sufficient /lib/security/pam_oath.so \\
  usersfile=/etc/oath [x y=z]
@include common-auth
session required pam_limits.so
=== ring
@include ring
auth required pam_unix.so
`);

describe("PAM", () => {
  test("the modules that are called, in order, with includes", () => {
    expect(pamStack(pam, "login", "auth").map(({ module, args }) => [module, ...args])).toEqual([
      ["pam_faildelay", "delay=3000000"],
      ["pam_oath", "usersfile=/etc/oath", "x y=z"],
      ["pam_unix", "nullok"],
      ["pam_deny"],
    ]);
  });

  test("a ring of includes ends", () => expect(pamStack(pam, "ring", "auth").length).toBeLessThan(20));

  test("a module that is not in the stack counts nothing, whatever its file says", () => {
    const stack = pamStack(pam, "login", "auth");
    expect(lockoutPolicy(stack, "deny = 3\n")).toBeUndefined();
    expect(passwordPolicy([], "minlen = 20\n", "")).toMatchObject({ module: undefined, minLength: 6 });
  });

  test("what stands in the stack counts before the file", () => {
    const files = new Map([["su", "auth required pam_faillock.so preauth deny=5\n"]]);
    expect(lockoutPolicy(pamStack(files, "su", "auth"), "deny = 3\nunlock_time = 60\neven_deny_root\n")).toEqual({
      deny: 5,
      unlockS: 60,
      locksRoot: true,
    });
    expect(lockoutPolicy(pamStack(files, "su", "auth"), "unlock_time = never")?.unlockS).toBe(0);
  });

  test("a password policy", () => {
    const files = new Map([
      [
        "passwd",
        "password requisite pam_pwquality.so retry=3\npassword required pam_pwhistory.so remember=5\npassword sufficient pam_unix.so use_authtok",
      ],
    ]);
    expect(
      passwordPolicy(
        pamStack(files, "passwd", "password"),
        "# minlen = 8\nminlen = 12\nminclass=3\nenforce_for_root\n",
        "PASS_MAX_DAYS\t90\n",
      ),
    ).toEqual({
      module: "pam_pwquality",
      minLength: 12,
      minClasses: 3,
      bindsRoot: true,
      remembers: 5,
      maxDays: 90,
    });
  });
});

test("settings and their quotes", () => {
  const settings = parseSettings(
    `PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nUMASK  022 # comment\nenforce_for_root\n#X=1\n`,
  );
  expect([...settings]).toEqual([
    ["PRETTY_NAME", "Debian GNU/Linux 12 (bookworm)"],
    ["UMASK", "022"],
    ["enforce_for_root", ""],
  ]);
});

test("sshd -T keeps every value", () => {
  const settings = parseSshd("port 22\nport 2222\npermitemptypasswords no\n");
  expect(settings.get("port")).toEqual(["22", "2222"]);
  expect(settings.get("permitemptypasswords")).toEqual(["no"]);
});

test("listening sockets", () => {
  const text = `udp   UNCONN 0      0            0.0.0.0%eth0:68        0.0.0.0:*    users:(("dhclient",pid=301,fd=7))
tcp   LISTEN 0      128             [::]:22           [::]:*    users:(("sshd",pid=1,fd=4))
tcp   LISTEN 0      511    [::ffff:127.0.0.1]:9000     *:*
nonsense
`;
  expect(parseSockets(text)).toEqual([
    { protocol: "udp", address: "0.0.0.0", port: 68, program: "dhclient", isLoopback: false },
    { protocol: "tcp", address: "::", port: 22, program: "sshd", isLoopback: false },
    { protocol: "tcp", address: "::ffff:127.0.0.1", port: 9000, program: undefined, isLoopback: true },
  ]);
});

test("parsers take any text", () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 200, unit: "binary" }), (text) => {
      parsePasswd(text);
      parseGroup(text);
      parseShadow(text);
      parseSettings(text);
      parseSshd(text);
      parseSockets(text);
      pamStack(parsePamFiles(text), "login", "auth");
    }),
  );
});

describe("words for a shell", () => {
  test("a shell gives back what was put in", () => {
    const words = fc.array(
      fc.string({ maxLength: 12 }).filter((text) => !text.includes("\0")),
      { minLength: 1, maxLength: 4 },
    );
    fc.assert(
      fc.property(words, (argv) => {
        const line = `printf '%s\\0' ${shellLine(argv)}`;
        expect(execFileSync("sh", ["-c", line], { encoding: "utf8" })).toBe(argv.map((word) => `${word}\0`).join(""));
      }),
      { numRuns: 25 },
    );
  });

  test("an empty word stays a word", () => expect(shellWord("")).toBe("''"));
});

describe("SSH", () => {
  test("the key must be known, nothing is asked, and the command is quoted", () => {
    const { file, args } = launchOverSsh("plc@192.0.2.7", "/run/x/c")(["echo", "a b; reboot"]);
    expect(file).toBe("ssh");
    expect(args).toContain("StrictHostKeyChecking=yes");
    expect(args).toContain("BatchMode=yes");
    expect(args.slice(-3)).toEqual(["--", "plc@192.0.2.7", "echo 'a b; reboot'"]);
  });

  test.each(["-oProxyCommand=reboot", "a b", "x@-y", "h;id", "", "user@host\n"])("refuses %j", (destination) => {
    expect(() => launchOverSsh(destination, "/run/x/c")).toThrow(expect.objectContaining({ code: "usage/argument" }));
  });
});
