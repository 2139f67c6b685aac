import { execFile, spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { promisify } from "node:util"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { parse } from "yaml"
import { start } from "../src/sandbox/sandbox.ts"
import { cli, databaseEnvironment, saidIn, sandboxEnvironment } from "./support/cli.ts"
import { givenServer } from "./support/givenServer.ts"
import { PROJECT } from "./support/package.ts"
import { runSql, temporaryDirectory, testDatabase } from "./support/postgres.ts"
import { MIGRATED } from "./support/warehouse.ts"

/**
 * Checks the containers, the units and their page against the program. No container is built and no unit is started;
 * the commands they run are run, and all names in them are looked up.
 */

const read = (path: string) => readFileSync(join(PROJECT, path), "utf8")

const manifest: { files: ReadonlyArray<string>; bin: Record<string, string> } = JSON.parse(
  read("package.json"),
)

/** Variables of the program: those in `.env.example`, commented out or not. */
const variables = new Set(
  [...read(".env.example").matchAll(/^#? ?([A-Z][A-Z_]+)=/gm)].map(([, name]) => name!),
)

const isCommand = (name: string) => existsSync(join(PROJECT, `src/cli/commands/${name}.ts`))

interface Instruction {
  readonly name: string
  readonly rest: string
}

const instructions: ReadonlyArray<Instruction> = read("Dockerfile")
  .replace(/^#.*\n/gm, "")
  .replace(/\\\n\s*/g, "")
  .split("\n")
  .filter(line => line !== "")
  .map(line => ({ name: line.split(" ", 1)[0]!, rest: line.slice(line.indexOf(" ") + 1) }))

const named = (name: string) =>
  instructions.filter(instruction => instruction.name === name).map(({ rest }) => rest)

const last = (name: string): string => named(name).at(-1)!

/** Parses the words of an instruction in its exec form, in which no shell keeps signals to itself. */
const exec = (rest: string): ReadonlyArray<string> => JSON.parse(rest.slice(rest.indexOf("[")))

/** Files of the project that are sent to the builder. */
const context = read(".dockerignore")
  .split("\n")
  .filter(line => line !== "" && !line.startsWith("#"))

describe("the image", () => {
  it("copies only existing files, and is sent no others", () => {
    expect(context[0]).toBe("*")
    const kept = context.slice(1).map(line => line.replace(/^!/, ""))
    const copied = named("COPY")
      .filter(rest => !rest.startsWith("--from="))
      .flatMap(rest => rest.split(" ").slice(0, -1))
    for (const source of copied) {
      expect([source, existsSync(join(PROJECT, source))]).toEqual([source, true])
      expect(kept.filter(path => `${source}/`.startsWith(`${path}/`))).toHaveLength(1)
    }
    expect(kept.filter(path => !copied.some(source => `${source}/`.startsWith(`${path}/`)))).toEqual([])
  })

  it("holds the files that the program reads at run time, like the package", () => {
    const final = instructions.slice(instructions.map(({ name }) => name).lastIndexOf("FROM"))
    const inImage = final.filter(({ name }) => name === "COPY").map(({ rest }) => rest.split(" ").at(-1))
    // The rest of the package is for people.
    const needed = manifest.files
      .filter(path => /^(dist|drizzle|src)/.test(path))
      .map(path => path.replace(/^(drizzle)\/.*/, "$1"))
    expect(inImage).toEqual(expect.arrayContaining([...new Set(needed), "node_modules"]))
  })

  it("runs the program itself, as an unprivileged user, on a libc that Postgres supports", () => {
    expect(exec(last("ENTRYPOINT"))).toEqual(["node", `/app/${manifest.bin["paycombat-sync"]}`])
    expect(exec(last("CMD")).every(isCommand)).toBe(true)
    expect(last("USER")).toBe("node")
    expect(named("FROM").every(image => /^node:22-\w+-slim/.test(image))).toBe(true)
    expect(last("WORKDIR")).toBe(last("VOLUME"))
    const set = [
      ...named("ENV")
        .join(" ")
        .matchAll(/(\w+)=/g),
    ].map(([, name]) => name!)
    expect(set.filter(name => name !== "NODE_ENV" && !variables.has(name))).toEqual([])
  })

  it.scopedLive("is healthy only while `serve` answers", () =>
    Effect.gen(function* () {
      const [command, ...args] = exec(last("HEALTHCHECK"))
      const check = (port: number) =>
        Effect.promise(() =>
          promisify(execFile)(command === "node" ? process.execPath : command!, args, {
            env: { PAYCOMBAT_HTTP_PORT: String(port) },
          }).then(
            () => 0,
            error => error.code,
          ),
        )
      const sandbox = yield* start({ customers: 3, transactions: 3, payouts: 2, checkouts: 2 })
      const { ownerUrl } = yield* testDatabase({ template: MIGRATED })
      const program = yield* cli({
        ...sandboxEnvironment(sandbox),
        ...databaseEnvironment(ownerUrl),
        PAYCOMBAT_HTTP_PORT: "0",
        PAYCOMBAT_HTTP_HOST: "0.0.0.0",
      })
      const serving = yield* program.start(exec(last("CMD")))
      yield* serving.printed("listening on http://0.0.0.0:")
      const port = Number(/listening on http:\/\/0\.0\.0\.0:(\d+)/.exec(serving.stderr())![1])
      expect(yield* check(port)).toBe(0)
      expect((yield* serving.stop("SIGTERM")).code).toBe(143)
      expect(yield* check(port)).toBe(1)
      const other = yield* Effect.acquireRelease(
        Effect.async<ReturnType<typeof createServer>>(resume => {
          const server = createServer((_, response) => response.writeHead(503).end())
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        server => Effect.sync(() => server.close()),
      )
      expect(yield* check((other.address() as AddressInfo).port)).toBe(1)
    }),
  )
})

interface Service {
  readonly image: string
  readonly command?: ReadonlyArray<string>
  readonly environment?: Readonly<Record<string, string>>
  readonly env_file?: string
  readonly volumes?: ReadonlyArray<string>
  readonly ports?: ReadonlyArray<string>
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
}

const compose: {
  services: Record<"postgres" | "migrate" | "serve", Service>
  volumes: Record<string, null>
} = parse(read("compose.yaml"))

const deployPage = read("docs/deploy.md")

describe("the compose file", () => {
  const services = Object.entries(compose.services)

  it("starts its services in a working order", () => {
    expect(services.map(([name]) => name)).toEqual(["postgres", "migrate", "serve"])
    for (const [name, { command }] of services.slice(1))
      expect([name, command?.every(isCommand)]).toEqual([name, true])
    expect(compose.services.migrate.depends_on).toEqual({ postgres: { condition: "service_healthy" } })
    expect(compose.services.serve.depends_on).toMatchObject({
      migrate: { condition: "service_completed_successfully" },
    })
    for (const [, { volumes = [] }] of services)
      for (const volume of volumes) {
        const source = volume.split(":")[0]!
        expect([
          source,
          source.startsWith("./") ? existsSync(join(PROJECT, source)) : source in compose.volumes,
        ]).toEqual([source, true])
      }
  })

  it("gives the program only known settings, and only its own passwords", () => {
    const { migrate, serve, postgres } = compose.services
    for (const { environment = {} } of [migrate, serve])
      for (const [name, value] of Object.entries(environment)) {
        expect([name, variables.has(name)]).toEqual([name, true])
        expect(value).not.toContain("POSTGRES_PASSWORD")
      }
    expect(serve.env_file).not.toBe(".env")
    expect(deployPage).toContain(`cp .env.example ${serve.env_file}`)
    const passwords = [...read("compose.yaml").matchAll(/\$\{(\w+)/g)].map(([, name]) => name!)
    const made = /for name in ([A-Z ]+); do/.exec(deployPage)![1]!.split(" ")
    expect(new Set(passwords)).toEqual(new Set(made.map(name => `${name}_PASSWORD`)))
    expect(Object.keys(postgres.environment ?? {}).sort()).toEqual([...new Set(passwords)].sort())
  })

  it("publishes the page without a login to this host only", () => {
    expect(compose.services.serve.ports).toEqual([`127.0.0.1:8787:${last("EXPOSE")}`])
    expect(compose.services.postgres.ports).toBeUndefined()
  })
})

describe("the logins for a given Postgres", () => {
  it.scopedLive("are an owner that can migrate, and a reader that can only read analytics", () =>
    Effect.gen(function* () {
      const server = yield* givenServer("18")
      const program = yield* cli({
        DATABASE_URL: Redacted.value(server.ownerUrl),
        PAYCOMBAT_READER_URL: Redacted.value(server.readerUrl),
      })
      const migrated = yield* program.run(["migrate"])
      expect([migrated.code, saidIn(migrated.stderr)]).toEqual([0, []])
      expect(migrated.stdout).not.toMatch(/administrator|ask/)
      const answer = yield* program.run([
        "query",
        "SELECT current_user, count(*) FROM analytics.freshness",
        "--json",
      ])
      expect([saidIn(answer.stderr), JSON.parse(answer.stdout)]).toEqual([
        [],
        [{ current_user: "given_paycombat_query", count: 0 }],
      ])
      const [owner] = yield* Effect.promise(() =>
        runSql(server.ownerUrl, "SELECT rolsuper, rolcreaterole FROM pg_roles WHERE rolname = current_user"),
      )
      expect(owner).toEqual({ rolsuper: false, rolcreaterole: false })
    }),
  )
})

const units = readdirSync(join(PROJECT, "deploy")).filter(name => /\.(service|timer)$/.test(name))

/** Parses the directives of a unit. A repeated name keeps all its values. */
const directives = (unit: string) => {
  const found = new Map<string, Array<string>>()
  for (const [, name, value] of read(`deploy/${unit}`).matchAll(/^([A-Za-z]+)=(.*)$/gm))
    found.set(name!, [...(found.get(name!) ?? []), value!])
  return found
}

describe("the units", () => {
  const services = units.filter(name => name.endsWith(".service"))

  it("are one service that stays up, and two services with a timer each", () => {
    expect(units.sort()).toEqual([
      "paycombat-sync-full.service",
      "paycombat-sync-full.timer",
      "paycombat-sync-once.service",
      "paycombat-sync-once.timer",
      "paycombat-sync.service",
    ])
    for (const unit of units) expect(deployPage).toContain(`../deploy/${unit}`)
  })

  it.each(services)("%s runs the installed program, and lets it end by itself", unit => {
    const all = directives(unit)
    const [program, command, ...rest] = all.get("ExecStart")![0]!.split(" ")
    expect([isCommand(command!), rest]).toEqual([true, unit.includes("full") ? ["--full"] : []])
    const prefix = /npm install --global --prefix (\S+)/.exec(deployPage)![1]
    expect(program).toBe(`${prefix}/bin/paycombat-sync`)
    expect(deployPage).toContain(`install --mode 0600 .env.example ${all.get("EnvironmentFile")![0]}`)
    expect(all.get("Documentation")![0]).toBe(`file:${prefix}/lib/node_modules/paycombat-sync/docs/deploy.md`)
    // Its Postgres is not stopped separately.
    expect(all.get("KillMode")).toEqual(["process"])
    expect(all.get("SuccessExitStatus")![0]!.split(" ")).toContain("143")
    // Node tries one system call that the filter refuses, and must survive that.
    expect(all.get("SystemCallErrorNumber")).toEqual(["EPERM"])
    // Node compiles code at run time.
    expect(all.has("MemoryDenyWriteExecute")).toBe(false)
    const home = `/var/lib/${all.get("StateDirectory")![0]}`
    expect(all.get("Environment")).toContain(`PAYCOMBAT_DATA_DIR=${home}`)
    expect(deployPage).toContain(`useradd --system --home-dir ${home}`)
  })

  it("are hardened the same way", () => {
    const parts = services.map(unit =>
      read(`deploy/${unit}`).split("# Restrictions")[1]!.split("\n[")[0]!.trim(),
    )
    expect([parts.length, new Set(parts).size]).toEqual([3, 1])
  })

  const hasSystemd = spawnSync("systemd-analyze", ["--version"]).status === 0
  // Skipped, and counted as skipped, if there is no systemd to ask. Then only the other tests of the units run.
  it.scopedLive.skipIf(!hasSystemd)("are accepted by systemd without a warning", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      mkdirSync(join(directory, "units"))
      const files = units.map(unit => {
        const path = join(directory, "units", unit)
        // The program is not installed on this machine.
        writeFileSync(path, read(`deploy/${unit}`).replace(/^ExecStart=\S+/m, "ExecStart=/bin/true"))
        return path
      })
      const args = ["verify", "--recursive-errors=no", ...files]
      const { status, stderr } = spawnSync("systemd-analyze", args, { encoding: "utf8" })
      const ours = stderr.split("\n").filter(line => line.includes("paycombat"))
      expect([status, ours]).toEqual([0, []])
    }),
  )
})

describe("the page", () => {
  it("names only existing commands, options and files", () => {
    const code = [...deployPage.matchAll(/```sh\n([\s\S]*?)```|`([^`\n]+)`/g)].map(
      ([, block, word]) => block ?? word!,
    )
    const commands = code.flatMap(text => [...text.matchAll(/paycombat-sync ([a-z]+)(?: ([a-z]+))?/g)])
    expect(commands.length).toBeGreaterThan(5)
    const known = (command: string) => isCommand(command) || command === "paycombat"
    for (const [text, command, more] of commands) {
      expect([text, known(command!)]).toEqual([text, true])
      if (command === "database" && more !== undefined) expect(["backup", "restore"]).toContain(more)
    }
    for (const [, name] of deployPage.matchAll(/\b((?:PAYCOMBAT|OTEL)_[A-Z_]+[A-Z])\b/g))
      expect([name, variables.has(name!)]).toEqual([name, true])
  })
})
