/** What is sealed of a report, as one JSON text, and the note it was closed with. */
import type { Sealer } from "../platform/sealer.ts";
import type { ConversationId, ReportedMessage, ReportId } from "../protocol/mod.ts";

/** What was said in a report, and what the server knew of it then. */
export interface ReportText {
  readonly conversation_id: ConversationId | null;
  readonly note: string | null;
  readonly messages: readonly ReportedMessage[];
}

/** Seals what a report says under a new key of its own. */
export function sealReport(
  sealer: Sealer,
  id: ReportId,
  text: ReportText,
): { readonly dataKey: Uint8Array; readonly body: Uint8Array } {
  const dataKey = sealer.newDataKey(ownerOf(id));
  const plain = Buffer.from(JSON.stringify(text));
  return { dataKey, body: sealer.seal(dataKey, ownerOf(id), "report", plain) };
}

/** Reads what {@link sealReport} sealed. */
export function openReport(
  sealer: Sealer,
  { id, dataKey, body }: { readonly id: ReportId; readonly dataKey: Uint8Array; readonly body: Uint8Array },
): ReportText {
  return JSON.parse(Buffer.from(sealer.open(dataKey, ownerOf(id), "report", body)).toString());
}

/** Seals what an administrator wrote. */
export function sealNote(sealer: Sealer, of: { readonly id: ReportId; readonly dataKey: Uint8Array }, note: string) {
  return sealer.seal(of.dataKey, ownerOf(of.id), "closing", Buffer.from(note));
}

/** Reads what {@link sealNote} sealed. */
export function openNote(
  sealer: Sealer,
  of: { readonly id: ReportId; readonly dataKey: Uint8Array; readonly closing: Uint8Array | null },
): string | null {
  if (of.closing === null) return null;
  return Buffer.from(sealer.open(of.dataKey, ownerOf(of.id), "closing", of.closing)).toString();
}

/** No conversation has such a name, so no key of one opens a report. */
function ownerOf(id: ReportId): string {
  return `report ${id}`;
}
