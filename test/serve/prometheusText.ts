/** A strict parser of Prometheus' text format 0.0.4. It refuses everything that a scraper may refuse. */

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const METRIC = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(?:,(?=[a-zA-Z_])|$)/y
const VALUE = /^([+-]?(\d+(\.\d+)?([eE][+-]?\d+)?|Inf)|NaN)$/
const TYPES = ["counter", "gauge", "histogram", "summary", "untyped"]
const UNESCAPED: Readonly<Record<string, string>> = { "\\\\": "\\", '\\"': '"', "\\n": "\n" }

const labelsOf = (text: string): Record<string, string> => {
  const labels: Record<string, string> = {}
  LABEL.lastIndex = 0
  while (LABEL.lastIndex < text.length) {
    const match = LABEL.exec(text)
    if (match === null) throw new Error(`Labels: ${text}`)
    const [, name, value] = match as unknown as [string, string, string]
    if (name in labels || name.startsWith("__")) throw new Error(`Label ${name}: ${text}`)
    labels[name] = value.replace(/\\./g, pair => UNESCAPED[pair]!)
  }
  return labels
}

/** Parses samples line by line after each family's HELP and TYPE. Throws at the first violation. */
export const parsePrometheus = (text: string): ReadonlyArray<Sample> => {
  if (!text.endsWith("\n")) throw new Error("The last line does not end.")
  const families = new Map<string, string>()
  const seen = new Set<string>()
  let helped = ""
  let family = ""
  const samples: Array<Sample> = []
  for (const line of text.slice(0, -1).split("\n")) {
    const help = /^# HELP (\S+) (.+)$/.exec(line)
    const type = /^# TYPE (\S+) (\S+)$/.exec(line)
    if (help !== null) {
      helped = help[1]!
    } else if (type !== null) {
      family = type[1]!
      if (helped !== family || families.has(family) || !METRIC.test(family) || !TYPES.includes(type[2]!))
        throw new Error(`Type: ${line}`)
      families.set(family, type[2]!)
    } else {
      const match = /^([^\s{]+)(?:\{(.*)\})? (\S+)$/.exec(line)
      if (match === null || !METRIC.test(match[1]!) || !VALUE.test(match[3]!))
        throw new Error(`Sample: ${line}`)
      const name = match[1]!
      const isHistogram = families.get(family) === "histogram"
      const base = isHistogram ? name.replace(/_(bucket|sum|count)$/, "") : name
      if (base !== family || (isHistogram && base === name)) throw new Error(`Outside of its family: ${line}`)
      if (families.get(family) === "counter" && !name.endsWith("_total")) throw new Error(`Name: ${line}`)
      const labels = labelsOf(match[2] ?? "")
      const key = `${name} ${JSON.stringify(Object.entries(labels).sort())}`
      if (seen.has(key)) throw new Error(`Twice: ${line}`)
      seen.add(key)
      samples.push({ name, labels, value: Number(match[3]!.replace("Inf", "Infinity")) })
    }
  }
  return samples
}

/** Returns the value of the one sample that has these labels among others. */
export const valueOf = (
  samples: ReadonlyArray<Sample>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined =>
  samples.find(
    sample =>
      sample.name === `paycombat_sync_${name}` &&
      Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  )?.value
