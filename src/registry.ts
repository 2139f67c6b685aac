import type { PgTable } from "drizzle-orm/pg-core"
import { Effect, Either } from "effect"
import { ConfigurationError } from "./core/errors.ts"
import { keyStreams } from "./core/lookup.ts"
import { isList, isLookup, type LookupStream, type Stream } from "./core/stream.ts"
import { shapeOf } from "./postgres/shape.ts"
import { streamModules } from "./streamModules.ts"

/** All streams, parents first. Fails with a sentence if they cannot work together. */
export const allStreams: Effect.Effect<ReadonlyArray<Stream>, ConfigurationError> = Effect.flatMap(
  Effect.promise(streamModules),
  modules => {
    const empty = modules.find(({ module }) => module.default === undefined)
    return empty === undefined
      ? Either.mapLeft(
          parentsFirst(modules.map(({ module }) => module.default!)),
          message => new ConfigurationError({ message }),
        )
      : new ConfigurationError({
          message: `src/streams/${empty.file} exports no stream: end it with \`export default defineStream({ … })\`.`,
        })
  },
)

/** Names occur in SQL, in variables and on the command line. */
const NAME = /^[a-z][a-z0-9_]*$/

const tablesOf = ({ table, children, histories }: Stream): ReadonlyArray<string> =>
  [table, ...children.map(child => child.table), ...histories.map(history => history.table)].map(
    own => shapeOf(own).table,
  )

/** Streams that a stream names, with the place in its declaration. */
const namedBy = ({
  after,
  source,
  personal: { subject },
}: Stream): ReadonlyArray<readonly [string, string]> => [
  ...after.map(name => ["after", name] as const),
  ...(source.kind === "lookup" ? keyStreams(source).map(name => ["source.keys", name] as const) : []),
  ...(subject === undefined || subject.kind === "referred"
    ? []
    : [["personal.subject.of", subject.of] as const]),
  ...(subject?.kind === "named" && subject.leadsTo !== undefined
    ? [["personal.subject.leadsTo.stream", subject.leadsTo.stream] as const]
    : []),
]

interface NamedColumn {
  readonly place: string
  readonly table: PgTable | undefined
  readonly column: string
}

const isLacking = ({ table, column }: NamedColumn): boolean =>
  table === undefined || !shapeOf(table).types.has(column)

/** Columns that a look-up names, in its own table and in the tables with its keys. */
const columnsNamed = (
  { source: { keys, answer, recheck }, table, histories }: LookupStream,
  streams: ReadonlyArray<Stream>,
): ReadonlyArray<NamedColumn> => [
  ...keys.flatMap((source): ReadonlyArray<NamedColumn> => {
    if ("variable" in source) return []
    const owner = streams.find(({ name }) => name === source.stream)
    const held =
      source.child === undefined
        ? owner?.table
        : owner?.children.find(child => shapeOf(child.table).name === source.child)?.table
    return [source.column, source.time, source.only?.column].flatMap(column =>
      column === undefined ? [] : [{ place: "source.keys", table: held, column }],
    )
  }),
  ...(answer.kind === "records"
    ? [{ place: "source.answer.keyColumn", table, column: answer.keyColumn }]
    : []),
  ...(recheck.open === undefined
    ? []
    : [{ place: "source.recheck.open", table, column: recheck.open.column }]),
  ...histories.flatMap(({ table: history, timeColumn, endColumn, keyColumns, valueColumns }) =>
    [timeColumn, ...(endColumn === undefined ? [] : [endColumn]), ...keyColumns, ...valueColumns].map(
      column => ({
        place: "histories",
        table: history,
        column,
      }),
    ),
  ),
]

/** The reason why the asked key could not be found in stored rows. */
const unkeptKey = ({ name, source, personal }: LookupStream): string | undefined => {
  const { keyField, idField, answer } = source
  if (answer.kind === "state" && idField !== keyField)
    return `Stream ${name}: source.idField is "${idField}": the id of a state is the asked key, so name "${keyField}".`
  if (answer.kind === "records" && idField !== keyField && personal.plain[keyField] === undefined)
    return `Stream ${name}: source.keyField names "${keyField}", which counts as personal: name it in personal.plain, or the key is lost where personal data is dropped.`
  return undefined
}

/** Finds the first two streams that share a value of `valuesOf`, and the value. */
const twins = (streams: ReadonlyArray<Stream>, valuesOf: (stream: Stream) => ReadonlyArray<string>) => {
  const owners = new Map<string, Stream>()
  for (const stream of streams)
    for (const value of valuesOf(stream)) {
      const owner = owners.get(value)
      if (owner !== undefined) return { owner, stream, value }
      owners.set(value, stream)
    }
  return undefined
}

const mistakeIn = (streams: ReadonlyArray<Stream>): string | undefined => {
  const names = streams.map(({ name }) => name)
  const unfit = names.find(name => !NAME.test(name))
  if (unfit !== undefined)
    return `Stream "${unfit}": name it with lower-case letters, digits and underscores, a letter first.`
  const namesakes = twins(streams, ({ name }) => [name])
  if (namesakes !== undefined)
    return `Two files of src/streams declare a stream ${namesakes.value}: rename one of the streams.`
  const sharing = twins(streams, tablesOf)
  if (sharing !== undefined)
    return sharing.owner === sharing.stream
      ? `Stream ${sharing.owner.name}: it names the table ${sharing.value} twice: give each table one use.`
      : `Stream ${sharing.stream.name}: the table ${sharing.value} belongs to ${sharing.owner.name}: give it a table of its own.`
  for (const stream of streams) {
    const unknown = namedBy(stream).find(([, name]) => !names.includes(name))
    if (unknown !== undefined)
      return `Stream ${stream.name}: ${unknown[0]} names "${unknown[1]}", and there is no such stream: name one of ${names.join(", ")}.`
    const unkept = isLookup(stream) ? unkeptKey(stream) : undefined
    if (unkept !== undefined) return unkept
    const lacking = isLookup(stream) ? columnsNamed(stream, streams).find(isLacking) : undefined
    if (lacking !== undefined)
      return `Stream ${stream.name}: ${lacking.place} names "${lacking.column}", and there is no such column in ${lacking.table === undefined ? "any table of that stream" : shapeOf(lacking.table).name}: name one that there is.`
  }
  return undefined
}

/** Sorts the streams, parents first, or names the wrong stream and the remedy. */
export const parentsFirst = (
  streams: ReadonlyArray<Stream>,
): Either.Either<ReadonlyArray<Stream>, string> => {
  const mistake = mistakeIn(streams)
  if (mistake !== undefined) return Either.left(mistake)
  const byName = new Map(streams.map(stream => [stream.name, stream]))
  const placed = new Set<Stream>()
  /** Places a stream after its parents, or returns the circle that it is part of. */
  const place = (stream: Stream, children: ReadonlyArray<string>): ReadonlyArray<string> | undefined => {
    if (placed.has(stream)) return undefined
    const path = [...children, stream.name]
    if (children.includes(stream.name)) return path.slice(children.indexOf(stream.name))
    for (const parent of stream.after) {
      const circle = place(byName.get(parent)!, path)
      if (circle !== undefined) return circle
    }
    placed.add(stream)
    return undefined
  }
  for (const stream of streams) {
    const circle = place(stream, [])
    if (circle !== undefined)
      return Either.left(
        `Stream ${circle[0]}: it would be read after itself (${circle.join(" after ")}): take one of these names out of an after.`,
      )
  }
  return Either.right([...placed])
}

/** Finds the streams with these names, or all if none is given. An unknown name is a wrong argument. */
export const streamsNamed = (
  names: ReadonlyArray<string>,
): Effect.Effect<ReadonlyArray<Stream>, ConfigurationError> =>
  Effect.flatMap(allStreams, streams => {
    const known = streams.map(({ name }) => name)
    const unknown = names.find(name => !known.includes(name))
    return unknown === undefined
      ? Effect.succeed(names.length === 0 ? streams : streams.filter(({ name }) => names.includes(name)))
      : Effect.fail(
          new ConfigurationError({
            message: `There is no stream ${unknown}; there are ${known.join(", ")}.`,
          }),
        )
  })

/** Names of the streams that read a list, whose path can be configured. */
export const listStreamNames: Effect.Effect<ReadonlyArray<string>, ConfigurationError> = Effect.map(
  allStreams,
  streams => streams.filter(isList).map(({ name }) => name),
)
