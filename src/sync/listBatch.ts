import { Sink } from "effect"
import { PAGE_UNITS } from "../paycombat/client/budget.ts"
import type { Extract } from "./completeRecords.ts"

/** How pages are gathered, to be loaded together. */

/** Records of a batch, bytes that they came in, and their share of the process' memory; small pages are gathered up to either. */
const BATCH_RECORDS = 2_000
const BATCH_BYTES = 4 * 2 ** 20
const BATCH_UNITS = PAGE_UNITS / 2

/** Pages up to the first bound that they reach together; one that is beyond it alone is a batch of its own. */
export const batchOf = Sink.foldWeighted<ReadonlyArray<Extract>, Extract>({
  initial: [],
  maxCost: 1,
  cost: (_, { page, records }) =>
    Math.max(
      records.length / BATCH_RECORDS,
      page.bytes / BATCH_BYTES,
      (page.share?.units ?? 0) / BATCH_UNITS,
    ),
  body: (extracts, extract) => [...extracts, extract],
})
