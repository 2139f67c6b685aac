import { Effect, Layer, Logger, LogLevel } from "effect"
import * as Config from "../Config.ts"

/** Logs go to stderr: pretty for a person at a terminal, plain lines elsewhere. Stdout is for what was asked. */
const logger = process.stderr.isTTY
  ? Logger.prettyLogger({ stderr: true, mode: "tty" })
  : Logger.withConsoleError(Logger.logfmtLogger)

export const logging = Layer.merge(
  Logger.replace(Logger.defaultLogger, logger),
  Layer.unwrapEffect(
    Effect.map(Config.logLevel, level => Logger.minimumLogLevel(LogLevel.fromLiteral(level))),
  ),
)
