import { readFileSync } from "node:fs"
import { PACKAGE_ROOT } from "./packageRoot.ts"

/** The package's version, as `package.json` says it. */
export const VERSION: string = JSON.parse(readFileSync(new URL("package.json", PACKAGE_ROOT), "utf8")).version
