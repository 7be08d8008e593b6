/** The check of rules and titles is itself checked. */
import { describe, expect, test } from "bun:test";
import { checkSpec } from "../../../scripts/check_spec.ts";
import { parseSource } from "../../../scripts/source_files.ts";

const SPEC = "# Rules\n- **ONE-1** first\n- **ONE-2** second, see ONE-1\n";

function problems(spec: string, ...titles: string[]): string[] {
  const text = titles.map((title) => `test(${title}, () => {});`).join("\n");
  return checkSpec(spec, [parseSource("tests/some.test.ts", text)]).map((problem) => problem.message);
}

describe("checkSpec", () => {
  test("passes where every rule is named, in one title or in several", () => {
    expect(problems(SPEC, '"does it [ONE-1]"', "`does the other [ONE-2]`")).toEqual([]);
    expect(problems(SPEC, '"does both [ONE-1, ONE-2]"', '"does something else"')).toEqual([]);
  });

  test("names a rule without a test, a title without a rule, a number that stands twice, and a page without rules", () => {
    expect(problems(SPEC, '"does it [ONE-1]"').join()).toContain("Write a test for ONE-2");
    expect(problems(SPEC, '"does it [ONE-1, ONE-2]"', '"more [TWO-1]"').join()).toContain("TWO-1 is none");
    expect(problems(`${SPEC}- **ONE-1** again`, '"does both [ONE-1, ONE-2]"').join()).toContain("ONE-1 stands twice");
    expect(problems("# No rules").join()).toContain("none was found");
  });

  test("takes titles of tests only, and of none that is skipped", () => {
    const source = parseSource(
      "tests/some.test.ts",
      'test.skip("[ONE-1]", f); describe("[ONE-2]", f); test.if(true)("[ONE-2]", f); // [ONE-1]',
    );
    expect(checkSpec(SPEC, [source]).map((problem) => problem.message)).toEqual([
      "Write a test for ONE-1: no title names it",
    ]);
    expect(checkSpec(SPEC, [{ ...source, path: "src/some.ts" }])).toHaveLength(2);
  });
});
