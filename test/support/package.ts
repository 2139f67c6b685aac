import { execFile } from "node:child_process"
import { chmod, cp, mkdir, readFile, symlink, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

/** The package as `npm pack` makes it, and an application that has it installed. Both need no network. */

export const PROJECT = fileURLToPath(new URL("../../", import.meta.url))
const TSC = join(PROJECT, "node_modules/typescript/bin/tsc")

const execute = promisify(execFile)

/** A project's own files, which must not get into a package. */
const PRIVATE = {
  ".env": "PAYCOMBAT_TOKEN=secret",
  ".paycombat/postgres/server.json": "{}",
  "backup.gz": "people",
}

const IN_THE_WAY = /^(node_modules|dist|\.git|\.paycombat.*|\.env)$/

export interface Packed {
  readonly tarball: string
  /** Paths in the package. */
  readonly files: ReadonlyArray<string>
  /** Their size together, in bytes. */
  readonly unpackedSize: number
}

/** Builds a copy of the project, with private files in it, and packs it. */
export const pack = async (directory: string): Promise<Packed> => {
  const project = join(directory, "project")
  await cp(PROJECT, project, {
    recursive: true,
    filter: source => !IN_THE_WAY.test(source.slice(PROJECT.length)),
  })
  await symlink(join(PROJECT, "node_modules"), join(project, "node_modules"))
  await execute(process.execPath, ["--import", "tsx", "scripts/build.ts"], { cwd: project })
  // `npm run check` answers whether the types are right.
  await execute(process.execPath, [TSC, "-p", "tsconfig.build.json", "--noCheck"], { cwd: project })
  for (const [path, text] of Object.entries(PRIVATE)) {
    await mkdir(dirname(join(project, path)), { recursive: true })
    await writeFile(join(project, path), text)
  }
  const npm = ["pack", "--json", "--ignore-scripts", "--offline", "--pack-destination", directory]
  const { stdout } = await execute("npm", npm, { cwd: project, shell: process.platform === "win32" })
  const [{ filename, files, unpackedSize }] = JSON.parse(stdout)
  const paths = files.map(({ path }: { readonly path: string }) => path).sort()
  return { tarball: join(directory, filename), files: paths, unpackedSize }
}

export interface Installed {
  /** The application that has the package among its dependencies. */
  readonly directory: string
  /** The package's own directory. */
  readonly home: string
  /** Path at which npm puts the package's program. */
  readonly program: string
}

/**
 * Unpacks a package into an application's `node_modules`, next to what it depends on and nothing else of ours: what it
 * imports and does not declare is not there.
 */
export const install = async (tarball: string, directory: string): Promise<Installed> => {
  const modules = join(directory, "app/node_modules")
  const home = join(modules, "paycombat-sync")
  await mkdir(home, { recursive: true })
  await execute("tar", ["-xzf", tarball, "-C", home, "--strip-components=1"])
  const { dependencies, optionalDependencies, bin } = JSON.parse(
    await readFile(join(home, "package.json"), "utf8"),
  )
  const platform = process.platform === "win32" ? "windows" : process.platform
  const forThisPlatform = Object.keys(optionalDependencies).filter(name =>
    name.endsWith(`/${platform}-${process.arch}`),
  )
  // A host has types of Node's own.
  for (const name of [...Object.keys(dependencies), ...forThisPlatform, "@types/node"]) {
    await mkdir(dirname(join(modules, name)), { recursive: true })
    await symlink(join(PROJECT, "node_modules", name), join(modules, name))
  }
  const program = join(modules, ".bin/paycombat-sync")
  await mkdir(dirname(program))
  await chmod(join(home, bin["paycombat-sync"]), 0o755)
  await symlink(join(home, bin["paycombat-sync"]), program)
  await writeFile(join(directory, "app/package.json"), JSON.stringify({ name: "shop", type: "module" }))
  return { directory: join(directory, "app"), home, program }
}

/** Compiler options of a host that checks its types strictly. */
const STRICT = {
  compilerOptions: {
    target: "ES2022",
    lib: ["ES2023"],
    module: "NodeNext",
    types: ["node"],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    // So that ours are looked at, too.
    skipLibCheck: false,
    outDir: "built",
  },
}

/** Compiles the files of an application. Returns the messages about them and about the package's types. */
export const compile = async (
  directory: string,
  files: Readonly<Record<string, string>>,
): Promise<ReadonlyArray<string>> => {
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text)
  const options = { ...STRICT, files: Object.keys(files) }
  await writeFile(join(directory, "tsconfig.json"), JSON.stringify(options))
  const said = await execute(process.execPath, [TSC, "-p", "tsconfig.json"], { cwd: directory }).catch(
    error => error,
  )
  // Other libraries' own types are theirs to get right.
  return String(said.stdout)
    .split("\n")
    .filter(line => /: error /.test(line) && !/^\S*node_modules\/(?!paycombat-sync\/)/.test(line))
}
