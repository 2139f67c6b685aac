import { Duration, Effect, Option } from "effect"
import { ConfigurationError } from "../../core/errors.ts"

export const secondsOf = (
  option: Option.Option<string>,
): Effect.Effect<Option.Option<number>, ConfigurationError> =>
  Option.match(option, {
    onNone: () => Effect.succeed(Option.none()),
    onSome: text => {
      const duration = Option.filter(Duration.decodeUnknown(text), Duration.isFinite)
      return Option.isSome(duration) && Duration.toSeconds(duration.value) > 0
        ? Effect.succeed(Option.some(Duration.toSeconds(duration.value)))
        : Effect.fail(
            new ConfigurationError({
              message: `--max-age ${text} is not a duration such as "26 hours" or "90 minutes".`,
            }),
          )
    },
  })
