import { execFile } from "node:child_process"
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import type { TestProject } from "vitest/node"

declare module "vitest" {
  interface ProvidedContext {
    /** The browser's program, unpacked for this run. */
    readonly browserProgram: string
    /** What its process needs of environment, beside the tests' own. */
    readonly browserEnvironment: Readonly<Record<string, string>>
    /** Where pictures of the pages go. */
    readonly pictureDirectory: string
  }
}

/**
 * The browser comes in an npm package, packed, with the libraries and fonts of a system that has none: it runs
 * on any Linux with glibc, as any user, without a package manager of the system's. Pictures stay where
 * PAYCOMBAT_PICTURES says; without it they go with the run.
 */
export default async (project: TestProject) => {
  const directory = await mkdtemp(join(tmpdir(), "paycombat-browser-"))
  const program = await unpackedIn(directory)
  const pictures = process.env.PAYCOMBAT_PICTURES ?? join(directory, "pictures")
  await mkdir(pictures, { recursive: true })
  project.provide("browserProgram", program)
  project.provide("browserEnvironment", {
    FONTCONFIG_FILE: await fontsOnlyIn(directory),
    HOME: directory,
    ...((await lacksLibraries(program)) ? { LD_LIBRARY_PATH: join(directory, "al2023", "lib") } : {}),
  })
  project.provide("pictureDirectory", pictures)
  return () => rm(directory, { recursive: true, force: true, maxRetries: 5 })
}

/**
 * The fonts that were unpacked there and no others, so that a page looks and measures the same on every machine. The
 * package's own list of places names fixed ones: without it a browser may find no font, and show no text at all.
 */
const fontsOnlyIn = async (directory: string): Promise<string> => {
  const file = join(directory, "fonts.conf")
  await writeFile(
    file,
    `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>${join(directory, "fonts")}</dir><cachedir>${join(directory, "fonts-cache")}</cachedir></fontconfig>
`,
  )
  return file
}

/** The package unpacks into the temporary directory, and its libraries only where it takes the system for a cloud's. */
const unpackedIn = async (directory: string): Promise<string> => {
  const before = { ...process.env }
  Object.assign(process.env, { TMPDIR: directory, AWS_EXECUTION_ENV: "AWS_Lambda_nodejs20.x" })
  try {
    const { default: packed } = await import("@sparticuz/chromium")
    const program = await packed.executablePath()
    await chmod(program, 0o755)
    return program
  } finally {
    for (const name of ["TMPDIR", "AWS_EXECUTION_ENV", "FONTCONFIG_PATH", "HOME", "LD_LIBRARY_PATH"]) {
      if (before[name] === undefined) delete process.env[name]
      else process.env[name] = before[name]
    }
  }
}

/** Asks the dynamic linker, which lists what it would load and runs nothing. */
const lacksLibraries = async (program: string): Promise<boolean> => {
  const environment = { ...process.env, LD_TRACE_LOADED_OBJECTS: "1" }
  const { stdout } = await promisify(execFile)(program, [], { env: environment })
  return stdout.includes("not found")
}
