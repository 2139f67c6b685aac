import { createRequire } from "node:module"

/** The package's version, as `package.json` says it. */
export const VERSION: string = createRequire(import.meta.url)("../package.json").version
