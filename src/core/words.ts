/** The words that pages, reports, commands and notes share. */

/** Numbers in words for people: `1,234,567`. */
export const grouped = new Intl.NumberFormat("en-US")

/** `1 record`, `2 records`. */
export const counted = (count: number, one: string, many = `${one}s`): string =>
  `${count} ${count === 1 ? one : many}`

export type Status = "running" | "complete" | "complete_with_rejects" | "failed" | "interrupted" | "dead"

const WORDS: Readonly<Record<string, string>> = {
  complete_with_rejects: "complete, with rejects",
  dead: "died",
  waiting: "waits",
} satisfies Partial<Record<Status | "waiting", string>>

export const statusWords = (status: string): string => WORDS[status] ?? status

/** True if a run with this status did all that it was to do; some records may have become rejects. */
export const isComplete = (status: string): boolean =>
  status === "complete" || status === "complete_with_rejects"

/** The sentence about the name of an account that was never synced. */
export const neverSynced = (account: string): string =>
  `Nothing was synced yet for an account ${account}: check the name, or run \`paycombat-sync sync\`.`
