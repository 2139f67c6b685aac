import { execFile } from "node:child_process"
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import type { TestProject } from "vitest/node"

declare module "vitest" {
  interface ProvidedContext {
    /** Executable of the browser, unpacked for this run. */
    readonly browserProgram: string
    /** Environment variables of the browser's process, in addition to the tests' own. */
    readonly browserEnvironment: Readonly<Record<string, string>>
    /** Directory for screenshots. */
    readonly pictureDirectory: string
  }
}

/**
 * Unpacks the browser from its npm package, with the libraries and fonts of a system that has none. It runs
 * on any Linux with glibc, as any user, without the system's package manager. Screenshots stay in
 * PAYCOMBAT_PICTURES; without it they are deleted after the run.
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
 * Configures only the unpacked fonts, so that a page looks and measures the same on every machine. The
 * package's own list names fixed directories; without this file a browser may find no font and show no text.
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

/**
 * Unpacks the package's libraries. It unpacks into the temporary directory, and unpacks libraries only if it
 * takes the system for a cloud's.
 */
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

/** Asks the dynamic linker for the missing libraries. It lists what it would load, and runs nothing. */
const lacksLibraries = async (program: string): Promise<boolean> => {
  const environment = { ...process.env, LD_TRACE_LOADED_OBJECTS: "1" }
  const { stdout } = await promisify(execFile)(program, [], { env: environment })
  return stdout.includes("not found")
}
