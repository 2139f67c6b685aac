import { readdirSync, readFileSync } from "node:fs"
import { posix } from "node:path"
import { describe, expect, it } from "@effect/vitest"

/** Who may know whom. What these rules are for is in ARCHITECTURE.md. */

const SRC = new URL("../src/", import.meta.url)

/** Longest file that is still read from top to bottom. */
const LINES_MAX = 300

interface File {
  /** Below `src/`. */
  readonly path: string
  readonly text: string
  /** What it imports: a path below `src/`, or a package. */
  readonly imports: ReadonlyArray<string>
}

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s[^"'`;]*?from\s+"([^"]+)"|import\(\s*"([^"]+)"|(?:^|\n)import\s+"([^"]+)"/g

const fileAt = (path: string): File => {
  const text = readFileSync(new URL(path, SRC), "utf8")
  const imports = [...text.matchAll(IMPORT)].map(match => {
    const target = match[1] ?? match[2] ?? match[3] ?? ""
    return target.startsWith(".") ? posix.join(posix.dirname(path), target) : target
  })
  return { path, text, imports }
}

const files = readdirSync(SRC, { recursive: true, encoding: "utf8" }).map(path => path.replaceAll("\\", "/"))
const sources = files.filter(path => path.endsWith(".ts")).map(fileAt)
const views = files.filter(path => path.endsWith(".sql")).map(fileAt)

/** Imports that are made at once, and not only for their types. */
const STATIC =
  /(?:^|\n)\s*(?:import|export)\s+(?!type\b)[^"'`;]*?from\s+"([^"]+)"|(?:^|\n)import\s+"([^"]+)"/g

/** All that is loaded with a file: files below `src/`, and packages. */
const loadedWith = (path: string, seen = new Set<string>()): ReadonlySet<string> => {
  if (seen.has(path)) return seen
  seen.add(path)
  const { text } = path.endsWith(".ts") ? fileAt(path) : { text: "" }
  for (const [, named, bare] of text.matchAll(STATIC)) {
    const target = named ?? bare ?? ""
    loadedWith(target.startsWith(".") ? posix.join(posix.dirname(path), target) : target, seen)
  }
  return seen
}

/** Imports that break a rule, as `file → import`. */
const offences = (who: (file: File) => boolean, mayNot: (target: string, file: File) => boolean) =>
  sources
    .filter(who)
    .flatMap(file =>
      file.imports.filter(target => mayNot(target, file)).map(target => `${file.path} → ${target}`),
    )

const within =
  (...folders: ReadonlyArray<string>) =>
  ({ path }: { readonly path: string }) =>
    folders.some(folder => path === folder || path.startsWith(`${folder}/`))

/** Code without the sentences of its comments; what a comment can switch off stays. */
const withoutProse = (text: string) => text.replace(/\/\*\*[\s\S]*?\*\//g, "")

const isHttp = (target: string) =>
  /^@effect\/platform\/(Http|FetchHttp|Headers)|^node:https?$|^undici$/.test(target)
const isSql = (target: string) => /^(postgres|drizzle-orm)(\/|$)/.test(target)

describe("the import rules", () => {
  it("are read from the files themselves", () => {
    expect(sources.length).toBeGreaterThan(40)
    expect(views.length).toBeGreaterThanOrEqual(16)
    expect(fileAt("sync/accountRun.ts").imports).toEqual(
      expect.arrayContaining([
        "effect",
        "core/stream.ts",
        "paycombat/client/client.ts",
        "warehouse/ledger/lease.ts",
      ]),
    )
    for (const { path, imports } of sources)
      for (const target of imports)
        if (target.endsWith(".ts"))
          expect([path, target, files.includes(target)]).toEqual([path, target, true])
  })

  it("streams know their fields and their table: neither HTTP nor each other", () => {
    const may = /^(Fields|Stream|Json)\.ts$|^warehouse\/columns\.ts$|^effect$|^drizzle-orm(\/pg-core)?$/
    expect(offences(within("streams"), target => !may.test(target))).toEqual([])
  })

  it("what speaks HTTP knows nothing of SQL, and what speaks SQL nothing of HTTP", () => {
    expect(offences(within("paycombat"), target => isSql(target) || target.startsWith("warehouse/"))).toEqual(
      [],
    )
    expect(
      offences(within("warehouse"), target => isHttp(target) || target.startsWith("paycombat/")),
    ).toEqual([])
  })

  it("HTTP and SQL are spoken where they belong only", () => {
    const isTypeOnly = (file: File, target: string) =>
      new RegExp(`import type [^"]*"${target}"`).test(file.text)
    // `paycombat/` asks, `serve/` and the sandbox answer; `app.ts` says by what.
    const httpFiles = within("paycombat", "sandbox", "serve/http.ts", "serve/connections.ts", "app.ts")
    expect(
      offences(
        file => !httpFiles(file) && !within("cli")(file),
        (target, file) => isHttp(target) && !isTypeOnly(file, target),
      ),
    ).toEqual([])
    const sqlFiles = within("warehouse", "streams")
    expect(
      offences(
        file => !sqlFiles(file),
        (target, file) => isSql(target) && !isTypeOnly(file, target),
      ),
    ).toEqual([])
  })

  it("what is told of figures knows how old is too old, and not where figures come from", () => {
    const may = /^report\/|^Health\.ts$|^node:crypto$/
    // Charts are drawn in one place: that of `places` below.
    expect(offences(within("report"), target => !may.test(target) && !target.startsWith("echarts"))).toEqual(
      [],
    )
    // The other way round: the data that pages and documents are made of, and nothing that makes them.
    expect(
      offences(
        within("warehouse"),
        target => target.startsWith("report/") && target !== "warehouse/report/types.ts",
      ),
    ).toEqual([])
  })

  it("what an examination tells is told of what it is given: no command line, no run, no report", () => {
    const mayNot =
      /^(App|Pipeline|AccountRun|StreamRun|UrgentRun|ListRun|LookupRun|Serve|Host|Report|cli|main)\.ts$|^(cli|serve|report|sandbox)\//
    expect(offences(within("doctor"), target => mayNot.test(target))).toEqual([])
  })

  it("a host waits for no chart, no schedule and no examination that it does not ask for", () => {
    const loaded = loadedWith("index.ts")
    expect([...loaded]).toEqual(expect.arrayContaining(["app.ts", "sync/run.ts", "postgres/connect.ts"]))
    const heavy =
      /^(Doctor|Report|Serve|Scheduler)\.ts$|^(doctor|report|serve|sandbox|cli)\/|^(echarts|node-cron)/
    expect([...loaded].filter(path => heavy.test(path))).toEqual([])
  })

  it("a library that only one file needs is known to that file only", () => {
    const places: Readonly<Record<string, RegExp>> = {
      "report/charts.ts": /^echarts(\/|$)/,
      "status/scheduler.ts": /^node-cron$/,
      "observe/telemetry.ts": /^@opentelemetry\/|^@effect\/opentelemetry/,
    }
    for (const [place, library] of Object.entries(places)) {
      expect(fileAt(place).imports.filter(target => library.test(target))).not.toEqual([])
      expect(
        offences(
          ({ path }) => path !== place,
          target => library.test(target),
        ),
      ).toEqual([])
    }
  })

  it("neither of the two knows the pipeline or the command line, and the sandbox nobody but the errors", () => {
    const isAbove = (target: string) =>
      /^(Pipeline|AccountRun|StreamRun|UrgentRun|ListRun|LookupRun|Serve|App|Config|registry|cli|main)\.ts$|^(cli|serve)\//.test(
        target,
      )
    expect(offences(within("paycombat", "warehouse"), isAbove)).toEqual([])
    expect(
      offences(
        within("sandbox"),
        target => target.endsWith(".ts") && target !== "core/errors.ts" && !target.startsWith("sandbox/"),
      ),
    ).toEqual([])
    expect(
      offences(
        file => !within("cli", "cli/cli.ts", "main.ts", "sandbox")(file),
        target => target.startsWith("sandbox/"),
      ),
    ).toEqual([])
  })

  it("the command line is made of functions of the application", () => {
    const isCommandLine = within("cli", "cli/cli.ts", "main.ts")
    expect(
      offences(
        file => !isCommandLine(file),
        target => target.startsWith("@effect/cli"),
      ),
    ).toEqual([])
    expect(
      offences(
        file => !isCommandLine(file),
        target => /^(cli|main)\.ts$|^cli\//.test(target),
      ),
    ).toEqual([])
  })

  it("have no circles among files that run", () => {
    const graph = new Map(
      sources.map(({ path, text }) => [
        path,
        [...text.matchAll(/(?:^|\n)(?:import|export)\s(?!type\s)[^"'`;]*?from\s+"(\.[^"]+)"/g)].map(
          ([, target]) => posix.join(posix.dirname(path), target!),
        ),
      ]),
    )
    const done = new Set<string>()
    const circles: Array<string> = []
    const visit = (path: string, trail: ReadonlyArray<string>): void => {
      if (trail.includes(path)) circles.push([...trail.slice(trail.indexOf(path)), path].join(" → "))
      if (done.has(path) || trail.includes(path)) return
      for (const target of graph.get(path) ?? []) visit(target, [...trail, path])
      done.add(path)
    }
    for (const path of graph.keys()) visit(path, [])
    expect(circles).toEqual([])
  })
})

describe("the views", () => {
  it("read the warehouse, the ledger and each other", () => {
    for (const { path, text } of views) {
      const sql = text.replace(/--[^\n]*/g, "").replace(/'(?:[^']|'')*'/g, "''")
      const schemas = [...sql.matchAll(/\b(?:FROM|JOIN)\s+(?:ONLY\s+)?"?([a-z_]+)"?\."?[a-z_]+"?/gi)].map(
        ([, schema]) => schema!,
      )
      expect([path, schemas.length > 0]).toEqual([path, true])
      for (const schema of schemas) expect(["warehouse", "sync", "analytics"]).toContain(schema)
    }
  })
})

describe("every file", () => {
  it(`has at most ${LINES_MAX} lines`, () => {
    const long = [...sources, ...views].flatMap(({ path, text }) => {
      const lines = text.split("\n").length - 1
      return lines > LINES_MAX ? [`${path}: ${lines}`] : []
    })
    expect(long).toEqual([])
  })

  it("logs through Effect: only the command line prints", () => {
    const printing = sources.filter(
      ({ path, text }) =>
        !within("cli", "cli/cli.ts", "main.ts")({ path }) && /\bconsole\.|process\.std(out|err)/.test(text),
    )
    expect(printing.map(({ path }) => path)).toEqual([])
  })

  it("is without `any`, switched-off checks and leftovers", () => {
    // What must stand nowhere: this pattern is the only place that names it.
    const banned = /:\s*any\b|<any>|\bas any\b|@ts-(ignore|expect-error|nocheck)|\bTODO\b|\bFIXME\b|debugger/
    const offenders = sources.filter(({ text }) => banned.test(withoutProse(text)))
    expect(offenders.map(({ path }) => path)).toEqual([])
  })
})
