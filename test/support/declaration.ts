import type { PgTable } from "drizzle-orm/pg-core"
import { Either } from "effect"
import { amountText } from "../../src/core/fields.ts"
import { instantMillis } from "../../src/core/instant.ts"
import { isJsonObject, type Json, type JsonObject } from "../../src/core/json.ts"
import type { Open } from "../../src/core/lookup.ts"
import { DROP, type Plain } from "../../src/core/privacy.ts"
import { idText } from "../../src/core/recordId.ts"
import {
  type Decoded,
  isList,
  type ListSource,
  type ListStream,
  type LookupStream,
  type Row,
  redacting,
  type Stream,
} from "../../src/core/stream.ts"
import { shapeOf } from "../../src/postgres/shape.ts"
import { schemaFields } from "./badRecords.ts"
import { at, type Fixture, fieldsOf, tablesOf, withField } from "./conformance.ts"

/**
 * Mistakes in a stream's declaration, found by comparing it with the stream's fixture. Each is one sentence that begins
 * with the part of the declaration that is wrong. Such mistakes pass the type checker, and would pass in use: a list is
 * not found, a check is never made, a statement names a column that does not exist.
 */

export interface Declared {
  readonly stream: Stream
  readonly fixture: Fixture
}

/** A value of an id, and one of a time, that no fixture has. */
const OTHER_ID = "an-id-of-no-fixture"
const OTHER_TIME = "2091-02-03T04:05:06.000Z"

const quoted = (name: string) => `"${name}"`

/** A field as declarations name it: `company.name`, `order_summary.order_items[].quantity`. */
const nameOf = (path: ReadonlyArray<string>): string =>
  path.reduce((name, key) => (/^\d+$/.test(key) ? `${name}[]` : name === "" ? key : `${name}.${key}`), "")

const decoded = (stream: Stream, record: Json): Decoded | undefined =>
  Either.getOrUndefined(stream.decode(record))

/** Columns of the record's own row that a field fills: those that change with its value. */
const columnsFilledBy = (
  stream: Stream,
  record: JsonObject,
  field: string,
  value: Json,
): ReadonlyArray<string> => {
  const row: Row = decoded(stream, record)?.row ?? {}
  const changed: Row = decoded(stream, withField(record, [field], value))?.row ?? {}
  return Object.keys(changed).filter(
    column => JSON.stringify(changed[column]) !== JSON.stringify(row[column]),
  )
}

const noField = (part: string, field: string) =>
  `${part}: the fixture's record has no field ${quoted(field)}.`

/** The row without its personal data, as PAYCOMBAT_PII=drop stores it. */
const droppedRow = ({ stream, fixture }: Declared): Decoded | undefined =>
  decoded(stream, redacting(stream, DROP).redact(fixture.record))

const idMistakes = ({ stream, fixture: { record, required } }: Declared): ReadonlyArray<string> => {
  const { idField } = stream.source
  const part = "source.idField"
  if (!Object.hasOwn(record, idField)) return [noField(part, idField)]
  if (idText(record[idField]) === null)
    return [`${part}: ${quoted(idField)} holds no id in the fixture's record.`]
  const filled = columnsFilledBy(stream, record, idField, OTHER_ID)
  return [
    ...(filled.includes(stream.idColumn)
      ? []
      : [
          `${part}: ${quoted(idField)} does not fill the column ${quoted(stream.idColumn)}, which idColumn names` +
            ` (it fills ${filled.map(quoted).join(", ") || "no column"}).`,
        ]),
    ...(required.includes(idField)
      ? []
      : [`${part}: a record without ${quoted(idField)} must not become a row: make the field required.`]),
  ]
}

/** Fields by which the documented records name their merchant. */
const MERCHANT_FIELDS = ["org_id", "merchant_id"]

const merchantMistakes = (source: ListSource, declared: Declared): ReadonlyArray<string> => {
  const { stream, fixture } = declared
  const { record } = fixture
  const { merchantField } = source
  const part = "source.merchantField"
  if (merchantField === null) {
    const unused = MERCHANT_FIELDS.find(field => Object.hasOwn(record, field))
    return unused === undefined
      ? []
      : [
          `${part}: is null, but the records have ${quoted(unused)}: name it, or records of another merchant are stored.`,
        ]
  }
  if (!Object.hasOwn(record, merchantField))
    return [`${noField(part, merchantField)} The check for records of another merchant would never be made.`]
  const { subject } = stream.personal
  if (merchantField === source.idField || (subject?.kind === "named" && merchantField === subject.field))
    return [`${part}: ${quoted(merchantField)} names the record or a person, not the merchant.`]
  if (!columnsFilledBy(stream, record, merchantField, OTHER_ID).includes(merchantField))
    return [
      `${part}: ${quoted(merchantField)} does not fill a column of the same name in ${shapeOf(stream.table).name}, and` +
        " statements about merchants use that column.",
    ]
  return droppedRow(declared)?.row[merchantField] === fixture.row[merchantField]
    ? []
    : [`${part}: ${quoted(merchantField)} is personal: declare it as an "id" in personal.plain.`]
}

const recognizesMistakes = (
  { recognizes, idField }: ListSource,
  { stream, fixture: { record } }: Declared,
  others: ReadonlyArray<Declared>,
): ReadonlyArray<string> => {
  if (!recognizes(record))
    return ["source.recognizes: says no to the fixture's record: discovery would never find the list."]
  const lacking = (stream.documented.mayLack ?? []).reduce<Json>(
    (rest, field) => (field in record ? withField(rest, [field], undefined) : rest),
    record,
  )
  const taken = others.filter(
    other =>
      other.stream.name !== stream.name &&
      isList(other.stream) &&
      Object.hasOwn(other.fixture.record, idField) &&
      recognizes(other.fixture.record),
  )
  return [
    ...(recognizes(lacking as JsonObject)
      ? []
      : ["source.recognizes: says no to a record without the fields that documented.mayLack names."]),
    ...taken.map(
      other =>
        `source.recognizes: also says yes to a record of ${other.stream.name}, which has a field ${quoted(idField)} too.`,
    ),
  ]
}

const timesMistakes = ({ times }: ListSource, declared: Declared): ReadonlyArray<string> => {
  if (times === undefined) return []
  const { stream, fixture } = declared
  const { record } = fixture
  const fields = [
    ["source.times.created", times.created],
    ["source.times.updated", times.updated],
  ] as const
  const wrong = fields.flatMap(([part, field]) => {
    if (!Object.hasOwn(record, field)) return [`${noField(part, field)} The list would always be read whole.`]
    return instantMillis(record[field]) === null
      ? [`${part}: ${quoted(field)} holds no time in the fixture's record.`]
      : []
  })
  if (wrong.length > 0) return wrong
  if (times.created === times.updated)
    return [`source.times: created and updated are the same field, ${quoted(times.created)}.`]
  const versionWith = (field: string) =>
    instantMillis(decoded(stream, withField(record, [field], OTHER_TIME))?.sourceUpdatedAt)
  const other = instantMillis(OTHER_TIME)
  return [
    ...(versionWith(times.updated) === other
      ? []
      : [`source.times.updated: ${quoted(times.updated)} is not the sourceUpdatedAt that normalize gives.`]),
    ...(versionWith(times.created) === other
      ? [`source.times.created: ${quoted(times.created)} is the sourceUpdatedAt that normalize gives.`]
      : []),
    ...(instantMillis(record[times.created])! > instantMillis(record[times.updated])!
      ? [
          `source.times.created: ${quoted(times.created)} is later than ${quoted(times.updated)} in the fixture's record.`,
        ]
      : []),
    ...(droppedRow(declared)?.sourceUpdatedAt === decoded(stream, record)?.sourceUpdatedAt
      ? []
      : [
          `source.times.updated: ${quoted(times.updated)} is personal: declare it as a "time" in personal.plain.`,
        ]),
  ]
}

/** Mistakes in what says which rows may still change; `part` is its place in the declaration. */
const openMistakes = (part: string, open: Open, { stream, fixture }: Declared): ReadonlyArray<string> => {
  const { column } = open
  const { name, types } = shapeOf(stream.table)
  const type = types.get(column)
  if (type === undefined) return [`${part}.column: the table ${name} has no column ${quoted(column)}.`]
  const [needed, use] =
    "noneOf" in open
      ? ["text", "noneOf"]
      : "is" in open
        ? ["boolean", "is"]
        : ["timestamp with time zone", "isAhead"]
  if (type !== needed)
    return [
      `${part}.column: ${quoted(column)} is a column of type ${type}, and ${use} needs one of type ${needed}.`,
    ]
  const isKept =
    JSON.stringify(droppedRow({ stream, fixture })?.row[column]) === JSON.stringify(fixture.row[column])
  return [
    ...(isKept
      ? []
      : [`${part}.column: ${quoted(column)} is personal: declare its field in personal.plain.`]),
    ...("noneOf" in open ? finalStateMistakes(`${part}.noneOf`, stream, column, open.noneOf) : []),
  ]
}

const listOpenMistakes = ({ times, detail }: ListSource, declared: Declared): ReadonlyArray<string> => {
  const open = times?.open ?? null
  if (open === null) return []
  return detail === null
    ? ["source.times.open: such records are asked for again by id, and source.detail is null."]
    : openMistakes("source.times.open", open, declared)
}

/** Mistakes in a look-up's source; the registry refuses streams and columns that do not exist. */
const lookupMistakes = ({ source }: LookupStream, declared: Declared): ReadonlyArray<string> => {
  const { stream, fixture } = declared
  const { keyField, idField, answer, paths, recheck } = source
  const part = "source.keyField"
  if (!Object.hasOwn(fixture.record, keyField)) return [noField(part, keyField)]
  const isState = answer.kind === "state"
  const column = isState ? stream.idColumn : answer.keyColumn
  const filled = columnsFilledBy(stream, fixture.record, keyField, OTHER_ID)
  return [
    ...(isState && keyField !== idField
      ? [
          `${part}: a state is known by its key, and ${quoted(keyField)} is not the idField ${quoted(idField)}.`,
        ]
      : []),
    ...(filled.includes(column)
      ? []
      : [
          `${part}: ${quoted(keyField)} does not fill the column ${quoted(column)}, which ${isState ? "idColumn" : "answer.keyColumn"} names.`,
        ]),
    ...(isState || droppedRow(declared)?.row[column] === fixture.row[column]
      ? []
      : [`${part}: ${quoted(keyField)} is personal: declare it as an "id" in personal.plain.`]),
    ...paths(OTHER_ID)
      .filter(path => !path.includes(OTHER_ID))
      .map(path => `source.paths: ${path} does not hold the key.`),
    ...(recheck.open === undefined ? [] : openMistakes("source.recheck.open", recheck.open, declared)),
  ]
}

/** A column that holds a documented code: the final states must be among its values, and some value must not be final. */
const finalStateMistakes = (
  part: string,
  { documented }: Stream,
  column: string,
  noneOf: ReadonlyArray<string>,
): ReadonlyArray<string> => {
  if (noneOf.length === 0) return [`${part}: names no value: every record would stay open.`]
  const values = documented.values?.[column] ?? []
  if (values.length === 0) return []
  const unknown = noneOf.filter(value => !values.includes(value))
  const isAll = values.every(value => noneOf.includes(value))
  return [
    ...unknown.map(value => `${part}: ${quoted(value)} is not among documented.values of ${quoted(column)}.`),
    ...(isAll
      ? [`${part}: names every value that is documented of ${quoted(column)}: no record is open.`]
      : []),
  ]
}

const detailMistakes = (
  { detail, paths }: ListSource,
  { fixture: { record } }: Declared,
): ReadonlyArray<string> => [
  ...(paths.length === 0 ? ["source.paths: is empty: discovery has nothing to try."] : []),
  ...(detail?.isNeeded(record)
    ? ["source.detail.isNeeded: says yes to the fixture's record, which lacks nothing."]
    : []),
  ...(detail?.paths(OTHER_ID) ?? [])
    .filter(path => !path.includes(OTHER_ID))
    .map(path => `source.detail.paths: ${path} does not hold the id.`),
]

/** The values that stand in a field, of each item where it is in a list. */
const valuesAt = (record: JsonObject, name: string): ReadonlyArray<Json> =>
  fieldsOf(record)
    .filter(path => nameOf(path) === name)
    .map(path => at(record, path))

const typeOf = (value: Json) =>
  value === null ? "null" : Array.isArray(value) ? "array" : isJsonObject(value) ? "object" : typeof value

/** True if a list item that lacks the field is completed by its by-id answer. */
const isInDetail = (stream: Stream, record: JsonObject, field: string): boolean =>
  isList(stream) &&
  stream.source.detail?.isNeeded(withField(record, [field], undefined) as JsonObject) === true

const documentedMistakes = ({ stream, fixture }: Declared): ReadonlyArray<string> => {
  const { others = {}, mayLack = [], standIns = [], values = {}, money } = stream.documented
  const { record, required } = fixture
  const read = new Set(schemaFields(stream).map(({ path }) => nameOf(path)))
  const known = new Set([...read, ...Object.keys(others)])
  const unknownIn = (part: string, names: ReadonlyArray<string>) =>
    names
      .filter(name => !known.has(name))
      .map(
        name => `${part}: the schema has no field ${quoted(name)}, and documented.others does not name it.`,
      )
  return [
    ...Object.entries(others).flatMap(([name, type]) => {
      if (read.has(name)) return [`documented.others: the schema reads ${quoted(name)} already.`]
      const found = valuesAt(record, name)
      if (found.length === 0) return [noField("documented.others", name)]
      const other = found.find(value => type !== "null" && value !== null && typeOf(value) !== type)
      return other === undefined
        ? []
        : [
            `documented.others: ${quoted(name)} is documented as ${type}, and the fixture holds ${typeOf(other)}.`,
          ]
    }),
    ...unknownIn("documented.mayLack", mayLack),
    ...mayLack
      .filter(name => required.includes(name) && !isInDetail(stream, record, name))
      .map(name => `documented.mayLack: a record without ${quoted(name)} is no row: the field is required.`),
    ...standIns.flatMap(group =>
      group.length > 1
        ? unknownIn("documented.standIns", group)
        : [`documented.standIns: a group of one field, ${group.map(quoted)}, stands in for nothing.`],
    ),
    ...unknownIn("documented.values", Object.keys(values)),
    ...Object.entries(values).flatMap(([name, documented]) =>
      valuesAt(record, name)
        .flatMap(value => (Array.isArray(value) ? value : [value]))
        .filter(value => value !== null && documented.length > 0 && !documented.includes(value))
        .map(
          value =>
            `documented.values: the fixture holds ${JSON.stringify(value)} in ${quoted(name)}, which is not among its values.`,
        ),
    ),
    ...(money === undefined ? [] : unknownIn("documented.money", Object.values(money))),
    ...moneyMistakes({ stream, fixture }),
  ]
}

/** The amounts of a movement of money must add up in the fixture: two names that are swapped show so. */
const moneyMistakes = ({ stream: { documented }, fixture: { record } }: Declared): ReadonlyArray<string> => {
  const { money } = documented
  if (money === undefined) return []
  const amounts = [
    ["amount", money.amount],
    ["netAmount", money.netAmount],
    ["feesWithoutTax", money.feesWithoutTax],
    ["taxOnFees", money.taxOnFees],
    ["feesIncludingTax", money.feesIncludingTax],
  ] as const
  const valueOf = (field: string) => Number(amountText(String(record[field] ?? "")) ?? Number.NaN)
  const noAmount = amounts.filter(([, field]) => Number.isNaN(valueOf(field)))
  if (noAmount.length > 0)
    return noAmount.map(
      ([part, field]) => `documented.money.${part}: ${quoted(field)} holds no amount in the fixture.`,
    )
  const [amount, net, fees, tax, charged] = amounts.map(([, field]) => valueOf(field)) as [
    ...[number, number, number, number, number],
  ]
  const isEqual = (one: number, other: number) => Math.abs(one - other) < 1e-9
  const isOneCurrency = record[money.currency] === record[money.feesCurrency]
  return [
    ...(isEqual(fees + tax, charged)
      ? []
      : ["documented.money: feesWithoutTax and taxOnFees do not add up to feesIncludingTax in the fixture."]),
    ...(!isOneCurrency || isEqual(amount - charged, net)
      ? []
      : ["documented.money: amount less feesIncludingTax is not netAmount in the fixture."]),
  ]
}

/** The fields that are declared as not personal, with what each may hold. */
const plainFields = (plain: Plain, name = ""): ReadonlyArray<readonly [name: string, kind: string]> =>
  typeof plain === "string"
    ? [[name, plain]]
    : Array.isArray(plain)
      ? plainFields(plain[0], `${name}[]`)
      : Object.entries(plain).flatMap(([key, inner]) => [
          ...(typeof inner === "string" ? [] : [[name === "" ? key : `${name}.${key}`, "object"] as const]),
          ...plainFields(inner as Plain, name === "" ? key : `${name}.${key}`),
        ])

const personalMistakes = (declared: Declared): ReadonlyArray<string> => {
  const { stream, fixture } = declared
  const { record } = fixture
  const { plain, subject } = stream.personal
  const named = new Set(fieldsOf(record).map(nameOf))
  const left = redacting(stream, DROP).redact(record) as JsonObject
  const types = shapeOf(stream.table).types
  const part = "personal.plain"
  return [
    ...plainFields(plain).flatMap(([name, kind]) => {
      // The items of a list of codes have no name of their own.
      if (!named.has(name) && !name.endsWith("[]")) return [noField(part, name)]
      const isLeft = JSON.stringify(valuesAt(left, name)) === JSON.stringify(valuesAt(record, name))
      return kind === "object" || isLeft
        ? []
        : [`${part}: ${quoted(name)} is declared as ${quoted(kind)}, and the fixture holds something else.`]
    }),
    ...(subject?.kind === "named"
      ? [subject.field, ...(subject.leadsTo === undefined ? [] : [subject.leadsTo.field])].flatMap(field =>
          !Object.hasOwn(record, field)
            ? [noField("personal.subject", field)]
            : types.has(field)
              ? []
              : [`personal.subject: the table ${shapeOf(stream.table).name} has no column ${quoted(field)}.`],
        )
      : []),
    ...(subject?.kind === "referred"
      ? Object.entries(subject.ids).flatMap(([field, column]) => [
          ...(Object.hasOwn(record, field) ? [] : [noField("personal.subject.ids", field)]),
          ...(types.has(column)
            ? []
            : [
                `personal.subject.ids: the table ${shapeOf(stream.table).name} has no column ${quoted(column)}.`,
              ]),
        ])
      : []),
  ]
}

/** Columns that are named as text must be columns of the table that they are about. */
const columnMistakes = (stream: Stream): ReadonlyArray<string> => {
  const lacks = (part: string, table: PgTable, columns: ReadonlyArray<string>) =>
    columns
      .filter(column => !shapeOf(table).types.has(column))
      .map(column => `${part}: the table ${shapeOf(table).name} has no column ${quoted(column)}.`)
  return [
    ...lacks("idColumn", stream.table, [stream.idColumn]),
    ...stream.children.flatMap(({ table, parentColumn }) =>
      lacks("children.parentColumn", table, [parentColumn]),
    ),
    ...stream.histories.flatMap(({ table, timeColumn, keyColumns, valueColumns, child }) => [
      ...lacks("histories", table, [timeColumn, ...keyColumns, ...valueColumns]),
      ...(child === undefined || tablesOf(stream).some(own => shapeOf(own).name === child)
        ? []
        : [`histories.child: ${stream.name} has no child table ${quoted(child)}.`]),
    ]),
  ]
}

/** All mistakes in the declaration of a stream; `others` are the streams whose lists must not be taken for its own. */
export const mistakesIn = (
  declared: Declared,
  others: ReadonlyArray<Declared> = [],
): ReadonlyArray<string> => {
  const { stream } = declared
  if (decoded(stream, declared.fixture.record) === undefined)
    return ["record: the schema cannot read the fixture's record."]
  return [
    ...columnMistakes(stream),
    ...idMistakes(declared),
    ...(isList(stream)
      ? listMistakes(stream, declared, others)
      : lookupMistakes(stream as LookupStream, declared)),
    ...documentedMistakes(declared),
    ...personalMistakes(declared),
  ]
}

const listMistakes = ({ source }: ListStream, declared: Declared, others: ReadonlyArray<Declared>) => [
  ...recognizesMistakes(source, declared, others),
  ...merchantMistakes(source, declared),
  ...timesMistakes(source, declared),
  ...listOpenMistakes(source, declared),
  ...detailMistakes(source, declared),
]
