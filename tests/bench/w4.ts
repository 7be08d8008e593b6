import type { Bench } from "./bench.ts"; export async function w4(_: Bench): Promise<void> {}
