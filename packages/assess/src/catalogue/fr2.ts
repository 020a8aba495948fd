import { requirements } from "./requirement.ts";

/** Foundational requirement 2; own paraphrases, never the standard's text. */
export const fr2 = requirements([
  {
    id: "CR 2.1",
    title: "Authorization enforcement",
    summary: "An authenticated user can do only what the assigned rights allow.",
    firstLevel: 1,
    odva: {
      body: "met",
      table: "met",
      how: "User Authentication Profile demands role-based enforcement; some security operations have fixed roles, the rest is vendor policy.",
    },
    cipLinux: {
      publicVerdict: "met",
      how: "Public page: rights come from users and groups; a test shows that a normal user cannot gain supervisor rights.",
      userAction: "Public page: manage users and groups, use an own scheme for applications.",
      tests: ["TC_CR2.1_1"],
      source: "linux-public",
    },
  },
  {
    id: "CR 2.1 RE(1)",
    title: "Authorization enforcement for all users (humans, software processes and devices)",
    summary: "Rights are enforced for people, processes and devices alike.",
    firstLevel: 2,
    odva: {
      body: "met",
      table: "met",
      how: "All user kinds pass the same access policy.",
    },
    cipLinux: {
      publicVerdict: "met",
      source: "linux-public",
    },
  },
  {
    id: "CR 2.1 RE(2)",
    title: "Permission mapping to roles",
    summary: "An authorised role can define which permissions each role has.",
    firstLevel: 2,
    odva: {
      body: "met",
      table: "met",
      how: "Predefined, not strictly hierarchical roles; vendors may add more.",
      note: "The paper shows roles exist, not that an administrator can remap permissions; test the remapping.",
    },
    cipLinux: {
      publicVerdict: "met",
      source: "linux-public",
    },
  },
  {
    id: "CR 2.1 RE(3)",
    title: "Supervisor override",
    summary: "A privileged role can lift a restriction for a limited time or event.",
    firstLevel: 3,
    odva: {
      body: "met",
      table: "met",
      how: "A service raises privilege for a configurable time.",
    },
    cipLinux: {
      publicVerdict: "not-applicable",
      source: "linux-public",
    },
  },
  {
    id: "CR 2.1 RE(4)",
    title: "Dual approval",
    summary: "Actions with serious effect need the approval of two people.",
    firstLevel: 4,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: 'Only needed at SL-4; could be added to the profile or done by an OpenID Connect provider. Future Work calls it "CR 2.2 RE-4" by mistake.',
    },
    cipLinux: {
      publicVerdict: "not-applicable",
      source: "linux-public",
    },
  },
  {
    id: "CR 2.2",
    title: "Wireless use control",
    summary: "If the component can be used over wireless, that use can be authorised, watched and restricted.",
    firstLevel: 1,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "Wireless is not covered. Not applicable to a wired-only product.",
    },
    cipLinux: {
      publicVerdict: "not-applicable",
      source: "linux-public",
    },
  },
  {
    id: "CR 2.3",
    title: "Use control for portable and mobile devices",
    summary: "Placeholder number: no component-level requirement exists.",
    firstLevel: null,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "No component-level requirement exists for this number; the paper still lists it as out of scope.",
    },
    cipLinux: {
      publicVerdict: "not-applicable",
      source: "linux-public",
    },
  },
  {
    id: "CR 2.4",
    title: "Mobile code",
    summary: "Placeholder number: the rule exists per component type (SAR, EDR, HDR, NDR 2.4).",
    firstLevel: null,
    seeAlso: ["SAR 2.4", "EDR 2.4", "HDR 2.4", "NDR 2.4"],
    odva: {
      body: "met",
      table: "met",
      how: "Code reaches the device only inside TLS/DTLS and only from an authenticated engineer or administrator.",
      note: "Depends on the assumption that no other protocol can load code. For an embedded device apply it to EDR 2.4.",
    },
    cipLinux: {
      publicVerdict: "not-applicable",
      source: "linux-public",
    },
  },
  {
    id: "SAR 2.4",
    title: "Mobile code",
    summary: "Downloadable code is let in, transferred and run only under an enforced policy.",
    firstLevel: 1,
    seeAlso: ["CR 2.4"],
    odva: {
      note: "The paper judges this only under the placeholder CR 2.4; no verdict of its own.",
    },
    cipLinux: {
      publicVerdict: "not-applicable",
      source: "linux-public",
    },
  },
  {
    id: "SAR 2.4 RE(1)",
    title: "Mobile code authenticity check",
    summary: "The code's origin is proven genuine before it runs.",
    firstLevel: 2,
    seeAlso: ["CR 2.4"],
    odva: {
      note: "Not mentioned anywhere in the paper, neither in the body nor in Table 3.",
    },
    cipLinux: {
      publicVerdict: "not-applicable",
      source: "linux-public",
    },
  },
  {
    id: "EDR 2.4",
    title: "Mobile code",
    summary: "Downloadable code is let in, transferred and run only under an enforced policy.",
    firstLevel: 1,
    seeAlso: ["CR 2.4"],
    odva: {
      note: "The paper judges this only under the placeholder CR 2.4; no verdict of its own. The paper's sample product is an embedded device.",
    },
    cipLinux: {
      publicVerdict: "not-applicable",
      source: "linux-public",
    },
  },
  {
    id: "EDR 2.4 RE(1)",
    title: "Mobile code authenticity check",
    summary: "The code's origin is proven genuine before it runs.",
    firstLevel: 2,
    seeAlso: ["CR 2.4"],
    odva: {
      note: "Not mentioned anywhere in the paper, neither in the body nor in Table 3.",
    },
    cipLinux: {
      publicVerdict: "not-applicable",
      source: "linux-public",
    },
  },
  {
    id: "HDR 2.4",
    title: "Mobile code",
    summary: "Downloadable code is let in, transferred and run only under an enforced policy.",
    firstLevel: 1,
    seeAlso: ["CR 2.4"],
    odva: {
      note: "The paper judges this only under the placeholder CR 2.4; no verdict of its own.",
    },
    cipLinux: {
      publicVerdict: "not-applicable",
      source: "linux-public",
    },
  },
  {
    id: "HDR 2.4 RE(1)",
    title: "Mobile code authenticity check",
    summary: "The code's origin is proven genuine before it runs.",
    firstLevel: 2,
    seeAlso: ["CR 2.4"],
    odva: {
      note: "Not mentioned anywhere in the paper, neither in the body nor in Table 3.",
    },
    cipLinux: {
      publicVerdict: "not-applicable",
      source: "linux-public",
    },
  },
  {
    id: "NDR 2.4",
    title: "Mobile code",
    summary: "Downloadable code is let in, transferred and run only under an enforced policy.",
    firstLevel: 1,
    seeAlso: ["CR 2.4"],
    odva: {
      note: "The paper judges this only under the placeholder CR 2.4; no verdict of its own.",
    },
    cipLinux: {
      publicVerdict: "not-applicable",
      source: "linux-public",
    },
  },
  {
    id: "NDR 2.4 RE(1)",
    title: "Mobile code authenticity check",
    summary: "The code's origin is proven genuine before it runs.",
    firstLevel: 2,
    seeAlso: ["CR 2.4"],
    odva: {
      note: "Not mentioned anywhere in the paper, neither in the body nor in Table 3.",
    },
    cipLinux: {
      publicVerdict: "not-applicable",
      source: "linux-public",
    },
  },
  {
    id: "CR 2.5",
    title: "Session lock",
    summary: "A human session locks on demand or after a set idle time and needs a new login.",
    firstLevel: 1,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "User-interface matter.",
    },
    cipLinux: {
      publicVerdict: "not-applicable",
      how: "Public revision log: changed from met to not applicable on 2025-12-15.",
      source: "linux-public",
    },
  },
  {
    id: "CR 2.6",
    title: "Remote session termination",
    summary: "A remote session ends by idle time, by its user or by an administrator.",
    firstLevel: 2,
    odva: {
      body: "met",
      table: "met",
      how: "TLS, DTLS and user sessions each have a configurable idle time.",
    },
    cipLinux: {
      publicVerdict: "met",
      tests: ["TC_CR2.6_1"],
      source: "linux-public",
    },
  },
  {
    id: "CR 2.7",
    title: "Concurrent session control",
    summary: "The number of sessions at the same time is limited per user and interface.",
    firstLevel: 3,
    odva: {
      body: "met",
      table: "met",
      how: "The EDS file states connection capacity.",
      note: "A declared capacity is no enforced, configurable limit per user; verify by opening sessions.",
    },
    cipLinux: {
      publicVerdict: "not-applicable",
      tests: ["TC_CR2.7_1"],
      source: "linux-public",
    },
  },
  {
    id: "CR 2.8",
    title: "Auditable events",
    summary: "Security-relevant events are recorded with time, source, category, type, id and result.",
    firstLevel: 1,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "Events were not part of CIP Security; syslog support was under discussion.",
    },
    cipLinux: {
      publicVerdict: "met",
      tests: ["TC_CR2.8_1", "TC_CR2.8_2"],
      source: "linux-public",
    },
  },
  {
    id: "CR 2.9",
    title: "Audit storage capacity",
    summary: "Enough space is set aside for audit records and hitting the limit does no harm.",
    firstLevel: 1,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "Same as CR 2.8.",
    },
    cipLinux: {
      publicVerdict: "met",
      tests: ["TC_CR2.9_1", "TC_CR2.9_2"],
      source: "linux-public",
    },
  },
  {
    id: "CR 2.9 RE(1)",
    title: "Warn when audit record storage capacity threshold reached",
    summary: "A warning is raised when a set share of that space is used.",
    firstLevel: 3,
    odva: {
      note: "Not mentioned anywhere in the paper, neither in the body nor in Table 3.",
    },
    cipLinux: {
      publicVerdict: "not-applicable",
      tests: ["TC_CR2.9-RE1_1"],
      source: "linux-public",
    },
  },
  {
    id: "CR 2.10",
    title: "Response to audit processing failures",
    summary: "A fault in auditing leaves essential functions running and triggers a defined reaction.",
    firstLevel: 1,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "Same as CR 2.8.",
    },
    cipLinux: {
      tests: ["TC_CR2.10_1"],
    },
  },
  {
    id: "CR 2.11",
    title: "Timestamps",
    summary: "Audit records carry date and time.",
    firstLevel: 1,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "Same as CR 2.8.",
    },
    cipLinux: {
      tests: ["TC_CR2.11_1"],
    },
  },
  {
    id: "CR 2.11 RE(1)",
    title: "Time synchronization",
    summary: "The time used follows a system-wide source.",
    firstLevel: 2,
    odva: {
      note: "Not mentioned anywhere in the paper, neither in the body nor in Table 3.",
    },
    cipLinux: {
      tests: ["TC_CR2.11-RE1_1"],
    },
  },
  {
    id: "CR 2.11 RE(2)",
    title: "Protection of time source integrity",
    summary: "Changing the time source without right is prevented and leaves an audit record.",
    firstLevel: 4,
    odva: {
      note: "Not mentioned anywhere in the paper, neither in the body nor in Table 3.",
    },
    cipLinux: {},
  },
  {
    id: "CR 2.12",
    title: "Non-repudiation",
    summary: "It can be shown later whether a given person took a given action.",
    firstLevel: 1,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "Judged a human-interface matter, yet the body grants that session and token data give the basis for it.",
    },
    cipLinux: {
      tests: ["TC_CR2.12_1"],
    },
  },
  {
    id: "CR 2.12 RE(1)",
    title: "Non-repudiation for all users",
    summary: "The same holds for processes and devices.",
    firstLevel: 4,
    odva: {
      note: "Not mentioned anywhere in the paper, neither in the body nor in Table 3.",
    },
    cipLinux: {},
  },
  {
    id: "CR 2.13",
    title: "Use of physical diagnostic and test interfaces",
    summary: "Placeholder number: the rule exists as EDR, HDR and NDR 2.13.",
    firstLevel: null,
    seeAlso: ["EDR 2.13", "HDR 2.13", "NDR 2.13"],
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "Not a protocol matter.",
    },
    cipLinux: {},
  },
  {
    id: "EDR 2.13",
    title: "Use of physical diagnostic and test interfaces",
    summary: "Factory test and debug ports cannot be used without right.",
    firstLevel: 2,
    seeAlso: ["CR 2.13"],
    odva: {
      note: "The paper judges this only under the placeholder CR 2.13; no verdict of its own.",
    },
    cipLinux: {},
  },
  {
    id: "EDR 2.13 RE(1)",
    title: "Active monitoring",
    summary: "Attempts to use those ports are detected and logged.",
    firstLevel: 3,
    seeAlso: ["CR 2.13"],
    odva: {
      note: "Not mentioned anywhere in the paper, neither in the body nor in Table 3.",
    },
    cipLinux: {},
  },
  {
    id: "HDR 2.13",
    title: "Use of physical diagnostic and test interfaces",
    summary: "Factory test and debug ports cannot be used without right.",
    firstLevel: 2,
    seeAlso: ["CR 2.13"],
    odva: {
      note: "The paper judges this only under the placeholder CR 2.13; no verdict of its own.",
    },
    cipLinux: {},
  },
  {
    id: "HDR 2.13 RE(1)",
    title: "Active monitoring",
    summary: "Attempts to use those ports are detected and logged.",
    firstLevel: 3,
    seeAlso: ["CR 2.13"],
    odva: {
      note: "Not mentioned anywhere in the paper, neither in the body nor in Table 3.",
    },
    cipLinux: {},
  },
  {
    id: "NDR 2.13",
    title: "Use of physical diagnostic and test interfaces",
    summary: "Factory test and debug ports cannot be used without right.",
    firstLevel: 2,
    seeAlso: ["CR 2.13"],
    odva: {
      note: "The paper judges this only under the placeholder CR 2.13; no verdict of its own.",
    },
    cipLinux: {},
  },
  {
    id: "NDR 2.13 RE(1)",
    title: "Active monitoring",
    summary: "Attempts to use those ports are detected and logged.",
    firstLevel: 3,
    seeAlso: ["CR 2.13"],
    odva: {
      note: "Not mentioned anywhere in the paper, neither in the body nor in Table 3.",
    },
    cipLinux: {},
  },
]);
