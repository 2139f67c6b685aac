/** The records of PayCombat's documentation (names and addresses replaced), which the sandbox serves unchanged. */

export const ORG_ID = "org_59b8fb2f52254f95ac54d0e140f4e429"
export const MERCHANT_ID = "5a741ab5-a506-4d38-ade7-b039e38134a6"

/** Index of each sample in its list, counted from the oldest record. */
export const SAMPLE_INDEX = { customerWithoutTimes: 0, checkoutCustomer: 1, customer: 2 } as const

export const CHECKOUT_CUSTOMER_ID = "customer_350635a488994af081ee67d57fc07322"
export const WALLET_ID = "wallet_1b2c3d4e5f60718293a4b5c6d7e8f901"
export const WALLET_ACCOUNT_ID = "wallet_account_aa11bb22cc33dd44ee55ff6600778899"
export const TRANSACTION_ID = "transaction_6f0a2b1c9d3e4f5a8b7c6d5e4f3a2b1c"
export const PAYIN_ID = "payin_1344b7c5a4d74575ac5d08dc05051dd3"

/** The fields of a customer that are the same in both samples. */
const customer = (
  customer_id: string,
  description: string,
  individual: Readonly<Record<"first_name" | "last_name" | "dob" | "email" | "nationality", string>>,
) => ({
  customer_id,
  org_id: ORG_ID,
  type: "individual",
  description,
  webhook_url: null,
  metadata: null,
  is_active: false,
  is_wallet_ready: false,
  organization_reference_id: null,
  is_gca_enabled: false,
  gca_activation_status: "NOT_STARTED",
  gca_activated_at: null,
  is_sender_validation_enabled: false,
  payin_sender_id_list: null,
  company_domain: null,
  individual,
})

export const CUSTOMER = {
  ...customer("customer_67d84b19d50b490a8fa75ab20bbf275a", "Test New Customer 2", {
    first_name: "Jane",
    last_name: "Doe",
    dob: "1997-01-16",
    email: "jane@example.com",
    nationality: "KR",
  }),
  created_by: "user_0c1d",
  created_at: "2025-03-17T16:21:13.000Z",
  updated_at: "2025-03-17T16:21:13.000Z",
}

/** Documented in a double envelope, without the times. */
export const CUSTOMER_WITHOUT_TIMES = customer("customer_d4668153816c4c0c92c62b84fc5ada3f", "TEST PAYIN", {
  first_name: "John",
  last_name: "Doe",
  dob: "1997-08-04",
  email: "john@example.com",
  nationality: "ID",
})

export const PAYOUT = {
  id: "2fb337f3-d1d0-4a72-adff-01f0be2e445a",
  payout_id_finmo: "payout_0ee891e2320b415eba04cee33aebf52b",
  merchant_id: MERCHANT_ID,
  reply_code_id_pg: "payout_0ee891e2320b415eba04cee33aebf52b",
  status: "PENDING",
  wire_id: "123456",
  order_id: null,
  due_date: "2024-12-31T00:00:00.000Z",
  last_action: null,
  wire_amount: 11,
  fee_taken: 0,
  fee_expected: 0,
  payee_name: "John",
  currency: "AUD",
  beneficiary: "",
  beneficiary_bank: "au_bank_acct",
  beneficiary_account_number: "12345678",
  beneficiary_account_iban: null,
  wire_origin: null,
  conversion: null,
  process: null,
  approval: "APPROVED",
  created_at: null,
  updated_at: "2024-12-30T18:32:10.000Z",
  approved_at: null,
  denied_at: null,
  pending_at: null,
}

export const CHECKOUT = {
  id: "da5ba426-9d1a-43b4-a477-e83b4534098e",
  checkout_token: "5c57543e5dd646350e452890774a3927aacee5e500f6f89e54df1a82e3a6f539",
  amount: 100,
  currency: "EUR",
  country_code: "EU",
  country_name: "EUROPE",
  payin_method_name: "eu_bank_sct_eur",
  payin_type: null,
  customer_id: CHECKOUT_CUSTOMER_ID,
  checkout_url:
    "https://checkout.example/?token=5c57543e5dd646350e452890774a3927aacee5e500f6f89e54df1a82e3a6f539&identifier=snd_x",
  advanced_redirect_url: null,
  expire_at: "2025-01-17T09:00:00.000Z",
  additional_info: {},
  order_summary: {
    order_items: [{ product_name: "Ticket", quantity: 2, unit_price: 45 }],
    order_fees: [{ fee_name: "Service", fee_amount: 10 }],
  },
  description: "invoice_15012025_003",
  merchant_id: MERCHANT_ID,
  redirect_url: null,
  webhook_url: null,
  created_at: "2025-01-15T09:00:00.000Z",
  updated_at: "2025-01-15T09:00:00.000Z",
  deleted_at: null,
}
