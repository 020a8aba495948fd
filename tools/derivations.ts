import { commandReference } from "../apps/cli/src/reference.ts";
import { referencePages } from "../packages/objects/src/reference.ts";
import { errorCodes as dtlsCodes } from "../packages/dtls/src/errors.ts";
import { errorCodes as pkiCodes } from "../packages/pki/src/errors.ts";
import { errorCodes } from "../packages/wire/src/errors.ts";
import { errorsDoc } from "./errors-doc.ts";

/** A checked-in file whose text follows from declarations in the sources. */
export interface Derivation {
  /** From the root of the checkout, with forward slashes. */
  readonly file: string;
  readonly text: string;
}

/** Every derived file. `npm run derive` writes them; a test compares them with what is checked in. */
export function derivations(): readonly Derivation[] {
  return [
    {
      file: "docs/errors.md",
      text: errorsDoc([
        {
          heading: "The stack",
          intro: "Thrown by all packages but those below, which import nothing of ours and have tables of their own.",
          codes: errorCodes,
        },
        {
          heading: "Certificates: @cipsec/pki",
          intro: "A code that the table above has too means the same here.",
          codes: pkiCodes,
        },
        {
          heading: "DTLS: @cipsec/dtls",
          intro: "A code that a table above has too means the same here.",
          codes: dtlsCodes,
        },
      ]),
    },
    { file: "docs/cli.md", text: commandReference() },
    ...referencePages(),
  ];
}
