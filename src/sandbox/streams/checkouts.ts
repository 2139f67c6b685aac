import type { ListGenerator } from "../world/generator.ts"
import { CURRENCIES, print } from "../world/money.ts"
import { hash, KIND, lane } from "../world/random.ts"
import { CHECKOUT, MERCHANT_ID, SAMPLE_INDEX } from "../world/samples.ts"
import { DAY_MILLIS, HOUR_MILLIS, iso, spread, type World } from "../world/world.ts"
import { homeCurrency } from "./transactions.ts"

/** A checkout before it becomes text. Amounts are in minor units; the currency is its index in `CURRENCIES`. */
export interface Checkout {
  readonly customer: number | null
  readonly currency: number
  readonly items: ReadonlyArray<{ readonly name: string; readonly quantity: number; readonly price: number }>
  readonly fees: ReadonlyArray<{ readonly name: string; readonly amount: number }>
  /** The sum of items and fees (D). */
  readonly amount: number
  readonly createdAt: number
  readonly updatedAt: number
  readonly expireAt: number
  readonly deletedAt: number | null
}

const PRODUCTS = ["Ticket", "Subscription – year", "Gift card", "Café voucher", "Course"]

/** A checkout that stays open for years, so that some are open at any time. */
const LONG_LIFE_DAYS = 3_650

const COUNTRY_OF: Readonly<Record<string, readonly [code: string, name: string]>> = {
  AUD: ["AU", "AUSTRALIA"],
  EUR: ["EU", "EUROPE"],
  USD: ["US", "UNITED STATES"],
  SGD: ["SG", "SINGAPORE"],
  JPY: ["JP", "JAPAN"],
  KWD: ["KW", "KUWAIT"],
}

const SAMPLE: Checkout = {
  customer: SAMPLE_INDEX.checkoutCustomer,
  currency: CURRENCIES.findIndex(({ code }) => code === CHECKOUT.currency),
  items: [{ name: "Ticket", quantity: 2, price: 4_500 }],
  fees: [{ name: "Service", amount: 1_000 }],
  amount: 10_000,
  createdAt: Date.parse(CHECKOUT.created_at),
  updatedAt: Date.parse(CHECKOUT.updated_at),
  expireAt: Date.parse(CHECKOUT.expire_at),
  deletedAt: null,
}

const firstState = (world: World, index: number): Checkout => {
  if (index === 0) return SAMPLE
  const own = hash(world.options.seed, KIND.checkout, index)
  const { customers, checkouts } = world.options
  const customer = customers === 0 || lane(own, 0) % 6 === 0 ? null : lane(own, 1) % customers
  const currency = homeCurrency(world, customer ?? -1)
  const items = Array.from({ length: 1 + (lane(own, 2) % 3) }, (_, n) => ({
    name: PRODUCTS[lane(own, 20 + n) % PRODUCTS.length]!,
    quantity: 1 + (lane(own, 30 + n) % 4),
    price: 250 + (lane(own, 40 + n) % 20_000),
  }))
  const fees = lane(own, 3) % 2 === 0 ? [] : [{ name: "Service", amount: 100 + (lane(own, 4) % 900) }]
  const createdAt =
    world.changes.of("checkouts").createdAt.get(index) ??
    spread(world, KIND.checkout, index - 1, Math.max(1, checkouts - 1))
  const life = lane(own, 5) % 4 === 0 ? LONG_LIFE_DAYS : 1 + (lane(own, 6) % 14)
  const deletedAt = lane(own, 7) % 25 === 0 ? createdAt + HOUR_MILLIS : null
  return {
    customer,
    currency,
    items,
    fees,
    amount: [...items.map(item => item.quantity * item.price), ...fees.map(fee => fee.amount)].reduce(
      (a, b) => a + b,
    ),
    createdAt,
    updatedAt: deletedAt ?? createdAt,
    expireAt: createdAt + life * DAY_MILLIS,
    deletedAt,
  }
}

/** Each version can be paid one day longer. */
export const checkoutAt = (world: World, index: number): Checkout => {
  const first = firstState(world, index)
  const touched = world.changes.of("checkouts").touches.get(index)
  return touched === undefined
    ? first
    : { ...first, expireAt: first.expireAt + touched.version * DAY_MILLIS, updatedAt: touched.updatedAt }
}

const tokenOf = (world: World, index: number): string => {
  const own = hash(world.options.seed, KIND.token, index)
  return Array.from({ length: 8 }, (_, n) => lane(own, n).toString(16).padStart(8, "0")).join("")
}

const checkoutText = (world: World, index: number): string => {
  const checkout = checkoutAt(world, index)
  const times = { expire_at: iso(checkout.expireAt), updated_at: iso(checkout.updatedAt) }
  if (index === 0) return JSON.stringify({ ...CHECKOUT, ...times })
  const currency = CURRENCIES[checkout.currency]!.code
  const [country, name] = COUNTRY_OF[currency]!
  const token = tokenOf(world, index)
  const amount = (minor: number) => Number(print(minor, checkout.currency))
  const isRedirected = index % 5 === 0
  return JSON.stringify({
    id: world.ids.checkout.of(index),
    checkout_token: token,
    amount: amount(checkout.amount),
    currency,
    country_code: country,
    country_name: name,
    payin_method_name: `${country.toLowerCase()}_bank_${currency.toLowerCase()}`,
    payin_type: null,
    customer_id: checkout.customer === null ? null : world.ids.customer.of(checkout.customer),
    checkout_url: `https://checkout.example/?token=${token}&identifier=snd_x`,
    advanced_redirect_url: isRedirected
      ? {
          cancelled_url: "https://shop.example/cancelled",
          completed_url: "https://shop.example/completed",
          expired_url: "https://shop.example/expired",
          failed_url: "https://shop.example/failed",
        }
      : null,
    additional_info: {},
    order_summary: {
      order_items: checkout.items.map(item => ({
        product_name: item.name,
        quantity: item.quantity,
        unit_price: amount(item.price),
      })),
      order_fees: checkout.fees.map(fee => ({ fee_name: fee.name, fee_amount: amount(fee.amount) })),
    },
    description: `invoice_${String(index).padStart(6, "0")}`,
    merchant_id: MERCHANT_ID,
    redirect_url: isRedirected ? "https://shop.example/done" : null,
    webhook_url: null,
    created_at: iso(checkout.createdAt),
    ...times,
    deleted_at: checkout.deletedAt === null ? null : iso(checkout.deletedAt),
  })
}

/** The list path is assumed (?); the other one is documented (D). */
export default {
  kind: "list",
  listPath: "/api/v1/checkout/get-all",
  detailPath: "/api/v1/checkout/retrieve/{id}",
  count: options => options.checkouts,
  ids: world => world.ids.checkout,
  text: checkoutText,
} satisfies ListGenerator
