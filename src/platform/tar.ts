/**
 * Archives in the format that every system unpacks: ustar (POSIX.1-1988, pax(1)) in gzip (RFC 1952). Each file
 * is compressed by itself, for gzip members one after another are one stream (RFC 1952 section 2.2); so
 * an archive of any length is written in the memory that its largest file needs.
 */
import { promisify } from "node:util";
import { gzip } from "node:zlib";

/** One file of an archive. `name`: at most 99 ASCII characters. */
export interface ArchiveFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

const BLOCK = 512;
const compress = promisify(gzip);

/** The archive as a stream; a file is asked for when the reader is ready for it. `modifiedAt`: milliseconds since the epoch. */
export function writeArchive(files: AsyncIterator<ArchiveFile>, modifiedAt: number): ReadableStream<Uint8Array> {
  return new ReadableStream({
    pull: async (controller) => {
      const next = await files.next();
      if (next.done !== true) return controller.enqueue(await compress(entryOf(next.value, modifiedAt)));
      controller.enqueue(await compress(Buffer.alloc(2 * BLOCK))); // the end of an archive
      controller.close();
    },
    cancel: async () => void (await files.return?.()),
  });
}

function entryOf({ name, bytes }: ArchiveFile, modifiedAt: number): Buffer {
  const entry = Buffer.alloc(BLOCK + Math.ceil(bytes.length / BLOCK) * BLOCK);
  entry.write(name, 0, 99, "ascii");
  entry.write("0000600\0", 100, "ascii"); // mode
  entry.write("0000000\0", 108, "ascii"); // owner
  entry.write("0000000\0", 116, "ascii"); // group
  entry.write(`${octal(bytes.length)}\0`, 124, "ascii");
  entry.write(`${octal(Math.floor(modifiedAt / 1_000))}\0`, 136, "ascii");
  entry.write("        ", 148, "ascii"); // the checksum counts as blanks while it is made
  entry.write("0", 156, "ascii"); // an ordinary file
  entry.write("ustar\x0000", 257, "ascii");
  const sum = entry.subarray(0, BLOCK).reduce((total, byte) => total + byte, 0);
  entry.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "ascii");
  entry.set(bytes, BLOCK);
  return entry;
}

function octal(value: number): string {
  return value.toString(8).padStart(11, "0");
}
