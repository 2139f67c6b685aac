import type { Tally } from "./documentedFields.ts"
import type { Plain } from "./privacy.ts"
import type { Stream } from "./stream.ts"
import type { Level } from "./verdict.ts"

/** Judges how much figures suffer from missing values of a field. */

const itemOf = (plain: Plain): Plain =>
  Array.isArray(plain) ? itemOf((plain as readonly [Plain])[0]) : plain

const within = (plain: Plain | undefined, key: string): Plain | undefined => {
  const item = plain === undefined ? undefined : itemOf(plain)
  if (item === undefined || typeof item === "string" || Array.isArray(item)) return undefined
  const fields = item as Readonly<Record<string, Plain>>
  return Object.hasOwn(fields, key) ? fields[key] : undefined
}

const holdsPlain = (plain: Plain | undefined): boolean => {
  if (plain === undefined) return false
  const item = itemOf(plain)
  return typeof item === "string" || Object.values(item).some(holdsPlain)
}

/**
 * Level of a finding about missing values of a field, whether records lack the field or it cannot be read. `name` is a
 * path within the record, its keys joined by dots, without positions in lists.
 *
 * `bad` for a field that figures may rest on. `attention` for:
 *
 * - personal fields, and objects of nothing else: no view shows them
 * - fields that may be absent, other than lists and objects of rows
 * - times, other than the time of creation, which days rest on: a time of change decides between versions and is no
 *   figure, and the others come and go with a record's status
 */
export const levelOf = (
  { personal, documented, source }: Pick<Stream, "personal" | "documented" | "source">,
  name: string,
): Exclude<Level, "good"> => {
  const plain = name.split(".").reduce<Plain | undefined>(within, personal.plain)
  if (!holdsPlain(plain)) return "attention"
  if (typeof plain === "string" && documented.mayLack?.includes(name)) return "attention"
  const created = source.kind === "list" ? source.times?.created : undefined
  return plain === "time" && name !== created ? "attention" : "bad"
}

/** True if another field that replaces this one carries values in the records of a pass. */
export const isReplaced = ({ documented }: Pick<Stream, "documented">, name: string, tally: Tally): boolean =>
  (documented.standIns ?? []).some(
    group => group.includes(name) && group.some(other => other !== name && (tally[other]?.carried ?? 0) > 0),
  )
