import { Effect } from "effect"
import { ConfigurationError } from "../../core/errors.ts"
import { fileStep, sqlState } from "../failures.ts"

/** Alternative that every message about the embedded Postgres names. */
export const USE_DATABASE_URL =
  "To go on without it, set DATABASE_URL to a Postgres of your own, version 14 or newer."

/** Returns a short text of an unknown error: its code, else its message. */
export const codeOf = (error: unknown): string =>
  sqlState(error) ?? (error instanceof Error ? error.message : String(error))

/** Runs work on files. Its failures (rights, space, a wrong directory) are for a person to correct. */
export const onFiles = <A>(task: string, work: () => Promise<A>): Effect.Effect<A, ConfigurationError> =>
  Effect.tryPromise({
    try: work,
    catch: error => {
      const code = codeOf(error)
      const step = fileStep(code, "directory (PAYCOMBAT_DATA_DIR), or a Postgres of your own (DATABASE_URL)")
      return new ConfigurationError({ message: `Cannot ${task}: ${code}: ${step}.` })
    },
  })
