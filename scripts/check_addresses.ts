/** No file of the project names a package registry's host or a folder of somebody's machine. */
import type { Problem } from "./source_files.ts";

const FORBIDDEN: readonly (readonly [RegExp, string])[] = [
  // Written in parts, so that this file passes its own check.
  [
    new RegExp(
      `"resol${"ved"}":|https?://[\\w.-]*(regis${"try"}|artifac${"tory"}|nex${"us"}|verdac${"cio"})[\\w.-]*[/:]`,
    ),
    "Leave package addresses out",
  ],
  [new RegExp(`(^|[\\s"'\`(=:])/(wo${"rk"}|ro${"ot"}|ho${"me"}|Us${"ers"})/[\\w.-]+`), "Name no folder of one machine"],
];

/** Checks one file's text. */
export function checkAddresses(path: string, text: string): Problem[] {
  return text
    .split("\n")
    .flatMap((line, index) =>
      FORBIDDEN.flatMap(([pattern, message]) =>
        pattern.test(line) ? [{ path, line: index + 1, message: `${message}: ${line.trim().slice(0, 100)}` }] : [],
      ),
    );
}
