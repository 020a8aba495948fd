import { describe, expect, test } from "vitest";
import { weakAlgorithms } from "../../src/host/checks/certificate-cases.ts";
import { hasOption } from "../../src/host/checks/foreign-code.ts";
import { isNotice } from "../../src/host/checks/login-notice.ts";
import { hostChecks } from "../../src/host/checks.ts";
import { parseBlockDevices } from "../../src/host/parse/block-devices.ts";
import { parseRuleset } from "../../src/host/parse/ruleset.ts";
import { compareSamples, median } from "../../src/host/statistics.ts";

describe("times of logins", () => {
  const around = (middle: number): readonly number[] => Array.from({ length: 60 }, (_, at) => middle + (at % 7) * 0.1);

  test("the middle of a sample", () => {
    expect([median([3, 1, 2]), median([4, 1, 2, 3]), median([])]).toEqual([2, 2.5, Number.NaN]);
  });

  test("equal samples: the interval holds nought, and p is large", () => {
    const { difference, low, high, p } = compareSamples(around(10), around(10));
    expect([difference, low <= 0 && high >= 0]).toEqual([0, true]);
    expect(p).toBeCloseTo(1, 5);
  });

  test("samples that differ: the interval is around the difference, and p is small", () => {
    const { difference, low, high, p } = compareSamples(around(15), around(10));
    expect(difference).toBeCloseTo(5, 9);
    expect([low > 4.5, high < 5.5, p < 1e-6]).toEqual([true, true, true]);
  });

  test("Mann and Whitney by hand: 3 of 3 above 3 of 3 is u = 9, z = 1.964", () => {
    expect(compareSamples([4, 5, 6], [1, 2, 3]).p).toBeCloseTo(0.0495, 3);
  });
});

test("a packet passes only where every chain of a hook lets it", () => {
  const text = `table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established accept
		log prefix "in: " drop
	}
	chain forward {
		type filter hook forward priority filter; policy accept;
	}
}
table ip more {
	chain early {
		type filter hook input priority -10; policy accept;
	}
}
`;
  expect([...parseRuleset(text).policies]).toEqual([
    ["input", "drop"],
    ["forward", "accept"],
  ]);
  expect(parseRuleset(text).hasLog).toBe(true);
  expect(parseRuleset("")).toEqual({ policies: new Map(), hasLog: false });
});

test("what lies in a LUKS container is encrypted", () => {
  const text = JSON.stringify({
    blockdevices: [
      {
        name: "sda",
        type: "disk",
        fstype: null,
        mountpoint: null,
        children: [
          { name: "sda1", type: "part", fstype: "ext4", mountpoint: "/" },
          {
            name: "sda2",
            type: "part",
            fstype: "crypto_LUKS",
            mountpoint: null,
            children: [{ name: "home", type: "crypt", fstype: "ext4", mountpoint: "/home" }],
          },
        ],
      },
    ],
  });
  expect(parseBlockDevices(text)).toEqual([
    { name: "sda1", mountpoint: "/", isEncrypted: false },
    { name: "home", mountpoint: "/home", isEncrypted: true },
  ]);
  expect([parseBlockDevices("{"), parseBlockDevices("[1]")]).toEqual([undefined, undefined]);
});

test("the mount that a folder lies in decides", () => {
  const mounts = "/dev/a / ext4 rw,noexec 0 0\ntmpfs /tmp tmpfs rw,nosuid,noexec 0 0\n/dev/b /home ext4 rw 0 0\n";
  expect(["/tmp", "/home/x", "/homely", "/var"].map((folder) => hasOption(mounts, folder, "noexec"))).toEqual([
    true,
    false,
    true,
    true,
  ]);
});

test.each([
  ["Debian GNU/Linux 12 \\n \\l", false],
  ["", false],
  ["Property of the plant. Use is watched and recorded.", true],
])("a notice: %j is %s", (text, is) => expect(isNotice(text)).toBe(is));

test("weak algorithms of an SSH server", () => {
  const settings = new Map([
    ["ciphers", ["chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes128-cbc,3des-cbc"]],
    ["macs", ["hmac-sha2-256-etm@openssh.com,hmac-sha1,umac-64@openssh.com,umac-128@openssh.com"]],
    ["kexalgorithms", ["curve25519-sha256,diffie-hellman-group16-sha512,diffie-hellman-group14-sha1"]],
    ["hostkeyalgorithms", ["ssh-ed25519,rsa-sha2-512,ssh-rsa"]],
  ]);
  expect(weakAlgorithms(settings)).toEqual([
    "aes128-cbc",
    "3des-cbc",
    "hmac-sha1",
    "umac-64@openssh.com",
    "diffie-hellman-group14-sha1",
    "ssh-rsa",
  ]);
});

test("checks: ids are unique, all need root, and each names what it speaks about", () => {
  expect(new Set(hostChecks.map(({ id }) => id)).size).toBe(hostChecks.length);
  expect(hostChecks.filter(({ needs, requirements }) => !needs.includes("root") || requirements.length === 0)).toEqual(
    [],
  );
});
