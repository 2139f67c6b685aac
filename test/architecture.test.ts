import { readdirSync, readFileSync } from "node:fs"
import { posix } from "node:path"
import { describe, expect, it } from "@effect/vitest"

/** The rules of imports. ARCHITECTURE.md gives the reasons. Imports of types count. */

const SRC = new URL("../src/", import.meta.url)

/** Longest file that is still read from top to bottom. */
const LINES_MAX = 300

interface File {
  /** Below `src/`. */
  readonly path: string
  readonly text: string
  /** Imports of the file: paths below `src/`, or packages. */
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

/** The rooms of the house, each with the rooms that it may import. A file directly in `src` is a room of its own. */
const MAY_IMPORT: Readonly<Record<string, ReadonlyArray<string>>> = {
  core: [],
  streams: ["core", "warehouse/schema"],
  "streamModules.ts": ["core"],
  "registry.ts": ["core", "postgres", "streamModules.ts"],
  observe: ["core"],
  postgres: ["core"],
  paycombat: ["core", "observe"],
  warehouse: ["core", "observe", "postgres"],
  config: ["core", "postgres", "registry.ts"],
  "warehouseLayer.ts": ["core", "config", "postgres"],
  status: ["core", "config", "warehouse"],
  sync: ["core", "config", "observe", "paycombat", "postgres", "registry.ts", "warehouse"],
  report: ["core", "config", "registry.ts", "status", "warehouse"],
  serve: ["core", "config", "observe", "postgres", "status", "sync", "warehouse"],
  "app.ts": [
    ...["core", "config", "observe", "paycombat", "postgres", "registry.ts", "serve", "status", "sync"],
    ...["warehouse", "warehouseLayer.ts"],
  ],
  doctor: ["app.ts", "core", "config", "paycombat", "postgres", "registry.ts", "sync", "warehouse"],
  "settings.ts": ["app.ts", "core", "config"],
  "index.ts": ["app.ts", "core", "doctor", "paycombat", "report", "settings.ts", "status", "warehouse"],
  sandbox: ["core", "registry.ts"],
  cli: [
    ...["app.ts", "config", "core", "doctor", "observe", "postgres", "registry.ts", "report", "sandbox"],
    ...["status", "warehouse"],
  ],
  "main.ts": ["cli"],
}

/** Most files directly in `src`, and most files of one folder: more than that is no room one finds things in. */
const LOOSE_FILES_MAX = 8
const FOLDER_FILES_MAX = 25

const folderOf = (path: string) => posix.dirname(path)
const roomOf = (path: string) => path.split("/")[0]!

/** The circles of a graph: its strongly connected parts of more than one node, by Tarjan's algorithm. */
const circlesOf = (graph: ReadonlyMap<string, ReadonlySet<string>>): ReadonlyArray<ReadonlyArray<string>> => {
  const order = new Map<string, number>()
  const lowest = new Map<string, number>()
  const open: Array<string> = []
  const circles: Array<ReadonlyArray<string>> = []
  const visit = (node: string): number => {
    const place = order.size
    order.set(node, place)
    open.push(node)
    let low = place
    for (const next of graph.get(node) ?? []) {
      if (!order.has(next)) low = Math.min(low, visit(next))
      else if (open.includes(next)) low = Math.min(low, lowest.get(next) ?? order.get(next)!)
    }
    lowest.set(node, low)
    if (low === place) {
      const part = open.splice(open.indexOf(node))
      if (part.length > 1) circles.push(part)
    }
    return low
  }
  for (const node of graph.keys()) if (!order.has(node)) visit(node)
  return circles
}

/** Imports that break a rule, as `file → import`. */
const offences = (who: (file: File) => boolean, mayNot: (target: string, file: File) => boolean) =>
  sources
    .filter(who)
    .flatMap(file =>
      file.imports.filter(target => mayNot(target, file)).map(target => `${file.path} → ${target}`),
    )

const isBelow = (path: string, folders: ReadonlyArray<string>) =>
  folders.some(folder => path === folder || path.startsWith(`${folder}/`))

const within =
  (...folders: ReadonlyArray<string>) =>
  ({ path }: { readonly path: string }) =>
    isBelow(path, folders)

/** Code without the sentences of its comments; what a comment can switch off stays. */
const withoutProse = (text: string) => text.replace(/\/\*\*[\s\S]*?\*\//g, "")

/** Code without any comment. */
const withoutComments = (text: string) => withoutProse(text).replace(/^\s*\/\/.*$/gm, "")

const isHttp = (target: string) =>
  /^@effect\/platform\/(Http|FetchHttp|Headers)|^node:https?$|^undici$/.test(target)
/** The driver, not the room of that name. */
const isSql = (target: string) => /^postgres$|^drizzle-orm(\/|$)/.test(target)

describe("the import rules", () => {
  it("are read from the files themselves", () => {
    expect(sources.length).toBeGreaterThan(40)
    expect(views.length).toBeGreaterThanOrEqual(16)
    expect(fileAt("sync/run.ts").imports).toEqual(
      expect.arrayContaining(["effect", "sync/accountRun.ts", "warehouse/ledger/lease.ts"]),
    )
    for (const { path, imports } of sources)
      for (const target of imports)
        if (target.endsWith(".ts"))
          expect([path, target, files.includes(target)]).toEqual([path, target, true])
  })

  it("let each room import only the rooms that the table names for it", () => {
    const rooms = new Set(sources.map(({ path }) => roomOf(path)))
    expect([...rooms].sort()).toEqual(Object.keys(MAY_IMPORT).sort())
    const isForbidden = (target: string, { path }: File) =>
      target.endsWith(".ts") &&
      roomOf(target) !== roomOf(path) &&
      !isBelow(target, MAY_IMPORT[roomOf(path)] ?? [])
    expect(offences(() => true, isForbidden)).toEqual([])
    const isUsed = (room: string, other: string) =>
      sources.some(
        file => roomOf(file.path) === room && file.imports.some(target => isBelow(target, [other])),
      )
    const unused = Object.entries(MAY_IMPORT).flatMap(([room, others]) =>
      others.filter(other => !isUsed(room, other)).map(other => `${room} → ${other}`),
    )
    expect(unused).toEqual([])
  })

  it("have no circle, neither among files nor among folders", () => {
    const ours = sources.map(({ path, imports }) => ({
      path,
      imports: imports.filter(target => files.includes(target)),
    }))
    const ofFiles = new Map(ours.map(({ path, imports }) => [path, new Set(imports)]))
    expect(circlesOf(ofFiles)).toEqual([])
    const placeOf = (path: string) => (folderOf(path) === "." ? path : folderOf(path))
    const ofFolders = new Map<string, Set<string>>()
    for (const { path, imports } of ours)
      for (const target of imports) {
        const seen = ofFolders.get(placeOf(path)) ?? new Set()
        if (placeOf(target) !== placeOf(path)) seen.add(placeOf(target))
        ofFolders.set(placeOf(path), seen)
      }
    expect(circlesOf(ofFolders)).toEqual([])
    // The search itself finds one.
    expect(
      circlesOf(
        new Map([
          ["a", new Set(["b"])],
          ["b", new Set(["c", "a"])],
          ["c", new Set()],
        ]),
      ),
    ).toHaveLength(1)
  })

  it("streams know their fields and their table: neither HTTP nor each other", () => {
    const may =
      /^core\/(fields|stream|json)\.ts$|^warehouse\/schema\/columns\.ts$|^effect$|^drizzle-orm(\/pg-core)?$/
    expect(offences(within("streams"), target => !may.test(target))).toEqual([])
  })

  it("only the rooms for HTTP and SQL use them", () => {
    const isTypeOnly = (file: File, target: string) =>
      new RegExp(`import type [^"]*"${target}"`).test(file.text)
    // `paycombat/` asks, `serve/` and the sandbox answer, and `app.ts` chooses the client.
    const isHttpFile = within(
      "paycombat",
      "sandbox",
      "serve/http.ts",
      "serve/connections.ts",
      "app.ts",
      "cli",
    )
    expect(
      offences(
        file => !isHttpFile(file),
        (target, file) => isHttp(target) && !isTypeOnly(file, target),
      ),
    ).toEqual([])
    expect(
      offences(
        file => !within("postgres", "warehouse", "streams")(file),
        (target, file) => isSql(target) && !isTypeOnly(file, target),
      ),
    ).toEqual([])
  })

  it("a host loads no chart, schedule or doctor unless it uses them", () => {
    const loaded = loadedWith("index.ts")
    expect([...loaded]).toEqual(expect.arrayContaining(["app.ts", "sync/run.ts", "postgres/connect.ts"]))
    const heavy = /^(doctor|report|serve|sandbox|cli)\/|^status\/scheduler\.ts$|^(echarts|node-cron)/
    expect([...loaded].filter(path => heavy.test(path))).toEqual([])
  })

  it("code that works on every stream names no stream", async () => {
    const streams = readdirSync(new URL("streams/", SRC)).map(file => file.replace(".ts", ""))
    const words = [...streams, "readiness", "wallet_ready", "is_wallet_ready", "customer_id"]
    const named = new RegExp(`\\b(${words.join("|")})\\b`, "i")
    const engine = within(
      ...["core", "observe", "paycombat", "postgres", "sync", "warehouse/backup", "warehouse/ledger"],
      ...["warehouse/load", "warehouse/lookups", "warehouse/maintain"],
    )
    const naming = sources.filter(engine).flatMap(
      ({ path, text }) =>
        withoutComments(text)
          .match(named)
          ?.map(word => `${path}: ${word}`) ?? [],
    )
    expect(naming).toEqual([])
  })

  it("a library that one room needs is imported by that room only", () => {
    const places: Readonly<Record<string, RegExp>> = {
      "report/charts.ts": /^echarts(\/|$)/,
      "status/scheduler.ts": /^node-cron$/,
      "observe/telemetry.ts": /^@opentelemetry\/|^@effect\/opentelemetry/,
      cli: /^@effect\/cli|^log-update$|^cli-table3$/,
    }
    for (const [place, library] of Object.entries(places)) {
      const users = sources.filter(({ imports }) => imports.some(target => library.test(target)))
      expect(users).not.toEqual([])
      expect(users.filter(({ path }) => !isBelow(path, [place])).map(({ path }) => path)).toEqual([])
    }
  })
})

describe("the rooms", () => {
  it(`are folders of at most ${FOLDER_FILES_MAX} files; at most ${LOOSE_FILES_MAX} files stand outside`, () => {
    const sizes = new Map<string, number>()
    for (const { path } of [...sources, ...views])
      sizes.set(folderOf(path), (sizes.get(folderOf(path)) ?? 0) + 1)
    expect(sizes.get(".")).toBeLessThanOrEqual(LOOSE_FILES_MAX)
    const crowded = [...sizes].filter(([, count]) => count > FOLDER_FILES_MAX)
    expect(crowded).toEqual([])
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
        !within("cli", "main.ts")({ path }) && /\bconsole\.|process\.std(out|err)/.test(text),
    )
    expect(printing.map(({ path }) => path)).toEqual([])
  })

  it("is without `any`, switched-off checks and leftovers", () => {
    // Forbidden everywhere. This pattern is the only place that names it.
    const banned = /:\s*any\b|<any>|\bas any\b|@ts-(ignore|expect-error|nocheck)|\bTODO\b|\bFIXME\b|debugger/
    const offenders = sources.filter(({ text }) => banned.test(withoutProse(text)))
    expect(offenders.map(({ path }) => path)).toEqual([])
  })
})
