/**
 * Facts about a stream's records beyond their schema, as data, for comparison with real records. The schema has the
 * fields that are read; this lists all other documented fields. A field of an object is named `company.name`, a field
 * of a list's items `order_summary.order_items[].quantity`.
 */
export interface Documented {
  /** Documented fields that are not read, with the type of their values; `null` if only "null" is documented. */
  readonly others?: Readonly<Record<string, JsonType>>
  /**
   * Fields that may be absent: upstream's (U), fields of an older or newer shape, and fields that replace one another.
   */
  readonly mayLack?: ReadonlyArray<string>
  /** Groups of fields with the same meaning in an older and a newer shape. One of a group may go when another comes. */
  readonly standIns?: ReadonlyArray<ReadonlyArray<string>>
  /**
   * Fields that hold a code, with their known values (D or U), or none if the field is documented without values. Every
   * such list is open: an unknown value is reported, and is no error.
   */
  readonly values?: Readonly<Record<string, ReadonlyArray<string>>>
  /** Fields of a record that moves money. */
  readonly money?: Money
}

export type JsonType = "null" | "boolean" | "number" | "string" | "array" | "object"

/** The fields of a movement of money: the event, the amount, and the rest after its fees. */
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
