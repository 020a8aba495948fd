/** A weakness that is planted in a hardened host, and what must be found because of it. */
export interface PlantedFault {
  readonly name: string;
  /** Shell script, run as root in the host after it was hardened. */
  readonly script: string;
  /** Observations that turn bad, `CHECK: name`; nothing else may. */
  readonly finds: readonly string[];
}

/** How a plant's integrator would set the host up: PAM with locks and strength, SSH, a notice, a filter of packets. */
export const hardening = `
[ -s /etc/machine-id ] || tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id
sed -i 's/ nullok//' /etc/pam.d/common-auth
{ echo 'auth required pam_faillock.so preauth deny=3 unlock_time=900 even_deny_root nodelay'
  sed -E 's/pam_unix\\.so/pam_unix.so nodelay/' /etc/pam.d/common-auth; } >/tmp/auth
sed -E '/pam_unix/{s/success=[0-9]+/success=2/;a auth [default=die] pam_faillock.so authfail deny=3 unlock_time=900 even_deny_root nodelay
}' /tmp/auth >/etc/pam.d/common-auth
rm /tmp/auth
echo 'account required pam_faillock.so' >>/etc/pam.d/common-account
sed -i -E '/pam_faildelay/d' /etc/pam.d/login
sed -i -E 's/^(FAIL_DELAY|LOGIN_RETRIES|PASS_MAX_DAYS|UMASK).*//' /etc/login.defs
printf 'FAIL_DELAY 0\\nPASS_MAX_DAYS 90\\nUMASK 027\\n' >>/etc/login.defs
sed -i '/pam_unix.so/i password requisite pam_pwhistory.so remember=5 use_authtok' /etc/pam.d/common-password
printf 'minlen = 12\\nminclass = 4\\nusercheck = 1\\ndictcheck = 1\\nenforce_for_root\\nretry = 1\\n' >/etc/security/pwquality.conf
cat >/etc/ssh/sshd_config.d/plant.conf <<'SSH'
PermitRootLogin no
PermitEmptyPasswords no
Banner /etc/issue.net
MaxStartups 10:30:60
MaxAuthTries 3
LoginGraceTime 30
Ciphers aes256-gcm@openssh.com,aes128-gcm@openssh.com
MACs hmac-sha2-256-etm@openssh.com
KexAlgorithms curve25519-sha256
SSH
echo 'This station belongs to the plant. Use it only if you may; what you do is recorded.' >/etc/issue
cp /etc/issue /etc/issue.net
nft -f - <<'RULES'
table inet filter {
  chain input {
    type filter hook input priority 0; policy drop;
    iif lo accept
    ct state established,related accept
    tcp dport 22 accept
    log prefix "dropped " counter
  }
  chain forward { type filter hook forward priority 0; policy drop; }
  chain output { type filter hook output priority 0; policy accept; }
}
RULES
`;

/** A wrapper that takes a program's place; the program itself is moved aside. */
const wrap = (program: string, body: string): string => `
mv ${program} ${program}.real
cat >${program} <<'PROGRAM'
#!/bin/sh
${body}
PROGRAM
chmod 755 ${program}
`;

/** OpenSSL's `verify` with more options before its last argument, the certificate. */
const verifyWith = (options: string): string =>
  wrap(
    "/usr/bin/openssl",
    `if [ "$1" = verify ]; then
  left=$#
  for one; do
    if [ $left -eq 1 ]; then set -- "$@" ${options}; fi
    set -- "$@" "$one"
    shift
    left=$((left - 1))
  done
fi
exec /usr/bin/openssl.real "$@"`,
  );

const paths = ["su", "console", "ssh"];

export const faults: readonly PlantedFault[] = [
  {
    name: "an account without a password",
    script: "useradd --create-home worker && passwd --delete worker",
    finds: ["C-1.1: accounts without a password"],
  },
  {
    name: "a number that two users have",
    script: "useradd --create-home one && useradd --create-home --non-unique --uid $(id -u one) two",
    finds: ["C-1.1R1: user numbers that come twice"],
  },
  {
    name: "hashes that everybody reads",
    script: "chmod 644 /etc/shadow",
    finds: ["C-1.5: mode of /etc/shadow", "C-1.5: an ordinary user reads the hashes"],
  },
  {
    name: "nullok",
    script: "sed -i 's/pam_unix.so/pam_unix.so nullok/' /etc/pam.d/common-auth",
    finds: ["C-1.1: an account whose password was deleted"],
  },
  {
    name: "no lock after wrong passwords",
    script: "sed -i '/pam_faillock/d; s/success=2/success=1/' /etc/pam.d/common-auth",
    finds: [
      ...paths.map((path) => `lock-out setting on ${path}`),
      ...paths.flatMap((path) => paths.map((other) => `right password on ${other} after 5 wrong ones on ${path}`)),
      ...paths.map((path) => `wrong tries on ${path} are counted`),
    ].map((name) => `C-1.11: ${name}`),
  },
  {
    name: "passwords kept as MD5",
    script: "sed -i 's/yescrypt/md5/' /etc/pam.d/common-password",
    finds: ["C-1.5: a new password", "C-1.5: how the user's change is kept", "C-1.5: passwords kept in a weak form"],
  },
  {
    name: "any password will do",
    script: "sed -i '/pam_pwquality/d; s/ use_authtok//' /etc/pam.d/common-password",
    finds: [
      "a module judges new passwords",
      "root is bound by the rule too",
      "lower case only",
      "lower and upper case only",
      "lower, upper and digits only",
      "the user's name",
      "a word of the dictionary",
    ].map((name) => `C-1.7: ${name}`),
  },
  {
    name: "the password of the delivery",
    script: "useradd --create-home admin && echo admin:admin | chpasswd --crypt-method SHA512",
    finds: ["C-1.5: passwords of the delivery for admin"],
  },
  {
    name: "SHA-1 and short keys accepted",
    script: verifyWith("-auth_level 0"),
    finds: ["C-1.9: f: RSA of 1024 bits", "C-1.9: f: SHA-1"],
  },
  {
    name: "a missing intermediate accepted",
    script: verifyWith("-untrusted /tmp/pki/int.pem"),
    finds: ["C-1.9: b: an intermediate is missing"],
  },
  {
    name: "TLS 1.0 and 1.1",
    script: `sed -i '/^\\[openssl_init\\]/a ssl_conf = ssl_sect' /etc/ssl/openssl.cnf
printf '[ssl_sect]\\nsystem_default = old_sect\\n[old_sect]\\nMinProtocol = TLSv1\\nCipherString = DEFAULT:@SECLEVEL=0\\n' >>/etc/ssl/openssl.cnf`,
    finds: ["C-4.3: TLS 1.0 by default", "C-4.3: TLS 1.1 by default"],
  },
  {
    name: "forwarding between networks",
    script: "sysctl -w net.ipv4.ip_forward=1 || echo 1 >/proc/sys/net/ipv4/ip_forward",
    finds: ["C-5: forwarding between networks"],
  },
  {
    name: "a filter of packets that lets everything in",
    script: "nft flush ruleset",
    finds: ["C-5: traffic that no rule allows", "C-5: attempts from untrusted networks"],
  },
  {
    name: "no notice before the login",
    script: ": >/etc/issue; sed -i '/^Banner/d' /etc/ssh/sshd_config.d/plant.conf",
    finds: ["C-1.12: notice on the console", "C-1.12: notice over SSH"],
  },
  {
    name: "weak algorithms of the SSH server",
    script:
      "sed -i 's/^MACs .*/MACs hmac-sha1,hmac-md5/; s/^Ciphers .*/Ciphers aes128-cbc,aes256-gcm@openssh.com/' /etc/ssh/sshd_config.d/plant.conf",
    finds: ["C-1.9: f: algorithms of the SSH server", "C-4.1: algorithms of the SSH server"],
  },
  {
    name: "a private key that everybody reads",
    script:
      "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out /etc/ssl/private/line_key 2>/dev/null; chmod 755 /etc/ssl/private; chmod 644 /etc/ssl/private/line_key",
    finds: ["C-1.5: private keys that others can read"],
  },
];
