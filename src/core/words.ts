/** Numbers in words for people: `1,234,567`. */
export const grouped = new Intl.NumberFormat("en-US")

/** `1 record`, `2 records`. */
export const counted = (count: number, one: string, many = `${one}s`): string =>
  `${count} ${count === 1 ? one : many}`
