import { requirements } from "./requirement.ts";

/** Foundational requirement 3: 3.1 to 3.9; own paraphrases, never the standard's text. */
export const fr3Software = requirements([
  {
    id: "CR 3.1",
    title: "Communication integrity",
    summary: "Changes to data in transit are detected.",
    firstLevel: 1,
    odva: {
      body: "met",
      table: "met",
      how: "Every TLS/DTLS record carries a keyed check value.",
      note: "Body speaks of HMAC; AEAD suites give the same protection without a separate HMAC.",
    },
    cipLinux: {
      publicVerdict: "met",
      how: "Public page: shown with an OpenSSL server and client, TLS 1.3.",
      userAction: "Public page: none, reuse the test.",
      source: "linux-public",
    },
  },
  {
    id: "CR 3.1 RE(1)",
    title: "Communication authentication",
    summary: "The origin of received data is verified too.",
    firstLevel: 2,
    odva: {
      body: "met",
      table: "met",
      how: "Same mechanism; the peer is authenticated in the handshake.",
      note: "Body repeats the text of CR 3.1.",
    },
    cipLinux: {
      publicVerdict: "met",
      how: "Public page: adds a list of allowed ciphers.",
      userAction: "Public page: none, reuse the test.",
      source: "linux-public",
    },
  },
  {
    id: "CR 3.2",
    title: "Protection from malicious code",
    summary: "Placeholder number: the rule exists per component type (SAR, EDR, HDR, NDR 3.2).",
    firstLevel: null,
    seeAlso: ["SAR 3.2", "EDR 3.2", "HDR 3.2", "NDR 3.2"],
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "Not a protocol function; secured transport and user rights may serve as compensating measure after a threat assessment.",
    },
    cipLinux: {
      publicVerdict: "not-applicable",
      how: "Public page: placeholder, handled per component type.",
      source: "linux-public",
    },
  },
  {
    id: "SAR 3.2",
    title: "Protection from malicious code",
    summary: "The application's supplier names and documents malware protection that works with it.",
    firstLevel: 1,
    seeAlso: ["CR 3.2"],
    odva: {
      note: "The paper judges this only under the placeholder CR 3.2; no verdict of its own.",
    },
    cipLinux: {},
  },
  {
    id: "EDR 3.2",
    title: "Protection from malicious code",
    summary: "The device keeps unauthorised software from being installed or run.",
    firstLevel: 1,
    seeAlso: ["CR 3.2"],
    odva: {
      note: "The paper judges this only under the placeholder CR 3.2; no verdict of its own.",
    },
    cipLinux: {
      how: "User manual: the platform does not fully meet this.",
      userAction:
        "Assess the risk; consider USB host access, integrity checks of binaries and data, and hardening such as NX, ASLR and stack protection.",
      source: "linux-manual",
    },
  },
  {
    id: "HDR 3.2",
    title: "Protection from malicious code",
    summary: "The host carries malware protection its supplier has qualified, with instructions.",
    firstLevel: 1,
    seeAlso: ["CR 3.2"],
    odva: {
      note: "The paper judges this only under the placeholder CR 3.2; no verdict of its own.",
    },
    cipLinux: {},
  },
  {
    id: "HDR 3.2 RE(1)",
    title: "Report version of code protection",
    summary: "The protection's software and signature versions are reported automatically.",
    firstLevel: 2,
    seeAlso: ["CR 3.2"],
    odva: {
      note: "Not mentioned anywhere in the paper, neither in the body nor in Table 3.",
    },
    cipLinux: {},
  },
  {
    id: "NDR 3.2",
    title: "Protection from malicious code",
    summary: "The network device protects itself from malicious code.",
    firstLevel: 1,
    seeAlso: ["CR 3.2"],
    odva: {
      note: "The paper judges this only under the placeholder CR 3.2; no verdict of its own.",
    },
    cipLinux: {
      how: "User manual: not supported by the platform.",
      userAction: "Use allow-listing or signed binaries, or intrusion detection/prevention packages.",
      source: "linux-manual",
    },
  },
  {
    id: "CR 3.3",
    title: "Security functionality verification",
    summary: "The intended working of the security functions can be checked.",
    firstLevel: 1,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "Testing the configuration is left to the product, although the paper says standard TLS and login tests can do it.",
    },
    cipLinux: {},
  },
  {
    id: "CR 3.3 RE(1)",
    title: "Security functionality verification during normal operation",
    summary: "That check is possible while the component is in normal use.",
    firstLevel: 4,
    odva: {
      body: "out-of-scope",
      note: "In the body only, missing from Table 3; SL-4 item.",
    },
    cipLinux: {},
  },
  {
    id: "CR 3.4",
    title: "Software and information integrity",
    summary: "Integrity of software, configuration and other information can be checked and the result recorded.",
    firstLevel: 1,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "Firmware checks are outside; data brought in over the secured session is protected while moving.",
    },
    cipLinux: {
      tests: ["TC_CR3.4_1"],
    },
  },
  {
    id: "CR 3.4 RE(1)",
    title: "Authenticity of software and information",
    summary: "The check also proves the genuine source.",
    firstLevel: 2,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "As CR 3.4.",
    },
    cipLinux: {
      tests: ["TC_CR3.4-RE1_1"],
    },
  },
  {
    id: "CR 3.4 RE(2)",
    title: "Automated notification of integrity violations",
    summary: "A detected violation is reported on its own to a configured receiver.",
    firstLevel: 3,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "As CR 3.4.",
    },
    cipLinux: {
      tests: ["TC_CR3.4-RE2_1"],
    },
  },
  {
    id: "CR 3.5",
    title: "Input validation",
    summary: "Outside input that steers the process or the component is checked for form, length and content.",
    firstLevel: 1,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "Valid values are defined by CIP, the checks are the vendor's; said to be covered by the 4-1 process.",
    },
    cipLinux: {},
  },
  {
    id: "CR 3.6",
    title: "Deterministic output",
    summary: "If normal operation cannot be kept, outputs take a state set beforehand.",
    firstLevel: 1,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "Not part of CIP Security, but CIP devices have configurable fault states for outputs.",
    },
    cipLinux: {},
  },
  {
    id: "CR 3.7",
    title: "Error handling",
    summary: "Errors are handled and reported without giving attackers useful detail.",
    firstLevel: 1,
    odva: {
      body: "partial",
      table: "partial",
      how: "CIP Security error codes are designed not to leak sensitive information.",
      note: "Partial because general CIP error reporting is application related.",
    },
    cipLinux: {},
  },
  {
    id: "CR 3.8",
    title: "Session integrity",
    summary: "Session ids are issued by the component, unique, random and dead once the session ends.",
    firstLevel: 2,
    odva: {
      body: "met",
      table: "met",
      how: "TLS, DTLS and user sessions have own ids; closed ones are freed and a new session is needed.",
      note: "Encapsulation session handles and CIP connection ids are not covered by the paper; test them as well.",
    },
    cipLinux: {},
  },
  {
    id: "CR 3.9",
    title: "Protection of audit information",
    summary: "Audit records and tools are guarded against unauthorised reading, change and deletion.",
    firstLevel: 2,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "Same as CR 2.8.",
    },
    cipLinux: {
      tests: ["TC_CR3.9_1"],
    },
  },
  {
    id: "CR 3.9 RE(1)",
    title: "Audit records on write-once media",
    summary: "Audit records can be put on media that accept writing only once.",
    firstLevel: 4,
    odva: {
      note: "Not mentioned anywhere in the paper, neither in the body nor in Table 3.",
    },
    cipLinux: {},
  },
]);
