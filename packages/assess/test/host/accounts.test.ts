import { beforeAll, describe, expect, test } from "vitest";
import { openHost } from "../../src/host/subject.ts";
import { accountFiles, canMount, hostWith, outcomeOf, quick } from "./ground.ts";

/** Real logins on a real terminal: slow machines need more than the usual time. */
const patienceMs = 240_000;

const broken = `${quick}
echo 'twin:x:0:0::/root:/bin/sh' >>/etc/passwd
echo 'old:x:1902:1902::/nonexistent:/bin/sh' >>/etc/passwd
echo 'old:$1$abcdefgh$G1yYt5zXnQ9qWvG1aM6yv0:19000:0:99999:7:::' >>/etc/shadow
echo 'shipped:x:1903:1903::/nonexistent:/bin/sh' >>/etc/passwd
echo "shipped:$(openssl passwd -6 -salt abcdefgh changeme):19000:0:99999:7:::" >>/etc/shadow
chmod 644 /etc/shadow
touch /etc/product_key; chmod 644 /etc/product_key
sed -i 's/yescrypt/md5/' /etc/pam.d/common-password
`;

const hardened = `${quick}
sed -i 's/ nullok//' /etc/pam.d/common-auth
{ echo 'auth required pam_faillock.so preauth deny=3 unlock_time=900 nodelay'; cat /etc/pam.d/common-auth; } >/tmp/auth
sed -E '/pam_unix/{s/success=[0-9]+/success=2/;a auth [default=die] pam_faillock.so authfail deny=3 unlock_time=900 nodelay
}' /tmp/auth >/etc/pam.d/common-auth
{ echo 'password required pam_pwhistory.so remember=5'; cat /etc/pam.d/common-password; } >/tmp/password
sed -E 's/(pam_unix.so)/\\1 minlen=10 use_authtok/' /tmp/password >/etc/pam.d/common-password
echo 'account required pam_faillock.so' >>/etc/pam.d/common-account
sed -i -E 's/^PASS_MAX_DAYS.*/PASS_MAX_DAYS 90/' /etc/login.defs
`;

let isAble = false;
let before = "";
beforeAll(async () => {
  isAble = await canMount();
  before = await accountFiles();
});

/** Where the kernel lets nobody change mounts, a check must say so and come to no verdict. */
async function refusesToGuess(): Promise<void> {
  await using subject = await openHost({ disruptive: false, signal: new AbortController().signal });
  await expect(outcomeOf(subject, "C-1.1R1")).rejects.toMatchObject({ code: "transport/closed" });
}

describe("a host with planted faults", () => {
  test("numbers that come twice", { timeout: patienceMs }, async () => {
    if (!isAble) return await refusesToGuess();
    await using host = await hostWith(broken);
    const { outcome, bad, stored } = await outcomeOf(host.subject, "C-1.1R1");
    expect(outcome).toBe("fail");
    expect(bad).toEqual(["user numbers that come twice"]);
    expect(stored).toContain("iec_t1");
    expect(stored).not.toMatch(/Vg7-/);
  });

  test("authenticators", { timeout: patienceMs }, async () => {
    if (!isAble) return await refusesToGuess();
    await using host = await hostWith(broken);
    const { outcome, bad } = await outcomeOf(host.subject, "C-1.5");
    expect(outcome).toBe("fail");
    expect(bad).toEqual([
      "mode of /etc/shadow",
      "private keys that others can read",
      "an ordinary user reads the hashes",
      "passwords kept in a weak form",
      "a new password",
      "how the user's change is kept",
      "passwords of the delivery for shipped",
    ]);
  });
});

describe("a hardened host", () => {
  test("wrong logins lock", { timeout: patienceMs }, async () => {
    if (!isAble) return await refusesToGuess();
    await using host = await hostWith(hardened);
    const { outcome, findings, bad } = await outcomeOf(host.subject, "C-1.11");
    expect(bad).toEqual([]);
    expect(outcome).toBe("pass");
    expect(findings.conditions).toContain("su: deny 3, unlock 900 s");
  });
});

test("this machine's accounts and policies are as they were", async () => {
  expect(await accountFiles()).toBe(before);
});
