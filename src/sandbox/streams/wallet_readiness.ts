import type { LookupGenerator } from "../world/generator.ts"
import { readinessOf } from "./customers.ts"

/** Documented (D). */
export const READINESS_PATH = "/api/v1/customer/customer-wallet-is-ready/{id}"

export default {
  kind: "lookup",
  path: READINESS_PATH,
  of: "customers",
  answer: (world, _, index) => {
    const { ready, missing } = readinessOf(world, index)
    return JSON.stringify({ is_wallet_ready: ready, missing_field: missing })
  },
} satisfies LookupGenerator
