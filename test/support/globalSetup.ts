import { existsSync } from "node:fs"
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import type { TestProject } from "vitest/node"

declare module "vitest" {
  interface ProvidedContext {
    /** Directory of this run's Postgres servers, with a directory per version. */
    readonly postgresDirectory: string
  }
}

const STOP_LIMIT_MS = 20_000

/** One directory per run. The first test file that asks for a version starts it; here they are all stopped. */
export default async (project: TestProject) => {
  const directory = await mkdtemp(join(tmpdir(), "paycombat-test-"))
  // Postgres runs as another account when the tests run as root.
  await chmod(directory, 0o755)
  project.provide("postgresDirectory", directory)
  return async () => {
    await Promise.all(["14", "18"].map(version => stopServer(join(directory, version))))
    await rm(directory, { recursive: true, force: true, maxRetries: 5 })
  }
}

const stopServer = async (dataDir: string): Promise<void> => {
  const lockFile = join(dataDir, "postgres/data/postmaster.pid")
  if (!existsSync(lockFile)) return
  process.kill(Number((await readFile(lockFile, "utf8")).split("\n")[0]), "SIGINT")
  const until = Date.now() + STOP_LIMIT_MS
  while (existsSync(lockFile) && Date.now() < until) await setTimeout(50)
}
