import { Cause, Effect, FiberRef, HashMap, Inspectable, Layer, Logger, LogLevel } from "effect"
import * as Config from "../../config/config.ts"
import { visible, visibleJson, visibleLines } from "./visible.ts"

/** Logs to stderr, one line per event: text for people, JSON for programs. Stdout is for answers only. */

const words = (value: unknown) => (typeof value === "string" ? value : Inspectable.toStringUnknown(value, 0))

const messageOf = (message: unknown) => (Array.isArray(message) ? message : [message]).map(words).join(" ")

/** Formats `2026-01-31T10:00:00.000Z INFO default/payouts: complete …`: time, level, account and stream, message. */
export const lineLogger = Logger.make<unknown, string>(({ annotations, cause, date, logLevel, message }) => {
  // The run id is left out here. It is for programs, which join log lines by it.
  const { account, stream, run, ...rest } = Object.fromEntries(HashMap.map(annotations, words))
  const subject = [account, stream].filter(name => name !== undefined).join("/")
  const others = Object.entries(rest).map(([name, value]) => ` ${name}=${value}`)
  const causeText = Cause.isEmpty(cause)
    ? ""
    : ` ${visibleLines(Cause.pretty(cause, { renderErrorCause: true }))}`
  const event = `${subject === "" ? "" : `${subject}: `}${messageOf(message)}${others.join("")}`
  return `${date.toISOString()} ${logLevel.label} ${visible(event)}${causeText}`
})

/** Formats one JSON object per line: `time`, `level`, `message` and, if they apply, `run`, `account`, `stream`. */
export const jsonLogger = Logger.make<unknown, string>(({ annotations, cause, date, logLevel, message }) =>
  visibleJson(
    JSON.stringify({
      time: date.toISOString(),
      level: logLevel.label.toLowerCase(),
      message: messageOf(message),
      ...Object.fromEntries(HashMap.map(annotations, words)),
      ...(Cause.isEmpty(cause) ? {} : { cause: Cause.pretty(cause, { renderErrorCause: true }) }),
    }),
  ),
)

const textLogger = Logger.withConsoleError(lineLogger)

/** Replaces the commands' default logger. */
export const loggedBy = (logger: Logger.Logger<unknown, unknown>): Layer.Layer<never> =>
  Logger.replace(textLogger, logger)

/** Log format of a daemon: JSON, unless stderr is a terminal. */
export const daemonLogging = process.stderr.isTTY
  ? Layer.empty
  : loggedBy(Logger.withConsoleError(jsonLogger))

/** Minimum level before `--log-level` sets one. */
export const UNSET = LogLevel.All

/** The level of `--log-level` if option, else that of the environment. */
const level = Effect.gen(function* () {
  const option = yield* FiberRef.get(FiberRef.currentMinimumLogLevel)
  return option === UNSET ? LogLevel.fromLiteral(yield* Config.logLevel) : option
})

export const logging = Layer.merge(
  Logger.replace(Logger.defaultLogger, textLogger),
  Layer.unwrapEffect(Effect.map(level, Logger.minimumLogLevel)),
)
