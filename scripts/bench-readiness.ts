import { randomUUID } from "node:crypto"
import { chmod, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { KEEP } from "../src/core/privacy.ts"
import { type LookupStream, redacting } from "../src/core/stream.ts"
import { connect } from "../src/postgres/connect.ts"
import { embeddedPostgres } from "../src/postgres/embedded/embeddedPostgres.ts"
import { allStreams } from "../src/registry.ts"
import { acquire, type Lease } from "../src/warehouse/ledger/lease.ts"
import { lookupOf } from "../src/warehouse/lookups/lookup.ts"
import { queueDue } from "../src/warehouse/lookups/queue.ts"
import { migrate } from "../src/warehouse/schema/migrator.ts"

/**
 * Measures the seconds that a run needs to find the customers to ask about among so many, none of them ready, before
 * its first request: with the bound of `serve`, and without a bound.
 *
 *   npm run bench:readiness -- 1000000
 */
const CUSTOMERS = Number(process.argv[2] ?? 1_000_000)
const CALLS = [7_200, Number.POSITIVE_INFINITY]
const REPETITIONS = 3

const FILL = `
INSERT INTO warehouse.customers (account, raw, content_hash, read_at, first_seen_at, run_id, customer_id)
SELECT 'default', jsonb_build_object('pad', repeat(md5(n::text), 20)), md5(n::text), now(), now() - interval '1 day', gen_random_uuid(),
  'customer_' || md5(n::text)
FROM generate_series(1, ${CUSTOMERS}) n;
INSERT INTO warehouse.wallet_readiness (account, customer_id, is_wallet_ready, missing_fields, checked_at, run_id)
SELECT 'default', 'customer_' || md5(n::text), false, '{dob,email}', now() - make_interval(secs => hashint4(n) % 100000), gen_random_uuid()
FROM generate_series(1, ${CUSTOMERS}) n WHERE n % 20 > 0;
ANALYZE warehouse.customers, warehouse.wallet_readiness`

const program = Effect.gen(function* () {
  const directory = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const made = await mkdtemp(join(tmpdir(), "paycombat-bench-"))
      await chmod(made, 0o755)
      return made
    }),
    made => Effect.promise(() => rm(made, { recursive: true, force: true })),
  )
  const { ownerUrl } = yield* embeddedPostgres(join(directory, "data"))
  const sql = yield* connect(ownerUrl)
  yield* migrate(sql)
  yield* Effect.promise(() => sql.unsafe(FILL))
  const streams = yield* allStreams
  const stream = streams.find(({ name }) => name === "wallet_readiness") as LookupStream
  const lookup = lookupOf(redacting(stream, KEEP), streams, {})
  const claim = { runId: randomUUID(), holder: "bench", leaseSeconds: 600 }
  const { leases } = yield* acquire(sql, { ...claim, streams: [{ account: "default", stream: stream.name }] })
  for (const callsMax of CALLS) {
    for (let n = 0; n < REPETITIONS; n++) {
      const start = performance.now()
      const queue = yield* queueDue(sql, leases[0] as Lease, lookup, { recheckSeconds: 86_400, callsMax })
      const seconds = ((performance.now() - start) / 1000).toFixed(2)
      console.log(
        `${queue.queued} of ${queue.due} due queued (${queue.neverAsked} never asked): ${seconds} s`,
      )
    }
  }
}).pipe(Effect.scoped)

await Effect.runPromise(program)
