import { Effect } from "effect"
import type postgres from "postgres"
import type { Sandbox } from "../../src/sandbox/sandbox.ts"

/**
 * People with known details, planted into every place of a sandbox that may hold personal data, so that a scan finds
 * each detail that leaks. The list of personal fields is repeated here by hand, because the program's own declarations
 * are under test.
 */

/** In every planted value, and nowhere else. */
export const MARK = "Zyxwvut"

export const KEY = "a key of more than sixteen characters"

const INDIVIDUAL = [
  "first_name",
  "last_name",
  "dob",
  "email",
  "identification_type",
  "identification_value",
  "nationality",
  "country_of_residence",
  "address_line1",
  "address_line2",
  "address_city",
  "address_state",
  "address_country",
  "address_zip_code",
  "phone_country_code",
  "phone_number",
  "a_field_nobody_documented",
]

const COMPANY = ["name", "registration_number", "incorporation_country", "company_email", "trading_name"]

const FIELDS = {
  customers: [
    "description",
    "webhook_url",
    "organization_reference_id",
    "company_domain",
    "account_usage_purpose",
    "customer_hosted_url",
    "created_by",
    "nick_name",
  ],
  wallets: ["wallet_alias", "description", "webhook_url", "created_by", "holder"],
  payouts: [
    "payee_name",
    "beneficiary",
    "beneficiary_account_number",
    "beneficiary_account_iban",
    "wire_origin",
    "conversion",
    "process",
    "last_action",
    "purpose",
  ],
  checkouts: ["description", "checkout_token", "checkout_url", "redirect_url", "webhook_url", "payer_email"],
  transactions: ["event_description", "payer_name"],
} as const

/** `Zyxwvut-7-email`, made to look like what it stands for where a check of its shape could let it through. */
const value = (owner: number, field: string): string =>
  /email|created_by/.test(field) ? `${MARK}-${owner}-${field}@example.com` : `${MARK}-${owner}-${field}`

const valuesOf = (owner: number, fields: ReadonlyArray<string>): Record<string, string> =>
  Object.fromEntries(fields.map(field => [field, value(owner, field)]))

/** Objects and lists with undocumented content, including keys that are data. */
const nested = (owner: number, field: string) => ({
  note: value(owner, field),
  [`${MARK}-${owner}@example.com`]: [value(owner, `${field}-list`), { deep: value(owner, `${field}-deep`) }],
  phone: Number(`99${owner}0000`),
})

/** Plants a person into the first records of each list; every customer of them is an individual and a company at once. */
export const plantPeople = (sandbox: Sandbox, count: number): void => {
  for (let owner = 0; owner < count; owner++) {
    sandbox.patch("customers", owner, {
      ...valuesOf(owner, FIELDS.customers),
      metadata: nested(owner, "metadata"),
      payin_sender_id_list: [value(owner, "sender")],
      individual: { ...valuesOf(owner, INDIVIDUAL), documents: nested(owner, "documents") },
      company: {
        ...valuesOf(owner, COMPANY),
        authorized_user: { ...valuesOf(owner, INDIVIDUAL), more: nested(owner, "more") },
      },
      [`${MARK}-${owner} as a key`]: 1,
    })
    sandbox.patch("wallets", owner, {
      ...valuesOf(owner, FIELDS.wallets),
      metadata: nested(owner, "metadata"),
    })
    sandbox.patch("payouts", owner, valuesOf(owner, FIELDS.payouts))
    sandbox.patch("checkouts", owner, {
      ...valuesOf(owner, FIELDS.checkouts),
      additional_info: nested(owner, "info"),
      advanced_redirect_url: { completed_url: value(owner, "completed"), failed_url: value(owner, "failed") },
      order_summary: {
        order_items: [
          {
            product_name: value(owner, "product"),
            quantity: 1,
            unit_price: 100,
            made_for: value(owner, "for"),
          },
        ],
        order_fees: [{ fee_name: value(owner, "fee"), fee_amount: 1 }],
        note: value(owner, "summary"),
      },
    })
    sandbox.patch("transactions", owner, {
      ...valuesOf(owner, FIELDS.transactions),
      additional_data: nested(owner, "data"),
    })
  }
}

/** Records that cannot become rows, each with a person in it; they take the places of the last records of each list. */
export const plantBadRecords = (sandbox: Sandbox): void => {
  const text = (name: string) => `${MARK}-bad-${name}`
  const bad: ReadonlyArray<string> = [
    JSON.stringify(text("text")),
    JSON.stringify([text("list")]),
    JSON.stringify({ individual: { email: text("no-id") } }),
    JSON.stringify({
      customer_id: "customer_bad_1",
      is_wallet_ready: text("flag"),
      created_at: text("time"),
      individual: text("no object"),
    }),
    `{"customer_id":"customer_bad_2","individual":{"first_name":"${text("nul")}\\u0000","last_name":"\\ud800"}}`,
    `{"customer_id":"${text("id")}\\u0000","description":"${text("with a bad id")}"}`,
    `{"customer_id":"customer_bad_3","metadata":${"[".repeat(300)}"${text("deep")}"${"]".repeat(300)},"created_at":1}`,
    JSON.stringify({ customer_id: { id: text("id object") }, is_active: true }),
  ]
  for (const [n, body] of bad.entries()) sandbox.replace("customers", sandbox.options.customers - 1 - n, body)
  sandbox.patch("transactions", sandbox.options.transactions - 1, {
    amount: text("amount"),
    event_description: text("description"),
  })
  sandbox.patch("payouts", sandbox.options.payouts - 1, { currency: null, payee_name: text("payee") })
  sandbox.patch("checkouts", sandbox.options.checkouts - 1, {
    amount: { of: text("amount object") },
    order_summary: text("summary"),
  })
}

/** Every value of every table and view of ours, with the planner's statistics: what a dump of the database would show. */
export const everything = (
  sql: postgres.Sql,
  except: ReadonlyArray<string> = [],
): Effect.Effect<ReadonlyArray<string>> =>
  Effect.promise(async () => {
    const tables = await sql<Array<{ name: string }>>`
      SELECT format('%I.%I', schemaname, tablename) AS name
      FROM (SELECT schemaname, tablename FROM pg_tables UNION ALL SELECT schemaname, viewname FROM pg_views) AS t
      WHERE schemaname IN ('warehouse', 'sync', 'analytics', 'public') AND format('%s.%s', schemaname, tablename) <> ALL (${`{${except.join(",")}}`}::text[])`
    const lines: Array<string> = []
    for (const { name } of tables) {
      const rows = await sql.unsafe<Array<{ row: string }>>(
        `SELECT to_jsonb(t)::text AS row FROM ${name} AS t`,
      )
      lines.push(...rows.map(({ row }) => `${name}: ${row}`))
    }
    if (except.length === 0) {
      const stats = await sql<Array<{ row: string }>>`SELECT to_jsonb(s)::text AS row FROM pg_stats AS s`
      lines.push(...stats.map(({ row }) => `pg_stats: ${row}`))
    }
    return lines
  })

/** The lines that hold something planted. */
export const findings = (lines: ReadonlyArray<string>): ReadonlyArray<string> =>
  lines.filter(line => line.includes(MARK) || /99\d0000/.test(line))
