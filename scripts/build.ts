import { readdirSync, readFileSync } from "node:fs"
import { chmod, rm, writeFile } from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { type BuildOptions, build, type Metafile, type Plugin } from "esbuild"
import spdx from "spdx-license-list/full.js"

/**
 * Builds the package's JavaScript into `dist`, or into the directory given as argument. Declarations come from `tsc`.
 *
 * - `main.js`, the command line: one program with its dependencies in it, because loading some thousand small files is
 *   most of a short command's time. Parts that one command alone needs stay files of their own.
 * - `index.js`, the library: its dependencies stay imports, because an application must share `effect` with it.
 * - `THIRD_PARTY_LICENSES.txt`: licences of the packages that `main.js` contains.
 */

const PROJECT = fileURLToPath(new URL("../", import.meta.url))
const OUT = resolve(PROJECT, process.argv[2] ?? "dist")

/** The program's files that each declare a stream. */
const STREAMS = join(PROJECT, "src/streams")
/** The sandbox's files that each generate the records of a stream. */
const GENERATORS = join(PROJECT, "src/sandbox/streams")
const FIXTURES = join(PROJECT, "test/fixtures/streams")

/** Names of the files of a directory that end so, without that ending, in one order everywhere. */
const namesIn = (directory: string, ending: string): ReadonlyArray<string> =>
  readdirSync(directory)
    .filter(file => file.endsWith(ending))
    .map(file => file.slice(0, -ending.length))
    .sort()

/** Code for the modules of a directory `streams`, each with what `labelOf` says of it. */
const modulesOf = (
  names: ReadonlyArray<string>,
  labelOf: (name: string) => Readonly<Record<string, string>>,
) =>
  names
    .map(name => {
      const label = JSON.stringify(labelOf(name)).slice(1, -1)
      return `import(${JSON.stringify(`./streams/${name}.ts`)}).then(module => ({ ${label}, module }))`
    })
    .join(", ")

/** Fixtures of the streams that have no generator: the sandbox serves their records. */
const sampleTexts = (generated: ReadonlyArray<string>): string => {
  const names = namesIn(FIXTURES, ".json").filter(name => !generated.includes(name))
  return JSON.stringify(names.map(name => [name, readFileSync(join(FIXTURES, `${name}.json`), "utf8")]))
}

/** Puts lists of the files that were found in place of the modules that read directories: a package has none of these. */
const foundFiles: Plugin = {
  name: "found-files",
  setup: ({ onLoad }) => {
    onLoad({ filter: /[\\/]src[\\/]streamModules\.ts$/ }, ({ path }) => {
      const modules = modulesOf(namesIn(STREAMS, ".ts"), name => ({ file: `${name}.ts` }))
      return {
        contents: `export const streamModules = () => Promise.all([${modules}])`,
        resolveDir: dirname(path),
      }
    })
    onLoad({ filter: /[\\/]src[\\/]sandbox[\\/]generatorModules\.ts$/ }, ({ path }) => {
      const names = namesIn(GENERATORS, ".ts")
      const modules = modulesOf(names, name => ({ stream: name }))
      return {
        contents: `const texts = new Map(${sampleTexts(names)})
          export const fixtureText = async stream => texts.get(stream)
          export const generatorModules = () => Promise.all([${modules}])`,
        resolveDir: dirname(path),
      }
    })
  },
}

const shared = {
  absWorkingDir: PROJECT,
  outdir: OUT,
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node20",
  // If a package has both forms, its ES modules are used: names of a CommonJS package are lost in an import on demand.
  mainFields: ["module", "main"],
  chunkNames: "[name]-[hash]",
  plugins: [foundFiles],
  logLevel: "warning",
} satisfies BuildOptions

/** CommonJS packages call `require`, which an ES module does not have. */
const REQUIRE = `import { createRequire as makeRequire } from "node:module"; const require = makeRequire(import.meta.url);`

/** A file of a package that belongs to its licence. */
const LICENCE_FILE = /^(licen[cs]e|copying|notice)/i

interface Manifest {
  readonly name: string
  readonly version: string
  readonly license: string
}

/** Directories of the packages that a bundle contains, relative to the project. */
const packagesIn = ({ inputs }: Metafile): ReadonlyArray<string> => {
  const directories = Object.keys(inputs).flatMap(
    path => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? [],
  )
  return [...new Set(directories)].sort()
}

/**
 * A package's name, version and licence texts. Some packages come without a text and only name the licence: these get
 * the licence's standard text. Fails for an unknown name: such a package cannot be bundled.
 */
const licenceOf = (directory: string): string => {
  const manifest: Manifest = JSON.parse(readFileSync(join(PROJECT, directory, "package.json"), "utf8"))
  const entries = readdirSync(join(PROJECT, directory), { withFileTypes: true })
  const files = entries.filter(entry => entry.isFile() && LICENCE_FILE.test(entry.name))
  const texts = files.map(({ name }) => readFileSync(join(PROJECT, directory, name), "utf8"))
  const standard = spdx[manifest.license]?.licenseText
  const [first, ...others] = texts.length > 0 || standard === undefined ? texts : [standard]
  if (first === undefined) throw new Error(`${manifest.name} has no licence text: it cannot be bundled.`)
  const heading = `${manifest.name} ${manifest.version} (${manifest.license})`
  return [heading, first, ...others].map(text => text.trim()).join("\n\n")
}

/**
 * Fails for a CommonJS package that is imported on demand: in a bundle its exports have no names then. A module of ours
 * that is imported on demand, and imports the package at its top, has them.
 */
const refuseNamelessImports = ({ inputs }: Metafile): void => {
  for (const [file, { imports }] of Object.entries(inputs))
    for (const { kind, path } of imports)
      if (kind === "dynamic-import" && inputs[path]?.format === "cjs")
        throw new Error(`${file} imports ${path} on demand: import it at the top of a module that is.`)
}

await rm(OUT, { recursive: true, force: true })
const program = await build({
  ...shared,
  entryPoints: ["src/main.ts"],
  banner: { js: REQUIRE },
  metafile: true,
})
refuseNamelessImports(program.metafile)
await build({ ...shared, entryPoints: ["src/index.ts"], packages: "external" })
await chmod(join(OUT, "main.js"), 0o755)
const licences = packagesIn(program.metafile).map(licenceOf)
await writeFile(join(OUT, "THIRD_PARTY_LICENSES.txt"), `${licences.join(`\n\n${"=".repeat(80)}\n\n`)}\n`)
