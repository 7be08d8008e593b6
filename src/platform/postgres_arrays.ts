/**
 * Arrays as the database reads them without parsing text: the binary form of `array_recv` (PostgreSQL,
 * src/backend/utils/adt/arrayfuncs.c): dimensions, whether nulls follow, the element type, length and
 * lower bound, then each element with its length; all numbers big-endian. Elements are never null.
 *
 * The driver passes a Buffer on as it is, so a statement takes these where it says `$1::uuid[]`.
 */

/** OIDs of the element types (PostgreSQL, pg_type.dat). */
const OIDS = { boolean: 16, smallint: 21, int: 23, uuid: 2950 } as const;

const HEAD_BYTES = 20;
const LENGTH_BYTES = 4;
const UUID_BYTES = 16;
const DASHES = new Set([8, 13, 18, 23]);
/** Where in a UUID's text the two digits of each byte stand. */
const DIGITS_AT = Array.from({ length: 36 }, (_, at) => at)
  .filter((at) => !DASHES.has(at))
  .filter((_, index) => index % 2 === 0);
/** What a character is worth as a hexadecimal digit; 255 for any other. */
const DIGIT_VALUES = Uint8Array.from({ length: 256 }, (_, code) => {
  const value = Number.parseInt(String.fromCharCode(code), 16);
  return Number.isNaN(value) ? 255 : value;
});

/** `uuid[]`; throws where a text is no UUID. */
export function uuidArray(values: readonly string[]): Buffer {
  const { bytes, view } = begin(values.length, OIDS.uuid, UUID_BYTES);
  let at = HEAD_BYTES;
  for (const value of values) {
    view.setInt32(at, UUID_BYTES);
    at += LENGTH_BYTES;
    let wrong = value.length ^ 36;
    for (const digit of DIGITS_AT) {
      const high = DIGIT_VALUES[value.charCodeAt(digit)] ?? 255;
      const low = DIGIT_VALUES[value.charCodeAt(digit + 1)] ?? 255;
      wrong |= (high | low) & 0xf0;
      bytes[at++] = (high << 4) | low;
    }
    if (wrong !== 0) throw new Error("Give a UUID in its usual form");
  }
  return bytes;
}

/** `int[]`. */
export function intArray(values: readonly number[]): Buffer {
  const { bytes, view } = begin(values.length, OIDS.int, 4);
  let at = HEAD_BYTES;
  for (const value of values) {
    view.setInt32(at, 4);
    view.setInt32(at + LENGTH_BYTES, value);
    at += LENGTH_BYTES + 4;
  }
  return bytes;
}

/** `smallint[]`. */
export function smallintArray(values: readonly number[]): Buffer {
  const { bytes, view } = begin(values.length, OIDS.smallint, 2);
  let at = HEAD_BYTES;
  for (const value of values) {
    view.setInt32(at, 2);
    view.setInt16(at + LENGTH_BYTES, value);
    at += LENGTH_BYTES + 2;
  }
  return bytes;
}

/** `boolean[]`. */
export function booleanArray(values: readonly boolean[]): Buffer {
  const { bytes, view } = begin(values.length, OIDS.boolean, 1);
  let at = HEAD_BYTES;
  for (const value of values) {
    view.setInt32(at, 1);
    bytes[at + LENGTH_BYTES] = value ? 1 : 0;
    at += LENGTH_BYTES + 1;
  }
  return bytes;
}

function begin(count: number, oid: number, elementBytes: number): { bytes: Buffer; view: DataView } {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + count * (LENGTH_BYTES + elementBytes));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  view.setInt32(0, 1); // dimensions
  view.setInt32(4, 0); // no nulls
  view.setInt32(8, oid);
  view.setInt32(12, count);
  view.setInt32(16, 1); // the lower bound
  return { bytes, view };
}
