import { requirements } from "./requirement.ts";

/** Foundational requirement 6; own paraphrases, never the standard's text. */
export const fr6 = requirements([
  {
    id: "CR 6.1",
    title: "Audit log accessibility",
    summary: "Authorised people and tools can read the audit log, read-only.",
    firstLevel: 1,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "Same as CR 2.8.",
    },
    cipLinux: {
      publicVerdict: "met",
      how: "Public page: access controlled with ACLs.",
      userAction: "Public page: use ACLs.",
      tests: ["TC_CR6.1_1"],
      source: "linux-public",
    },
  },
  {
    id: "CR 6.1 RE(1)",
    title: "Programmatic access to audit logs",
    summary: "The log can be read through a program interface or is forwarded to a central place.",
    firstLevel: 3,
    odva: {
      note: "Not mentioned anywhere in the paper, neither in the body nor in Table 3.",
    },
    cipLinux: {
      publicVerdict: "not-applicable",
      how: "Public page: possible with an audit search tool; SL-3, outside the assessment.",
      userAction: "Public page: add application support for SL-3.",
      tests: ["TC_CR6.1-RE1_1"],
      source: "linux-public",
    },
  },
  {
    id: "CR 6.2",
    title: "Continuous monitoring",
    summary: "Security mechanisms can be watched all the time so breaches show up soon.",
    firstLevel: 2,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "Same as CR 2.8.",
    },
    cipLinux: {
      publicVerdict: "met",
      how: "User manual: aide and syslog-ng can be configured for continuous monitoring; logs to watch are listed. Public page: met through aide reports in the journal.",
      userAction: "Pick and configure the monitoring method that fits the use case (aide, syslog-ng, auditd).",
      tests: ["TC_CR6.2_1"],
      source: "linux-manual",
    },
  },
]);
