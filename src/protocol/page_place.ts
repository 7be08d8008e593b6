/**
 * Where a page of a list goes on: behind one entry, known by its time and its id. On the wire it is the
 * `next` of one page and the `cursor` of the following one; clients give it back as it came.
 */
import type { z } from "zod";
import { DomainError } from "./errors.ts";

/** See the head of this file. */
export interface PagePlace<Id extends string> {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly id: Id;
}

/** Writes a place; `null` where there is no further page. */
export function writePagePlace(place: PagePlace<string> | null): string | null {
  return place === null ? null : `${place.at}_${place.id}`;
}

/** Reads a `cursor`; `null` where none was given. Throws `bad_request` for what no page gave. */
export function readPagePlace<Ids extends z.ZodType<string>>(
  cursor: string | undefined,
  ids: Ids,
): PagePlace<z.infer<Ids>> | null {
  if (cursor === undefined) return null;
  const [at = "", text] = cursor.split("_");
  const id = ids.safeParse(text);
  // 14 digits reach the year 5138; a year of five digits is more than the driver can write.
  if (!/^\d{1,14}$/.test(at) || !id.success) {
    throw new DomainError("bad_request", { details: { fields: { cursor: "must be the next of an earlier page" } } });
  }
  return { at: Number(at), id: id.data };
}
