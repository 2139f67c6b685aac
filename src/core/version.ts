import { existsSync, readFileSync } from "node:fs"

/**
 * The package's own directory: the nearest one above this module that has a `package.json`. It is the same directory
 * whether the program runs from `src/` or from the files that the build writes to `dist/`.
 */
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
