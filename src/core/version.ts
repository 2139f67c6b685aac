import { existsSync, readFileSync } from "node:fs"

/** The nearest directory above this module with a `package.json`: the package's own, from `src/` and from `dist/`. */
export const PACKAGE_ROOT: URL = (() => {
  let directory = new URL(".", import.meta.url)
  while (!existsSync(new URL("package.json", directory))) {
    const parent = new URL("..", directory)
    if (parent.href === directory.href) throw new Error(`There is no package.json above ${import.meta.url}.`)
    directory = parent
  }
  return directory
})()

export const VERSION: string = JSON.parse(readFileSync(new URL("package.json", PACKAGE_ROOT), "utf8")).version
