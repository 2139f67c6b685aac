/**
 * What is known of a stream's records beyond their schema, as data, for who compares it with real ones. A schema says
 * what is read of a record; this, what else is documented to be in it. A field of an object is named `company.name`,
 * one of a list's items `order_summary.order_items[].quantity`.
 */
export interface Documented {
  /** Fields that nothing is read of, with what stands in them; `null` where only "null" is documented. */
  readonly others?: Readonly<Record<string, JsonType>>
  /** Fields that need not be there: upstream's (U), those of an older or newer shape, and those that stand in for one another. */
  readonly mayLack?: ReadonlyArray<string>
  /** Groups of fields that hold the same in an older and a newer shape: one that goes is not missed while another comes. */
  readonly standIns?: ReadonlyArray<ReadonlyArray<string>>
  /**
   * Fields that hold a code, with the values that are known of them (D or U); none where the field is documented
   * without its values. Every such list is open: another value is news, not an error.
   */
  readonly values?: Readonly<Record<string, ReadonlyArray<string>>>
  /** Where a record that moves money says so. */
  readonly money?: Money
}

export type JsonType = "null" | "boolean" | "number" | "string" | "array" | "object"

/** The fields of a movement of money: what happened, the amount, and what is left of it after its fees. */
export interface Money {
  readonly eventType: string
  readonly eventName: string
  readonly amount: string
  readonly currency: string
  readonly netAmount: string
  readonly feesCurrency: string
  readonly feesWithoutTax: string
  readonly taxOnFees: string
  readonly feesIncludingTax: string
}
