/** How far one has scrolled back from the end of what is shown, in lines; a page knows its size once it was drawn. */
export class Scroll {
  #lines = 0;
  #most = 0;
  #rows = 1;

  /** Lines back from the end. */
  get lines(): number {
    return this.#lines;
  }

  /** Whether a page further back is more than was drawn. */
  get endsSoon(): boolean {
    return this.#lines + this.#page > this.#most;
  }

  /** What the last drawing found: lines of the screen, and how far back one can go. */
  drawn(rows: number, most: number): void {
    this.#rows = rows;
    this.#most = most;
  }

  /** Moves back by pages, or forward by less than none. */
  by(pages: number): void {
    this.#lines = Math.max(0, Math.min(this.#lines + pages * this.#page, this.#most));
  }

  toEnd(): void {
    this.#lines = 0;
  }

  /** Lines of a page; two stay in sight. */
  get #page(): number {
    return Math.max(1, this.#rows - 3);
  }
}
