import { ConfigProvider, Effect, Layer } from "effect"
import { Origins, type OriginsService, readSettings } from "../../config/environment.ts"
import type { ConfigurationError } from "../../core/errors.ts"

/** Provides the settings of the command line: the environment, and `.env` in the working directory. */

const FILE = ".env"

const read = Effect.suspend(() => readSettings(process.env, FILE))

const layerOf = (provider: ConfigProvider.ConfigProvider, origins: OriginsService) =>
  Layer.merge(Layer.setConfigProvider(provider), Layer.succeed(Origins, origins))

/** Provides the settings of the environment and `.env`. Fails if `.env` exists and cannot be read. */
export const settings: Layer.Layer<never, ConfigurationError> = Layer.unwrapEffect(
  Effect.map(read, ({ provider, origins }) => layerOf(provider, origins)),
)

/** Provides no setting at all: the defaults apply, and an unreadable `.env` is ignored. */
export const noSettings: Layer.Layer<never> = Layer.unwrapEffect(
  Effect.match(read, {
    onFailure: () => Layer.setConfigProvider(ConfigProvider.fromMap(new Map())),
    onSuccess: ({ origins }) => layerOf(ConfigProvider.fromMap(new Map()), origins),
  }),
)
