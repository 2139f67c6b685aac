import { boolean, primaryKey, text } from "drizzle-orm/pg-core"
import { Schema } from "effect"
import { Flag, Id, Instant, loose, maybe, Text } from "../core/fields.ts"
import { defineStream } from "../core/stream.ts"
import { instant, recordColumns, warehouse } from "../warehouse/schema/columns.ts"

/** Identity details, documented for `individual` and, within `company`, for the authorized user (D). */
const Individual = Schema.Struct({
  first_name: maybe(Text),
  last_name: maybe(Text),
  dob: maybe(Text),
  email: maybe(Text),
  identification_type: maybe(Text),
  identification_value: maybe(Text),
  nationality: maybe(Text),
  country_of_residence: maybe(Text),
  address_line1: maybe(Text),
  address_line2: maybe(Text),
  address_city: maybe(Text),
  address_state: maybe(Text),
  address_country: maybe(Text),
  address_zip_code: maybe(Text),
  phone_country_code: maybe(Text),
  phone_number: maybe(Text),
})

const Company = Schema.Struct({
  name: maybe(Text),
  registration_number: maybe(Text),
  incorporation_country: maybe(Text),
  company_email: maybe(Text),
})

/** Get All Customer (D: fields; U: the five after `company_domain` that newer upstream records add). */
const Customer = Schema.Struct({
  customer_id: Id,
  org_id: maybe(Text),
  type: maybe(Text),
  description: maybe(Text),
  is_active: maybe(Flag),
  is_wallet_ready: maybe(Flag),
  organization_reference_id: loose,
  is_gca_enabled: maybe(Flag),
  gca_activation_status: maybe(Text),
  gca_activated_at: maybe(Instant),
  is_sender_validation_enabled: maybe(Flag),
  company_domain: loose,
  status: maybe(Text),
  is_enabled: maybe(Flag),
  account_usage_purpose: loose,
  individual: maybe(Individual),
  company: maybe(Company),
  created_by: maybe(Text),
  created_at: maybe(Instant),
  updated_at: maybe(Instant),
})

export const customers = warehouse.table(
  "customers",
  {
    ...recordColumns(),
    customerId: text("customer_id").notNull(),
    orgId: text("org_id"),
    type: text("type"),
    description: text("description"),
    isActive: boolean("is_active"),
    isWalletReady: boolean("is_wallet_ready"),
    organizationReferenceId: text("organization_reference_id"),
    isGcaEnabled: boolean("is_gca_enabled"),
    gcaActivationStatus: text("gca_activation_status"),
    gcaActivatedAt: instant("gca_activated_at"),
    isSenderValidationEnabled: boolean("is_sender_validation_enabled"),
    companyDomain: text("company_domain"),
    status: text("status"),
    isEnabled: boolean("is_enabled"),
    accountUsagePurpose: text("account_usage_purpose"),
    firstName: text("first_name"),
    lastName: text("last_name"),
    dob: text("dob"),
    email: text("email"),
    identificationType: text("identification_type"),
    identificationValue: text("identification_value"),
    nationality: text("nationality"),
    countryOfResidence: text("country_of_residence"),
    addressLine1: text("address_line1"),
    addressLine2: text("address_line2"),
    addressCity: text("address_city"),
    addressState: text("address_state"),
    addressCountry: text("address_country"),
    addressZipCode: text("address_zip_code"),
    phoneCountryCode: text("phone_country_code"),
    phoneNumber: text("phone_number"),
    companyName: text("company_name"),
    companyRegistrationNumber: text("company_registration_number"),
    companyIncorporationCountry: text("company_incorporation_country"),
    companyEmail: text("company_email"),
    createdBy: text("created_by"),
    createdAt: instant("created_at"),
    updatedAt: instant("updated_at"),
  },
  table => [primaryKey({ columns: [table.account, table.customerId] })],
)

/** Columns of an individual's details are null for a company, and vice versa. */
const noIndividual = Schema.decodeUnknownSync(Individual)({})
const noCompany = Schema.decodeUnknownSync(Company)({})

export default defineStream({
  name: "customers",
  version: 1,
  source: {
    kind: "list",
    paths: [
      "/api/v1/customer/get-all",
      "/api/v1/customer/get-all-customer",
      "/api/v1/customer",
      "/api/v1/customer/customer",
      "/api/v1/customer/customers",
      "/api/v1/customer/list",
      "/api/v1/customer/all",
      "/api/v1/customers",
    ],
    idField: "customer_id",
    merchantField: "org_id",
    recognizes: record => "is_wallet_ready" in record || "individual" in record || "company" in record,
    // Get Detail Customer by Id (D).
    detail: { isNeeded: () => false, paths: id => [`/api/v1/customer/customer/${id}`] },
    times: { created: "created_at", updated: "updated_at", open: null },
  },
  table: customers,
  idColumn: "customer_id",
  // The whole record is about a person, including its description, references and links.
  personal: {
    plain: {
      org_id: "id",
      type: "code",
      is_active: "flag",
      is_wallet_ready: "flag",
      is_gca_enabled: "flag",
      gca_activation_status: "code",
      gca_activated_at: "time",
      is_sender_validation_enabled: "flag",
      is_enabled: "flag",
      is_url_expired: "flag",
      status: "code",
      individual: {},
      company: { authorized_user: {} },
      created_at: "time",
      updated_at: "time",
    },
    subject: { kind: "self", of: "customers" },
  },
  documented: {
    others: {
      webhook_url: "null",
      metadata: "null",
      payin_sender_id_list: "null",
      customer_hosted_url: "string",
      is_url_expired: "boolean",
      "company.address_line1": "string",
      "company.address_line2": "string",
      "company.address_city": "string",
      "company.address_state": "string",
      "company.address_country": "string",
      "company.address_zip_code": "string",
      "company.phone_country_code": "string",
      "company.phone_number": "string",
      "company.authorized_user": "object",
    },
    mayLack: [
      "individual",
      "company",
      "account_usage_purpose",
      "customer_hosted_url",
      "is_enabled",
      "is_url_expired",
      "status",
    ],
    values: {
      type: ["individual", "company"],
      gca_activation_status: ["NOT_STARTED", "APPROVAL_PENDING", "IN_PROGRESS", "COMPLETED"],
      status: ["PENDING_INFO", "UNDER_REVIEW", "APPROVED", "SUSPENDED"],
    },
  },
  record: Customer,
  normalize: ({ individual, company, ...customer }) => {
    const of = company ?? noCompany
    return {
      row: {
        ...customer,
        ...(individual ?? noIndividual),
        company_name: of.name,
        company_registration_number: of.registration_number,
        company_incorporation_country: of.incorporation_country,
        company_email: of.company_email,
      },
      sourceUpdatedAt: customer.updated_at,
    }
  },
})
