import { instantMillis } from "../core/instant.ts"
import { isJsonObject, type Json, type JsonObject, stringifyJson } from "../core/json.ts"
import { idText } from "../core/recordId.ts"
import { isList, type ListStream, type LookupStream, type Stream } from "../core/stream.ts"
import type { Fixture } from "./fixture.ts"
import type { Generator, ListGenerator, LookupGenerator } from "./world/generator.ts"
import { hash, type Ids, idsOf, KIND } from "./world/random.ts"
import { HOUR_MILLIS, iso, type World } from "./world/world.ts"

/** Serves a stream without a generator: copies of the record in its fixture, with their own ids and times. */

/** Copies in a list: enough for a second page at the smallest usual page size. */
const COPIES = 12

const ID_NAME = /(^|_)id$/i
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
const HAS_TIME_OF_DAY = /^\d{4}-\d\d-\d\d[T ]/i

interface Copy {
  readonly index: number
  readonly ownId: string
  readonly id: string
  readonly laterMillis: number
}

/** Copies the record, with ids deeper in it changed. An id that is also at the top refers to another record, and stays. */
const copyOf = (record: JsonObject, { index, ownId, id, laterMillis }: Copy): JsonObject => {
  const atTop = new Set(Object.values(record))
  const textOf = (text: string, name: string): string => {
    if (text === ownId) return id
    const millis = HAS_TIME_OF_DAY.test(text) ? instantMillis(text) : null
    if (millis !== null && laterMillis !== 0) return iso(millis + laterMillis)
    return index > 0 && ID_NAME.test(name) && !atTop.has(text) ? `${text}_${index}` : text
  }
  const valueOf = (value: Json, name: string): Json => {
    if (typeof value === "string") return textOf(value, name)
    if (Array.isArray(value)) return value.map(item => valueOf(item, name))
    return isJsonObject(value) ? objectOf(value) : value
  }
  const objectOf = (object: JsonObject): JsonObject =>
    Object.fromEntries(Object.entries(object).map(([name, value]) => [name, valueOf(value, name)]))
  return objectOf(record)
}

/** Hashes a text to a number below 2^32, the same in every process. */
const numberOf = (text: string): number =>
  [...text].reduce((sum, letter) => hash(sum, KIND.sample, letter.codePointAt(0)!), 0)

/** Ids like the fixture's: with its prefix, or UUIDs. Record 0 has the fixture's own id. */
const idsLike = (name: string, own: string, { options }: World): Ids => {
  const prefix = UUID.test(own) ? {} : { prefix: /^.*_/.exec(own)?.[0] ?? `${name}_` }
  return idsOf(options.seed, numberOf(name), { ...prefix, fixed: { 0: own } })
}

const listGenerator = ({ name, source }: ListStream, { record }: Fixture): ListGenerator => {
  const ownId = idText(record[source.idField]) ?? name
  const { created, updated } = source.times ?? { created: "created_at", updated: "updated_at" }
  const firstMillis = instantMillis(record[created])
  const ids = (world: World) => idsLike(name, ownId, world)
  return {
    kind: "list",
    listPath: source.paths[0] ?? `/api/v1/${name}`,
    detailPath: source.detail?.paths("{id}")[0] ?? null,
    count: () => COPIES,
    ids,
    text: (world, index) => {
      const { createdAt, touches } = world.changes.of(name)
      const inserted = createdAt.get(index)
      const laterMillis =
        inserted === undefined || firstMillis === null ? index * HOUR_MILLIS : inserted - firstMillis
      const copy = copyOf(record, { index, ownId, id: ids(world).of(index), laterMillis })
      const touched = touches.get(index)
      return stringifyJson(
        touched === undefined || !Object.hasOwn(record, updated)
          ? copy
          : { ...copy, [updated]: iso(touched.updatedAt) },
      )
    },
  }
}

const payloadOf = ({ source: { answer, keyField } }: LookupStream, record: JsonObject): Json => {
  const of = answer.kind === "records" ? answer.of : undefined
  if (of === undefined) return record
  return [record, [record]].find(payload => of(payload, idText(record[keyField]) ?? "").length > 0) ?? record
}

const lookupGenerator = (stream: LookupStream, { record }: Fixture): LookupGenerator => {
  const { name, source } = stream
  const ownId = idText(record[source.idField]) ?? name
  const isState = source.idField === source.keyField
  return {
    kind: "lookup",
    path: source.paths("{id}")[0],
    answer: (world, encoded) => {
      const key = decodeURIComponent(encoded)
      const index = numberOf(key)
      const id = isState ? key : idsLike(name, ownId, world).of(index)
      const copy = copyOf(record, { index, ownId, id, laterMillis: 0 })
      return stringifyJson(payloadOf(stream, { ...copy, [source.keyField]: key }))
    },
  }
}

export const sampleGenerator = (stream: Stream, fixture: Fixture): Generator =>
  isList(stream) ? listGenerator(stream, fixture) : lookupGenerator(stream as LookupStream, fixture)
