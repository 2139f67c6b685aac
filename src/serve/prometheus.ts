import { Metric, type MetricKey, MetricState, Option } from "effect"
import { PREFIX } from "../observe/metrics.ts"

/** Renders the process' metrics in Prometheus' text exposition format, version 0.0.4. */

export const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

const escapeHelp = (text: string) => text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")
const escapeLabel = (text: string) => escapeHelp(text).replaceAll('"', '\\"')

const number = (value: number | bigint): string => {
  if (value === Number.POSITIVE_INFINITY) return "+Inf"
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value)
}

type Label = readonly [name: string, value: string]

const sample = (name: string, labels: ReadonlyArray<Label>, value: number | bigint): string => {
  const labelList = labels.map(([key, text]) => `${key}="${escapeLabel(text)}"`).join(",")
  return `${name}${labelList === "" ? "" : `{${labelList}}`} ${number(value)}`
}

const labelsOf = (key: MetricKey.MetricKey.Untyped): ReadonlyArray<Label> =>
  key.tags.map((tag): Label => [tag.key, tag.value]).sort(([a], [b]) => (a < b ? -1 : 1))

/** Returns Prometheus' type and the samples of one metric; null for an unsupported type or an unknown value. */
const samplesOf = (name: string, labels: ReadonlyArray<Label>, state: MetricState.MetricState.Untyped) => {
  if (MetricState.isCounterState(state))
    return { type: "counter", lines: [sample(name, labels, state.count)] }
  if (MetricState.isGaugeState(state))
    return Number.isNaN(state.value) ? null : { type: "gauge", lines: [sample(name, labels, state.value)] }
  if (!MetricState.isHistogramState(state)) return null
  const buckets = state.buckets.filter(([bound]) => Number.isFinite(bound))
  return {
    type: "histogram",
    lines: [
      ...buckets.map(([bound, count]) => sample(`${name}_bucket`, [...labels, ["le", number(bound)]], count)),
      sample(`${name}_bucket`, [...labels, ["le", "+Inf"]], state.count),
      sample(`${name}_sum`, labels, state.sum),
      sample(`${name}_count`, labels, state.count),
    ],
  }
}

interface Family {
  readonly type: string
  readonly help: string
  readonly lines: Array<string>
}

/** Renders all metrics of the program, sorted by name. */
export const exposition = (): string => {
  const families = new Map<string, Family>()
  for (const { metricKey, metricState } of Metric.unsafeSnapshot()) {
    const { name } = metricKey
    const samples = name.startsWith(PREFIX) ? samplesOf(name, labelsOf(metricKey), metricState) : null
    if (samples === null) continue
    const help = Option.getOrElse(metricKey.description, () => name)
    const family = families.get(name) ?? { type: samples.type, help, lines: [] }
    family.lines.push(...samples.lines)
    families.set(name, family)
  }
  const text = [...families]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, { type, help, lines }]) => [
      `# HELP ${name} ${escapeHelp(help)}`,
      `# TYPE ${name} ${type}`,
      // Histogram buckets keep their order; other samples have no order of their own.
      ...(type === "histogram" ? lines : lines.sort()),
    ])
  return `${text.join("\n")}\n`
}
