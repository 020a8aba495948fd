import { requirements } from "./requirement.ts";

/** Foundational requirement 7; own paraphrases, never the standard's text. */
export const fr7 = requirements([
  {
    id: "CR 7.1",
    title: "Denial of service protection",
    summary: "Essential functions keep working, if need be degraded, under a denial-of-service event.",
    firstLevel: 1,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "Out of scope although the body lists helpful functions: closing unused ports and protocols, authentication on all interfaces, separate ports for messages and I/O.",
    },
    cipLinux: {
      verdict: "met",
      how: "User manual states the platform meets it with several packages (pam, openssh, acl named); no labelled assessment verdict.",
      userAction: "Run communication robustness tests on the end device.",
      tests: ["TC_CR7.1_1"],
      source: "linux-manual",
    },
  },
  {
    id: "CR 7.1 RE(1)",
    title: "Manage communication load from component",
    summary: "The component limits its own traffic so it cannot flood others.",
    firstLevel: 2,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "Not a protocol matter.",
    },
    cipLinux: {},
  },
  {
    id: "CR 7.2",
    title: "Resource management",
    summary: "Security functions cannot use up the component's resources.",
    firstLevel: 1,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "Not a protocol matter.",
    },
    cipLinux: {},
  },
  {
    id: "CR 7.3",
    title: "Control system backup",
    summary: "User- and system-level information can be backed up without disturbing operation.",
    firstLevel: 1,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "Not a protocol matter.",
    },
    cipLinux: {
      how: "User manual: a suitable package is still being looked for.",
      userAction: "Choose the data for remote backup and regularly check that it can be restored.",
      source: "linux-manual",
    },
  },
  {
    id: "CR 7.3 RE(1)",
    title: "Backup integrity verification",
    summary: "A backup is checked for integrity before it is used to restore.",
    firstLevel: 2,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "Not a protocol matter.",
    },
    cipLinux: {},
  },
  {
    id: "CR 7.4",
    title: "Control system recovery and reconstitution",
    summary: "After a disruption the component can go back to a known secure state.",
    firstLevel: 1,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "Not a protocol matter.",
    },
    cipLinux: {},
  },
  {
    id: "CR 7.5",
    title: "Emergency power",
    summary: "Placeholder number: no component-level requirement exists.",
    firstLevel: null,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "No component-level requirement exists for this number; the paper still lists it as out of scope.",
    },
    cipLinux: {},
  },
  {
    id: "CR 7.6",
    title: "Network and security configuration settings",
    summary: "Settings can be made as the supplier's guide recommends and the current ones can be read.",
    firstLevel: 1,
    odva: {
      body: "met",
      table: "met",
      how: "CIP Security objects let a device be set up as plant-network guides recommend.",
      note: "Rationale names a guide, not the objects; prove it with the object attributes.",
    },
    cipLinux: {},
  },
  {
    id: "CR 7.6 RE(1)",
    title: "Machine-readable reporting of current security settings",
    summary: "The current settings can be output in a machine-readable form.",
    firstLevel: 3,
    odva: {
      body: "met",
      how: "Get_Attributes services of the CIP Security objects.",
      note: "In the body only, missing from Table 3.",
    },
    cipLinux: {},
  },
  {
    id: "CR 7.7",
    title: "Least functionality",
    summary: "Functions, ports, protocols and services that are not needed can be restricted.",
    firstLevel: 1,
    odva: {
      body: "met",
      table: "met",
      how: "Unused TCP/UDP ports and protocols such as ICMP can be closed.",
      note: "Rests on the same mechanism that CR 7.1 lists without credit.",
    },
    cipLinux: {},
  },
  {
    id: "CR 7.8",
    title: "Control system component inventory",
    summary: "The component supports an inventory of itself and its parts.",
    firstLevel: 2,
    odva: {
      body: "out-of-scope",
      table: "out-of-scope",
      note: "Not a protocol matter, though the Identity Object and ListIdentity already report make, model, revision and serial number.",
    },
    cipLinux: {},
  },
]);
