import { Effect, Option } from "effect"
import { ConfigurationError } from "../../core/errors.ts"
import {
  type AutomaticChange,
  FAULTS,
  type FaultName,
  foundGenerators,
  type Generators,
  lastMidnight,
  listsOf,
  type SandboxOptions,
  seededFaults,
  start,
} from "../../sandbox/sandbox.ts"
import { print, printJson, say } from "../terminal/output.ts"

interface Options extends Pick<SandboxOptions, "seed"> {
  readonly until: Option.Option<Date>
  readonly faults: ReadonlyArray<string>
  readonly paths: ReadonlyArray<string>
  readonly byIdPaths: ReadonlyArray<string>
  readonly paging: string
  readonly change: Option.Option<AutomaticChange["action"]>
  readonly changeStream: string
  readonly changeEvery: number
  readonly changeTimes: number
  readonly json: boolean
}

const PORT_MAX = 65_535

const refuse = (message: string) => Effect.fail(new ConfigurationError({ message }))

const splitPair = (pair: string): readonly [name: string, value: string] => {
  const [name = "", ...value] = pair.split("=")
  return [name, value.join("=")]
}

const isFault = (name: string): name is FaultName => Object.hasOwn(FAULTS, name)

const chancesOf = (given: Options["faults"]) =>
  Effect.forEach(given, pair => {
    const [name, text] = splitPair(pair)
    const chance = /^\d*\.?\d+$/.test(text) ? Number(text) : Number.NaN
    return isFault(name) && chance <= 1
      ? Effect.succeed([name, chance] as const)
      : refuse(
          `--fault ${pair} is not a fault and a chance from 0 to 1; there are ${Object.keys(FAULTS).join(", ")}.`,
        )
  }).pipe(Effect.map(Object.fromEntries<number>))

/** The lists of the sandbox by name, each with the path where it is. */
type Lists = ReadonlyMap<string, string>

const namesOf = (lists: Lists): string => [...lists.keys()].join(", ")

/** A path without query, fragment or empty part. Otherwise no request would ever match it. */
const PATH = /^(\/[\w~%@:!$&'()*+,;=.-]+)+$/

const listPathsOf = (generators: Generators): Lists =>
  new Map([...listsOf(generators)].map(([name, { listPath }]) => [name, listPath]))

/** Parses pairs of a list and its path. Fails on the first wrong one, as `option` with `expectation`. */
const pairsOf = (
  option: string,
  given: ReadonlyArray<string>,
  lists: Lists,
  { isPath, expectation }: { readonly isPath: (path: string) => boolean; readonly expectation: string },
) =>
  Effect.map(
    Effect.forEach(given, pair => {
      const [name, path] = splitPair(pair)
      return lists.has(name) && isPath(path)
        ? Effect.succeed([name, path] as const)
        : refuse(`${option} ${pair} is not ${expectation}; there are ${namesOf(lists)}.`)
    }),
    pairs => Object.fromEntries<string>(pairs),
  )

const pathsOf = (given: Options["paths"], lists: Lists) =>
  Effect.gen(function* () {
    const paths = yield* pairsOf("--path", given, lists, {
      isPath: path => PATH.test(path),
      expectation: "a list and a path that begins with /",
    })
    const all = Object.values({ ...Object.fromEntries(lists), ...paths })
    const twice = all.find((path, i) => all.indexOf(path) !== i)
    if (twice !== undefined) return yield* refuse(`--path: two lists cannot both be at ${twice}.`)
    return paths
  })

const byIdPathsOf = (given: Options["byIdPaths"], lists: Lists) =>
  pairsOf("--by-id", given, lists, {
    isPath: path => path.split("{id}").length === 2 && PATH.test(path.replace("{id}", "id")),
    expectation: "a list and a path with {id} in it",
  })

const pagingOf = (given: string) => {
  const [position, size, ...rest] = given.split(",").map(name => name.trim())
  return position && size && position !== size && rest.length === 0
    ? Effect.succeed([position, size] as const)
    : refuse(`--paging ${given} is not the names of two parameters, such as page,limit or offset,limit.`)
}

const changeOf = (
  { change, changeStream: stream, changeEvery: every, changeTimes: times }: Options,
  lists: Lists,
) => {
  if (!lists.has(stream))
    return refuse(`--change-stream ${stream} is not a list; there are ${namesOf(lists)}.`)
  if (every < 1) return refuse(`--change-every ${every} is not a number of pages from 1.`)
  if (times < 1) return refuse(`--change-times ${times} is not a number of changes from 1.`)
  return Effect.succeed(
    Option.match(change, {
      onNone: () => null,
      onSome: (action): AutomaticChange => ({ action, stream, every, times }),
    }),
  )
}

export const run = ({
  firstPage,
  ...given
}: Options & { readonly firstPage: "0" | "1" } & Omit<
    Partial<SandboxOptions>,
    keyof Options | "firstPage"
  >) =>
  Effect.gen(function* () {
    const {
      json,
      until,
      faults,
      paths,
      byIdPaths,
      paging,
      change: _,
      changeStream,
      changeEvery,
      changeTimes,
      ...options
    } = given
    if (given.port !== undefined && (given.port < 0 || given.port > PORT_MAX))
      return yield* refuse(`--port ${given.port} is not a port: 0 to ${PORT_MAX}; 0 takes a free one.`)
    const chances = yield* chancesOf(faults)
    const fault = faults.length === 0 ? null : seededFaults(options.seed, chances)
    const lists = listPathsOf((yield* foundGenerators).generators)
    const listPaths = yield* pathsOf(paths, lists)
    const detailPaths = yield* byIdPathsOf(byIdPaths, lists)
    const pagingNames = yield* pagingOf(paging)
    const change = yield* changeOf(given, lists)
    const { url, token, sampled } = yield* start({
      ...options,
      until: Option.getOrElse(until, lastMidnight).toISOString(),
      firstPage: firstPage === "0" ? 0 : 1,
      fault,
      listPaths,
      detailPaths,
      pagingNames,
      change,
    })
    yield* json
      ? printJson({ url, token })
      : print(`export PAYCOMBAT_BASE_URL=${url}\nexport PAYCOMBAT_TOKEN=${token}`)
    for (const name of sampled) yield* say(`${name}: copies of the record in its fixture.`)
    yield* say("Serving simulated data until Ctrl-C.")
    return yield* Effect.never
  }).pipe(Effect.scoped)
