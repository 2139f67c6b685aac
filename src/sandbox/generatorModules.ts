import { existsSync } from "node:fs"
import { readdir, readFile } from "node:fs/promises"
import type { Generator } from "./world/generator.ts"

const GENERATORS = new URL("./streams/", import.meta.url)
const FIXTURES = new URL("../../test/fixtures/streams/", import.meta.url)

export interface GeneratorModule {
  readonly stream: string
  /** A file with helpers of other generators has no default export. */
  readonly module: { readonly default?: Generator }
}

/**
 * Imports every file of the sandbox's `streams/`. The build replaces this module with one that imports these files by
 * name, and holds the fixtures of the other streams (`scripts/build.ts`), because a package has neither directory.
 */
export const generatorModules = async (): Promise<ReadonlyArray<GeneratorModule>> => {
  const files = (await readdir(GENERATORS)).filter(file => file.endsWith(".ts")).sort()
  return Promise.all(
    files.map(async file => ({
      stream: file.slice(0, -".ts".length),
      module: await import(new URL(file, GENERATORS).href),
    })),
  )
}

/** Reads the text of a stream's fixture; undefined if there is none. */
export const fixtureText = async (stream: string): Promise<string | undefined> => {
  const file = new URL(`${stream}.json`, FIXTURES)
  return existsSync(file) ? readFile(file, "utf8") : undefined
}
