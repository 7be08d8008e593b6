/** What the server asks its database while something is done. */
import pg from "pg";

/** One statement as the driver was given it. */
export interface Statement {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** The statements of every node of this process while `work` is done. */
export async function statementsWhile(work: () => Promise<void>): Promise<Statement[]> {
  const statements: Statement[] = [];
  const original = pg.Client.prototype.query;
  // biome-ignore lint/suspicious/noExplicitAny: the driver's method has a dozen forms, and is passed on as it came.
  pg.Client.prototype.query = function (this: unknown, ...given: any[]): any {
    const { text, values = [] } = given[0] ?? {};
    statements.push({ text: String(text), values });
    return Reflect.apply(original, this, given);
  };
  try {
    await work();
  } finally {
    pg.Client.prototype.query = original;
  }
  return statements;
}
