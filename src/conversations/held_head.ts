/** What the statements that wait for a conversation's head have in common: how its row is read, and when it is `busy`. */
import { isLockTimeout, isTransactionLoss } from "../platform/sql_states.ts";

/** The one row of a statement that waits for a head, or `busy` where it waited in vain: then nothing was stored. */
export async function unlessBusy<Row>(call: () => Promise<Row[]>): Promise<Row | "busy"> {
  try {
    const [row] = await call();
    if (row === undefined) throw new Error("Answer a statement that waits for a head: no row came back");
    return row;
  } catch (error) {
    if (isLockTimeout(error) || isTransactionLoss(error)) return "busy";
    throw error;
  }
}

/** What a function of the database calls the number that it answered with. */
export function statusOf<Status extends string>(names: Readonly<Record<number, Status>>, value: number): Status {
  const found = names[value];
  if (found === undefined) throw new Error(`Know every status that the database answers: current value is ${value}`);
  return found;
}
