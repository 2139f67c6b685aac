import { readdir } from "node:fs/promises"
import type { Stream } from "./core/stream.ts"

const STREAMS = new URL("./streams/", import.meta.url)

export interface StreamModule {
  readonly file: string
  readonly module: { readonly default?: Stream }
}

/**
 * Imports every file of `streams/`, so that a new stream needs no list to be edited. The build replaces this module
 * with one that imports these files by name (`scripts/build.ts`), because a bundle has no directory to read.
 */
export const streamModules = async (): Promise<ReadonlyArray<StreamModule>> => {
  const files = (await readdir(STREAMS)).filter(file => file.endsWith(".ts")).sort()
  return Promise.all(files.map(async file => ({ file, module: await import(new URL(file, STREAMS).href) })))
}
