/** Times as people read them, in this machine's zone. Times are milliseconds since the epoch. */

const DAY = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const SHORT_DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });

/** The time of the day, as `09:41`. */
export function clockText(at: number): string {
  const date = new Date(at);
  return `${String(date.getHours()).padStart(2, "0")}:${String(date.getMinutes()).padStart(2, "0")}`;
}

/** The day, as `Saturday 21 November 2026`. */
export function dayText(at: number): string {
  return DAY.format(at).replace(",", "");
}

/** The time of the day for today, else the day; nothing for 0. */
export function whenText(at: number, now: number): string {
  if (at === 0) return "";
  return SHORT_DAY.format(at) === SHORT_DAY.format(now) ? clockText(at) : SHORT_DAY.format(at);
}
