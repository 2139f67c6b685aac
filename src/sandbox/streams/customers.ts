import type { Readiness } from "../world/changes.ts"
import type { ListGenerator } from "../world/generator.ts"
import { hash, KIND, lane } from "../world/random.ts"
import { CUSTOMER, CUSTOMER_WITHOUT_TIMES, ORG_ID, SAMPLE_INDEX } from "../world/samples.ts"
import { DAY_MILLIS, HOUR_MILLIS, iso, type World } from "../world/world.ts"

/**
 * Details that an individual needs for a wallet (assumed): keys of `individual`, with the same names in
 * `missing_field`.
 */
export const INDIVIDUAL_FIELDS = [
  "dob",
  "email",
  "identification_type",
  "identification_value",
  "nationality",
  "country_of_residence",
  "address_line1",
  "address_city",
  "address_country",
  "address_zip_code",
  "phone_country_code",
  "phone_number",
] as const

/** Details that a company needs: keys of `company`. */
export const COMPANY_FIELDS = [
  "registration_number",
  "incorporation_country",
  "company_email",
  "address_line1",
  "address_city",
  "address_country",
  "authorized_user",
] as const

const FIRST_NAMES = [
  "Amélie",
  "Bao",
  "Chloé",
  "Dmitri",
  "Elif",
  "Farah",
  "George",
  "Hana",
  "Íñigo",
  "李娜",
  "Kofi",
]
const LAST_NAMES = [
  "Andersson",
  "Brown",
  "Çelik",
  "D'Souza",
  "Evans",
  "Fischer",
  "García",
  "Hồ",
  "王",
  "O'Neill",
]
const COUNTRIES = [
  ["AU", "+61", "Sydney", "NSW"],
  ["SG", "+65", "Singapore", "SG"],
  ["DE", "+49", "München", "BY"],
  ["JP", "+81", "Osaka", "Osaka"],
  ["KR", "+82", "Seoul", "Seoul"],
] as const

const pick = <A>(from: ReadonlyArray<A>, chance: number): A => from[chance % from.length]!

/** The samples' customers come first. The others open their accounts in the two weeks before the history. */
const FIRST_GENERATED = 3
const CHECKOUT_CUSTOMER_SINCE = Date.parse("2025-01-10T10:00:00.000Z")
const GENERATED_FROM = Date.parse("2025-03-18T08:00:00.000Z")
const GENERATED_TO = Date.parse("2025-03-31T20:00:00.000Z")

/** Time of a customer's creation. The sample without times counts as the first. */
export const customerCreatedAt = (world: World, index: number): number => {
  const inserted = world.changes.of("customers").createdAt.get(index)
  if (inserted !== undefined) return inserted
  if (index < SAMPLE_INDEX.customer) return CHECKOUT_CUSTOMER_SINCE
  if (index === SAMPLE_INDEX.customer) return Date.parse(CUSTOMER.created_at)
  const slot = (GENERATED_TO - GENERATED_FROM) / world.options.customers
  return Math.floor(GENERATED_FROM + (index - FIRST_GENERATED) * slot)
}

const ownHash = (world: World, index: number): number => hash(world.options.seed, KIND.customer, index)

const isCompany = (world: World, index: number): boolean =>
  index >= FIRST_GENERATED && lane(ownHash(world, index), 0) % 5 === 0

const someOf = (fields: ReadonlyArray<string>, own: number): ReadonlyArray<string> => {
  const first = lane(own, 2) % fields.length
  const count = 1 + (lane(own, 3) % 3)
  return Array.from({ length: count }, (_, n) => fields[(first + n * 2) % fields.length]!)
}

/** Readiness: about 14 of 20 customers are ready, 5 lack some details, and one gives no reason. */
export const readinessOf = (world: World, index: number): Readiness => {
  const changed = world.changes.readiness.get(index)
  if (changed !== undefined) return changed
  if (index === SAMPLE_INDEX.customer) return { ready: false, missing: [] }
  if (index === SAMPLE_INDEX.checkoutCustomer) return { ready: true, missing: [] }
  if (index === SAMPLE_INDEX.customerWithoutTimes)
    return {
      ready: false,
      missing: INDIVIDUAL_FIELDS.filter(field => !(field in CUSTOMER_WITHOUT_TIMES.individual)),
    }
  const own = ownHash(world, index)
  const chance = lane(own, 1) % 20
  if (chance < 5)
    return {
      ready: false,
      missing: someOf(isCompany(world, index) ? COMPANY_FIELDS : INDIVIDUAL_FIELDS, own),
    }
  return { ready: chance > 5, missing: [] }
}

const addressOf = (own: number) => {
  const [country, , city, state] = pick(COUNTRIES, lane(own, 10))
  return {
    address_line1: `${1 + (lane(own, 11) % 200)} Harbour Street`,
    address_line2: lane(own, 12) % 3 === 0 ? `Level ${1 + (lane(own, 12) % 30)}` : null,
    address_city: city,
    address_state: state,
    address_country: country,
    address_zip_code: String(10_000 + (lane(own, 13) % 89_999)),
  }
}

const phoneOf = (own: number) => ({
  phone_country_code: pick(COUNTRIES, lane(own, 10))[1],
  phone_number: `555${String(lane(own, 14) % 10_000_000).padStart(7, "0")}`,
})

const individualOf = (own: number, index: number) => ({
  first_name: pick(FIRST_NAMES, lane(own, 15)),
  last_name: pick(LAST_NAMES, lane(own, 16)),
  dob: iso(Date.UTC(1950, 0, 1) + (lane(own, 17) % 20_000) * DAY_MILLIS).slice(0, 10),
  email: `person.${index}@example.com`,
  identification_type: pick(["PASSPORT", "NATIONAL_ID", "DRIVING_LICENCE"], lane(own, 18)),
  identification_value: `X${String(lane(own, 19)).padStart(10, "0")}`,
  nationality: pick(COUNTRIES, lane(own, 20))[0],
  country_of_residence: pick(COUNTRIES, lane(own, 10))[0],
  ...addressOf(own),
  ...phoneOf(own),
})

const companyOf = (own: number, index: number) => ({
  name: `${pick(LAST_NAMES, lane(own, 16))} "Trading" Pty Ltd`,
  registration_number: String(100_000_000 + (lane(own, 21) % 900_000_000)),
  incorporation_country: pick(COUNTRIES, lane(own, 10))[0],
  company_email: `office.${index}@example.com`,
  ...addressOf(own),
  ...phoneOf(own),
  authorized_user: individualOf(lane(own, 22), index),
})

const without = (details: object, missing: ReadonlyArray<string>): object =>
  Object.fromEntries(Object.entries(details).filter(([field]) => !missing.includes(field)))

const sampleAt = (world: World, index: number): object | undefined => {
  const sample =
    index === SAMPLE_INDEX.customer
      ? CUSTOMER
      : index === SAMPLE_INDEX.customerWithoutTimes
        ? CUSTOMER_WITHOUT_TIMES
        : undefined
  const changed = world.changes.readiness.get(index)
  const touched = world.changes.of("customers").touches.get(index)
  if (sample === undefined || touched === undefined) return sample
  return {
    ...sample,
    is_wallet_ready: readinessOf(world, index).ready,
    description: `${sample.description} (version ${touched.version})`,
    ...(changed === undefined
      ? {}
      : {
          individual: without(
            { ...individualOf(ownHash(world, index), index), ...sample.individual },
            changed.missing,
          ),
        }),
    updated_at: iso(touched.updatedAt),
  }
}

const customerOf = (world: World, index: number): object => {
  const own = ownHash(world, index)
  const { ready, missing } = readinessOf(world, index)
  const touched = world.changes.of("customers").touches.get(index)
  const createdAt = customerCreatedAt(world, index)
  const isActivated = lane(own, 4) % 6 === 0
  const company = isCompany(world, index)
  const details = company
    ? { company: without(companyOf(own, index), missing) }
    : { individual: without(individualOf(own, index), missing) }
  return {
    customer_id: world.ids.customer.of(index),
    org_id: ORG_ID,
    type: company ? "company" : "individual",
    description: `Customer ${index}${touched === undefined ? "" : ` (version ${touched.version})`}`,
    webhook_url: null,
    metadata:
      lane(own, 5) % 4 === 0 ? { tier: pick(["gold", "silver"], lane(own, 6)), note: "line\nbreak" } : null,
    is_active: lane(own, 7) % 12 !== 0,
    is_wallet_ready: ready,
    organization_reference_id: lane(own, 8) % 5 === 0 ? `ref-${index}` : null,
    is_gca_enabled: isActivated,
    gca_activation_status: isActivated ? "COMPLETED" : "NOT_STARTED",
    gca_activated_at: isActivated ? iso(createdAt + HOUR_MILLIS) : null,
    is_sender_validation_enabled: false,
    payin_sender_id_list: null,
    company_domain: company ? `company-${index}.example` : null,
    ...details,
    created_by: "user_0c1d",
    created_at: iso(createdAt),
    updated_at: iso(touched?.updatedAt ?? createdAt + (lane(own, 9) % 12) * HOUR_MILLIS),
  }
}

const customerText = (world: World, index: number): string =>
  JSON.stringify(sampleAt(world, index) ?? customerOf(world, index))

/** The list path is assumed (?); the other one is documented (D). */
export default {
  kind: "list",
  listPath: "/api/v1/customer/get-all",
  detailPath: "/api/v1/customer/customer/{id}",
  count: options => options.customers,
  ids: world => world.ids.customer,
  text: customerText,
} satisfies ListGenerator
