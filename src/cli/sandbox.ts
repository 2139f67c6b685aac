import { Effect, HashMap } from "effect"
import { ConfigurationError } from "../Errors.ts"
import { FAULTS, type FaultName, type SandboxOptions, seededFaults, start } from "../sandbox/Sandbox.ts"
import { print, printJson, say } from "./output.ts"

interface Options extends Pick<SandboxOptions, "seed"> {
  readonly faults: HashMap.HashMap<string, string>
  readonly json: boolean
}

const isFault = (name: string): name is FaultName => Object.hasOwn(FAULTS, name)

/** The chances of faults as given, or what is wrong with one. */
const chancesOf = (given: Options["faults"]) =>
  Effect.forEach(HashMap.toEntries(given), ([name, text]) => {
    const chance = /^\d*\.?\d+$/.test(text) ? Number(text) : Number.NaN
    return isFault(name) && chance <= 1
      ? Effect.succeed([name, chance] as const)
      : Effect.fail(
          new ConfigurationError({
            message: `--fault ${name}=${text} is not a fault and a chance from 0 to 1; there are ${Object.keys(FAULTS).join(", ")}.`,
          }),
        )
  }).pipe(Effect.map(Object.fromEntries<number>))

/** Serves simulated data until it is told to stop. */
export const run = ({ json, faults, ...options }: Options & Partial<SandboxOptions>) =>
  Effect.gen(function* () {
    const chances = yield* chancesOf(faults)
    const fault = HashMap.isEmpty(faults) ? null : seededFaults(options.seed, chances)
    const { url, token } = yield* start({ ...options, fault })
    yield* json
      ? printJson({ url, token })
      : print(`export PAYCOMBAT_BASE_URL=${url}\nexport PAYCOMBAT_TOKEN=${token}`)
    yield* say("Serving simulated data until Ctrl-C.")
    return yield* Effect.never
  }).pipe(Effect.scoped)
