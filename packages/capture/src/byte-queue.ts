/** Octets that arrive in pieces and leave in others. Appending costs what is appended, whatever is waiting. */
export class ByteQueue {
  #bytes = new Uint8Array(256);
  #from = 0;
  #to = 0;

  /** Octets waiting. */
  get length(): number {
    return this.#to - this.#from;
  }

  push(bytes: Uint8Array): void {
    const needed = this.length + bytes.length;
    if (this.#to + bytes.length > this.#bytes.length) {
      const waiting = this.#bytes.subarray(this.#from, this.#to);
      // Growing to twice the need keeps the copying linear; moving in place does so only when half is free.
      if (needed * 2 > this.#bytes.length) this.#bytes = new Uint8Array(needed * 2);
      this.#bytes.set(waiting, 0);
      this.#from = 0;
      this.#to = waiting.length;
    }
    this.#bytes.set(bytes, this.#to);
    this.#to += bytes.length;
  }

  /** The first `count` octets (or all, when fewer wait) as a view that the next {@link push} makes invalid. */
  peek(count: number): Uint8Array {
    return this.#bytes.subarray(this.#from, Math.min(this.#from + count, this.#to));
  }

  /** Removes the first `count` octets and returns a copy of them. */
  take(count: number): Uint8Array {
    const taken = this.peek(count).slice();
    this.#from += taken.length;
    return taken;
  }

  clear(): void {
    this.#from = 0;
    this.#to = 0;
  }
}
