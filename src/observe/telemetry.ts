import { Config, Effect, Layer, Option, Runtime } from "effect"
import { ConfigurationError } from "../core/errors.ts"
import { VERSION } from "../core/version.ts"

/** Exports traces and metrics as OTLP over HTTP if OTEL variables name an endpoint; loads no package otherwise. */

/** Time for the last spans and metrics to be sent when the process ends. */
const FLUSH_LIMIT = "2 seconds"
const EXPORT_INTERVAL_MILLIS = 60_000
const EXPORT_LIMIT_MILLIS = 30_000

/** Variables that the exporters read only from the process environment. Values from `.env` are copied there. */
const READ_BY_EXPORTERS = [
  ...["", "TRACES_", "METRICS_"].flatMap(signal =>
    ["ENDPOINT", "HEADERS", "TIMEOUT", "COMPRESSION", "CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"].map(
      name => `OTEL_EXPORTER_OTLP_${signal}${name}`,
    ),
  ),
  "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
  "OTEL_TRACES_SAMPLER",
  "OTEL_TRACES_SAMPLER_ARG",
  ...["SCHEDULE_DELAY", "EXPORT_TIMEOUT", "MAX_QUEUE_SIZE", "MAX_EXPORT_BATCH_SIZE"].map(
    name => `OTEL_BSP_${name}`,
  ),
]

const variable = (name: string): Effect.Effect<string | undefined> =>
  Config.string(name).pipe(
    Config.option,
    Effect.map(value => Option.getOrUndefined(value)?.trim() || undefined),
    Effect.orElseSucceed(() => undefined),
  )

type Signal = "TRACES" | "METRICS"

/** Reads the exporters of a signal. The standard allows a list; this program supports one of them, `otlp`. */
const exportersOf = (signal: Signal): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(variable(`OTEL_${signal}_EXPORTER`), value =>
    (value ?? "")
      .split(",")
      .map(name => name.trim().toLowerCase())
      .filter(name => name !== ""),
  )

/** True if a signal is exported: an endpoint is set and its exporters, if named, include `otlp`. */
const isWanted = (signal: Signal): Effect.Effect<boolean, ConfigurationError> =>
  Effect.gen(function* () {
    const exporters = yield* exportersOf(signal)
    const endpoint =
      (yield* variable(`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`)) ??
      (yield* variable("OTEL_EXPORTER_OTLP_ENDPOINT"))
    if (!(exporters.length === 0 ? endpoint !== undefined : exporters.includes("otlp"))) return false
    const protocol =
      (yield* variable(`OTEL_EXPORTER_OTLP_${signal}_PROTOCOL`)) ??
      (yield* variable("OTEL_EXPORTER_OTLP_PROTOCOL"))
    if (protocol === "grpc")
      return yield* new ConfigurationError({
        message:
          "OTEL_EXPORTER_OTLP_PROTOCOL must be http/json: the program does not speak grpc." +
          " Name the collector's HTTP port, usually 4318, in OTEL_EXPORTER_OTLP_ENDPOINT.",
      })
    return true
  })

interface Result {
  readonly code: number
  readonly error?: Error
}

type Send<Item> = (items: Item, done: (result: Result) => void) => void

/** Logs the first failure of an exporter, and its recovery. The exporter itself logs nothing. */
const watched = <Item>(send: Send<Item>, signal: string, log: (text: string) => void) => {
  let isFailing = false
  let pending = 0
  const watchedSend: Send<Item> = (items, done) => {
    pending++
    send(items, result => {
      pending--
      const reason = result.error?.message ?? "no reason was given"
      if (result.code !== 0 && !isFailing)
        log(`${signal} do not reach the collector (${reason}): see OTEL_EXPORTER_OTLP_ENDPOINT`)
      if (result.code === 0 && isFailing) log(`${signal} reach the collector again`)
      isFailing = result.code !== 0
      done(result)
    })
  }
  /** Warns about data that was not sent before the time ran out. */
  const warnOfLoss = Effect.suspend(() =>
    pending > 0 && !isFailing
      ? Effect.logWarning(
          `the last ${signal} did not reach the collector in time: see OTEL_EXPORTER_OTLP_ENDPOINT`,
        )
      : Effect.void,
  )
  return { send: watchedSend, warnOfLoss }
}

interface Batch {
  readonly scopeMetrics: ReadonlyArray<{
    readonly metrics: ReadonlyArray<{ readonly dataPoints: ReadonlyArray<{ readonly value: unknown }> }>
  }>
}

/** Drops the values of unknown gauges, because JSON cannot express NaN. */
const withoutUnknown = <Given extends Batch>(batch: Given): Given => ({
  ...batch,
  scopeMetrics: batch.scopeMetrics.map(scope => ({
    ...scope,
    metrics: scope.metrics
      .map(metric => ({
        ...metric,
        dataPoints: metric.dataPoints.filter(({ value }) => !Number.isNaN(value)),
      }))
      .filter(({ dataPoints }) => dataPoints.length > 0),
  })),
})

const serviceName = Effect.gen(function* () {
  const attributes = (yield* variable("OTEL_RESOURCE_ATTRIBUTES")) ?? ""
  const attribute = attributes.split(",").find(pair => pair.trim().startsWith("service.name="))
  return (yield* variable("OTEL_SERVICE_NAME")) ?? attribute?.split("=")[1]?.trim() ?? "paycombat-sync"
})

const millisOf = (name: string, otherwise: number) =>
  Effect.map(variable(name), text => {
    const millis = Number(text)
    return Number.isInteger(millis) && millis > 0 ? millis : otherwise
  })

const exporting = (wanted: Readonly<Record<Signal, boolean>>) =>
  Effect.gen(function* () {
    for (const name of READ_BY_EXPORTERS) {
      const value = yield* variable(name)
      if (value !== undefined) process.env[name] ??= value
    }
    const [
      NodeSdk,
      { BatchSpanProcessor },
      { OTLPTraceExporter },
      { PeriodicExportingMetricReader },
      { OTLPMetricExporter },
    ] = yield* Effect.promise(() =>
      Promise.all([
        import("@effect/opentelemetry/NodeSdk"),
        import("@opentelemetry/sdk-trace-base"),
        import("@opentelemetry/exporter-trace-otlp-http"),
        import("@opentelemetry/sdk-metrics"),
        import("@opentelemetry/exporter-metrics-otlp-http"),
      ]),
    )
    const runtime = yield* Effect.runtime()
    const log = (text: string) => void Runtime.runFork(runtime)(Effect.logWarning(text))
    const traces = new OTLPTraceExporter()
    const watchedTraces = watched(traces.export.bind(traces), "traces", log)
    traces.export = watchedTraces.send
    const metrics = new OTLPMetricExporter()
    const watchedMetrics = watched(metrics.export.bind(metrics), "metrics", log)
    metrics.export = (batch, done) => watchedMetrics.send(withoutUnknown(batch), done)
    yield* Effect.addFinalizer(() => Effect.zipRight(watchedTraces.warnOfLoss, watchedMetrics.warnOfLoss))
    const resource = { serviceName: yield* serviceName, serviceVersion: VERSION }
    const exportIntervalMillis = yield* millisOf("OTEL_METRIC_EXPORT_INTERVAL", EXPORT_INTERVAL_MILLIS)
    const exportLimitMillis = yield* millisOf("OTEL_METRIC_EXPORT_TIMEOUT", EXPORT_LIMIT_MILLIS)
    return NodeSdk.layer(() => ({
      resource,
      shutdownTimeout: FLUSH_LIMIT,
      ...(wanted.TRACES ? { spanProcessor: new BatchSpanProcessor(traces) } : {}),
      ...(wanted.METRICS
        ? {
            metricReader: new PeriodicExportingMetricReader({
              exporter: metrics,
              exportIntervalMillis,
              // The reader rejects a timeout that is longer than its interval.
              exportTimeoutMillis: Math.min(exportLimitMillis, exportIntervalMillis),
            }),
          }
        : {}),
    }))
  })

const SIGNALS: ReadonlyArray<Signal> = ["TRACES", "METRICS"]

const isDisabled = Effect.map(variable("OTEL_SDK_DISABLED"), value => value?.toLowerCase() === "true")

const wanted: Effect.Effect<Readonly<Record<Signal, boolean>>, ConfigurationError> = Effect.gen(function* () {
  return (yield* isDisabled)
    ? { TRACES: false, METRICS: false }
    : { TRACES: yield* isWanted("TRACES"), METRICS: yield* isWanted("METRICS") }
})

/** Warnings about exporters that this program does not support. They do not stop a run. Empty if all are supported. */
const warnings: Effect.Effect<ReadonlyArray<string>> = Effect.gen(function* () {
  if (yield* isDisabled) return []
  const all = yield* Effect.forEach(SIGNALS, signal =>
    Effect.map(exportersOf(signal), names => {
      const foreign = names.filter(name => name !== "otlp" && name !== "none")
      if (foreign.length === 0) return []
      const instead = signal === "METRICS" ? " For Prometheus, `paycombat-sync serve` has /metrics." : ""
      return [
        `OTEL_${signal}_EXPORTER: ${foreign.join(", ")} is not supported and is left out: set otlp or none.${instead}`,
      ]
    }),
  )
  return all.flat()
})

export const isExporting: Effect.Effect<boolean, ConfigurationError> = Effect.map(
  wanted,
  ({ TRACES, METRICS }) => TRACES || METRICS,
)

/** Exports what the environment asks for, and the rest when the layer closes. Warns of unsupported exporters. */
export const telemetry: Layer.Layer<never, ConfigurationError> = Layer.unwrapEffect(
  Effect.gen(function* () {
    const signals = yield* wanted
    for (const warning of yield* warnings) yield* Effect.logWarning(warning)
    return signals.TRACES || signals.METRICS
      ? Layer.discard(Layer.unwrapScoped(exporting(signals)))
      : Layer.empty
  }),
)
