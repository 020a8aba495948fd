import { requirements } from "./requirement.ts";

/** Foundational requirement 4; own paraphrases, never the standard's text. */
export const fr4 = requirements([
  {
    id: "CR 4.1",
    title: "Information confidentiality",
    summary: "Information with restricted readers is protected stored and moving.",
    firstLevel: 1,
    odva: {
      body: "partial",
      table: "partial",
      how: "TLS/DTLS suites with encryption protect data in transit.",
      note: "Partial because data at rest is outside. Null-encryption suites must not be in use.",
    },
    cipLinux: {
      verdict: "met",
      how: "OpenSSL and SSH for transit; kernel crypto and LUKS partitions for home and var with the passphrase held by a TPM for rest.",
      userAction:
        "Close or block UDP port 68 (DHCP client), for example with nftables, if its data matters in the product.",
      tests: ["TC_CR4.1_1", "TC_CR4.1_2"],
      source: "linux-fr4-fr5",
    },
  },
  {
    id: "CR 4.2",
    title: "Information persistence",
    summary: "Confidential information can be wiped when the component leaves service or its role.",
    firstLevel: 2,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "Keeping of data inside the component is outside.",
    },
    cipLinux: {
      verdict: "met",
      how: "shred and dd overwrite files and whole devices; newer images add a factory reset.",
      userAction: "Use shred and dd, or support factory reset.",
      source: "linux-fr4-fr5",
    },
  },
  {
    id: "CR 4.2 RE(1)",
    title: "Erase of shared memory resources",
    summary: "Volatile shared memory gives nothing away to the next user.",
    firstLevel: 3,
    odva: {
      note: "Not mentioned anywhere in the paper, neither in the body nor in Table 3.",
    },
    cipLinux: {
      publicVerdict: "not-applicable",
      how: "Listed as not applicable in a public draft; section number 4 is missing from the FR-4 and FR-5 report.",
      tests: ["TC_CR4.2-RE1_1"],
      source: "linux-public",
    },
  },
  {
    id: "CR 4.2 RE(2)",
    title: "Erase verification",
    summary: "It can be verified that wiping worked.",
    firstLevel: 3,
    odva: {
      note: "Not mentioned anywhere in the paper, neither in the body nor in Table 3.",
    },
    cipLinux: {
      publicVerdict: "not-applicable",
      how: "Listed as not applicable in a public draft; section number 4 is missing from the FR-4 and FR-5 report.",
      tests: ["TC_CR4.2-RE2_1"],
      source: "linux-public",
    },
  },
  {
    id: "CR 4.3",
    title: "Use of cryptography",
    summary: "Cryptography follows recognised practice for algorithms, key lengths and key management.",
    firstLevel: 1,
    odva: {
      body: "met",
      table: "met",
      how: "TLS, DTLS, X.509, OAuth 2.0/OpenID Connect with RSA, ECC, AES and SHA-2.",
      note: "Met although the rationale again leaves data at rest out; some original suites (null, static RSA, SHA-1 MAC) are no longer good practice.",
    },
    cipLinux: {
      verdict: "met",
      how: "OpenSSL is the base; recommended practices are collected in a project document.",
      userAction: "Follow the NIST guidance and the project's secure-cipher document.",
      source: "linux-fr4-fr5",
    },
  },
]);
