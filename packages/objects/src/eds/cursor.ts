import type { EdsPosition } from "./model.ts";

/** Signs that end a word. */
const signs = new Set('=,;{}"$');

/**
 * Walks over the text of an EDS. Every character is passed once, but for the first word of a line: it may turn out to
 * be the key of the next entry, and is passed again then, once for each brace left open.
 */
export class Cursor {
  readonly text: string;
  at = 0;
  line = 1;
  /** Offset of the first character of this line that is neither blank nor comment. */
  firstOfLine = 0;
  /** Where the last piece of an entry ends. */
  end: EdsPosition & { readonly at: number } = { at: 0, line: 1, column: 1 };
  #lineStart = 0;

  constructor(text: string) {
    this.text = text;
  }

  get isAtEnd(): boolean {
    return this.at >= this.text.length;
  }

  /** The character here; nothing at the end. */
  get character(): string {
    return this.text.charAt(this.at);
  }

  get position(): EdsPosition {
    return { line: this.line, column: this.at - this.#lineStart + 1 };
  }

  /** Passes `sign` where it stands here. */
  take(sign: string): boolean {
    const isHere = this.character === sign;
    if (isHere) this.at += 1;
    return isHere;
  }

  markEnd(): void {
    this.end = { at: this.at, ...this.position };
  }

  /** Passes blanks, line ends and comments. */
  skip(): void {
    let isNewLine = this.at === 0;
    for (;;) {
      if (isLineEnd(this.text, this.at)) {
        this.line += 1;
        this.#lineStart = this.at + 1;
        isNewLine = true;
      } else if (this.character === "$") {
        this.#toLineEnd();
        continue;
      } else if (!isBlank(this.character)) break;
      this.at += 1;
    }
    if (isNewLine) this.firstOfLine = this.at;
  }

  /** Passes what stands before `sign` on this line. */
  skipTo(sign: string): void {
    while (!this.isAtEnd && this.character !== sign && !isLineEnd(this.text, this.at)) this.at += 1;
  }

  /** Passes a run of characters without blank or sign; nothing where there is none. */
  word(): string {
    const start = this.at;
    while (!this.isAtEnd && !signs.has(this.character) && !isBlank(this.character)) this.at += 1;
    return this.text.slice(start, this.at);
  }

  /** Passes a text in quotes; false when the line ends before it is closed. */
  quoted(): boolean {
    this.at += 1;
    for (;;) {
      if (this.isAtEnd || isLineEnd(this.text, this.at)) return false;
      const character = this.character;
      this.at += 1;
      if (character === '"') return true;
      if (character === "\\" && !isLineEnd(this.text, this.at) && !this.isAtEnd) this.at += 1;
    }
  }

  #toLineEnd(): void {
    while (!this.isAtEnd && !isLineEnd(this.text, this.at)) this.at += 1;
  }
}

/** LF, CR LF (at its LF) or a lone CR. */
function isLineEnd(text: string, at: number): boolean {
  const character = text.charAt(at);
  return character === "\n" || (character === "\r" && text.charAt(at + 1) !== "\n");
}

/** Control characters, blank, no-break space, byte order mark. */
function isBlank(character: string): boolean {
  return character !== "" && (character <= " " || character === "\u00a0" || character === "\ufeff");
}
