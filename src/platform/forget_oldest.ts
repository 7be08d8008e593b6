/** What {@link forgetOldest} trims: a `Map` or a `Set`, which keep their keys in the order in which they were added. */
export interface Remembered<Key> {
  readonly size: number;
  keys(): Iterable<Key>;
  delete(key: Key): boolean;
}

/** Keeps at most so many: those that were added first go first. */
export function forgetOldest<Key>(remembered: Remembered<Key>, most: number): void {
  for (const oldest of remembered.keys()) {
    if (remembered.size <= most) return;
    remembered.delete(oldest);
  }
}
