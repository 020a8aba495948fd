/** A place in the text; both count from 1. */
export interface EdsPosition {
  readonly line: number;
  readonly column: number;
}

/** Something wrong that did not stop the reading. */
export interface EdsProblem extends EdsPosition {
  /** An error makes a part of the file unusable; a warning does not. */
  readonly severity: "error" | "warning";
  readonly message: string;
  readonly fix: string;
}

/** What the text of a field stands for. Numbers that `number` cannot hold exactly are `bigint`. */
export type EdsValue =
  | { readonly kind: "empty" }
  | { readonly kind: "number"; readonly value: number | bigint }
  | { readonly kind: "text"; readonly value: string }
  | ({ readonly kind: "date" } & EdsDate)
  | ({ readonly kind: "time" } & EdsTime)
  | ({ readonly kind: "reference" } & EdsReference)
  | { readonly kind: "word"; readonly value: string }
  | { readonly kind: "group"; readonly fields: readonly EdsField[] };

export interface EdsDate {
  readonly year: number;
  readonly month: number;
  readonly day: number;
}

export interface EdsTime {
  readonly hours: number;
  readonly minutes: number;
  readonly seconds: number;
}

/** Another entry named by a field, such as `Param4` or `AssemExa102`; `to` is the key without its number. */
export interface EdsReference {
  readonly to: string;
  readonly number: number;
}

/** One field of an entry; `raw` is its text without the blanks around it. */
export interface EdsField extends EdsPosition {
  readonly raw: string;
  readonly value: EdsValue;
}

/** One entry, `key = field, field;`. `lead` is what stands before it, `raw` its own text: {@link writeEds} repeats both. */
export interface EdsEntry extends EdsPosition {
  readonly key: string;
  readonly fields: readonly EdsField[];
  readonly lead: string;
  readonly raw: string;
}

/** One section as it stands; a name may come twice. */
export interface EdsSection extends EdsPosition {
  readonly name: string;
  readonly entries: readonly EdsEntry[];
  readonly lead: string;
  readonly raw: string;
}

/** The whole text in pieces. */
export interface EdsPieces {
  readonly sections: readonly EdsSection[];
  /** What follows the last entry. */
  readonly tail: string;
}
