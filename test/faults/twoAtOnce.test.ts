import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type postgres from "postgres"
import type { Sandbox } from "../../src/sandbox/sandbox.ts"
import { type Environment, linesOf } from "../support/cli.ts"
import { crashable, crashWorld, expectWhole, referenceOf } from "../support/crash.ts"
import { listPath } from "../support/lists.ts"
import { printed } from "../support/warehouse.ts"

/** Two programs on one warehouse: whatever their timing, each stream has one writer at a time. */

/** Books who writes transactions, and whose lease it is in that moment, in the same commit. */
const AUDIT = `
  CREATE TABLE public.audit (id serial, written_by uuid, held_by uuid, fence bigint);
  CREATE FUNCTION public.audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
    INSERT INTO public.audit (written_by, held_by, fence)
    SELECT DISTINCT n.run_id, l.run_id, l.fence FROM written AS n, sync.leases AS l WHERE l.stream = 'transactions';
    RETURN NULL; END $$;
  CREATE TRIGGER audit_insert AFTER INSERT ON warehouse.transactions REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit();
  CREATE TRIGGER audit_update AFTER UPDATE ON warehouse.transactions REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit()`

/** Seconds on a machine that does nothing else; several processes start in each of these tests. */
const TIME_LIMIT_MILLIS = 300_000

const parts = (environment: Environment = {}) =>
  Effect.gen(function* () {
    const sandbox = yield* crashWorld
    const whole = yield* crashable(sandbox, { PAYCOMBAT_LOG_LEVEL: "debug", ...environment })
    yield* Effect.promise(() => whole.sql.unsafe(AUDIT))
    return whole
  })

/** Makes the pages of transactions late. */
const late = (sandbox: Sandbox, delayMillis: number) =>
  sandbox.setFault(({ path }) => (path === listPath("transactions") ? { delayMillis } : undefined))

/** The third page of transactions, as the program asks for it. */
const THIRD = `${listPath("transactions")}?page=3&limit=2500`

/** Holds back the pages of transactions from the third on. A release lets the third one pass, and no other. */
const holdBack = (sandbox: Sandbox) =>
  Effect.promise(async () => {
    const answer = await fetch(`${sandbox.url}${THIRD}`, { headers: { "x-token": sandbox.token } })
    const body = Buffer.from(await answer.text())
    let isHeld = true
    // White space before the JSON, which is allowed.
    function* third() {
      while (isHeld) yield Buffer.from(" ")
      yield body
    }
    sandbox.setFault(({ path, query }) => {
      const page = Number(query.get("page"))
      if (path !== listPath("transactions") || page < 3) return undefined
      return page === 3 ? { chunks: third, dripMillis: 20 } : { hang: true }
    })
    return () => {
      isHeld = false
    }
  })

/** No commit was made with another's lease, and none by a former holder after another had taken over. */
const expectOneWriter = (sql: postgres.Sql) =>
  Effect.gen(function* () {
    expect(yield* printed(sql, "SELECT 1 AS one FROM public.audit LIMIT 1")).toHaveLength(1)
    const two = `SELECT * FROM public.audit AS a WHERE written_by <> held_by
      OR EXISTS (SELECT FROM public.audit AS b WHERE b.id < a.id AND b.fence > a.fence)`
    expect(yield* printed(sql, two)).toEqual([])
  })

describe.concurrent("two syncs", () => {
  it.scopedLive(
    "started in the same moment: one does everything, the other nothing, and exits with 3",
    () =>
      Effect.gen(function* () {
        // Small pages, and each is late until one of the two is done: the other takes a minute until then, and keeps
        // its leases for as long.
        const whole = yield* parts({ PAYCOMBAT_PAGE_SIZE: "50", PAYCOMBAT_LEASE_SECONDS: "120" })
        late(whole.sandbox, 500)
        const one = Effect.ensuring(
          whole.sync(),
          Effect.sync(() => whole.sandbox.setFault(null)),
        )
        const both = yield* Effect.all([one, one], { concurrency: 2 })
        const codes = both.map(({ code }) => code).toSorted()
        expect(codes, both.map(({ stderr }) => stderr).join("")).toEqual([0, 3])
        const second = both.find(({ code }) => code === 3)!
        expect(second.stdout).toBe("")
        expect(linesOf(second.stderr).at(-1)).toContain("is being synced by")
        yield* expectOneWriter(whole.sql)
        yield* expectWhole(whole.sql, yield* referenceOf(whole.sandbox), "two at once")
        expect(yield* printed(whole.sql, "SELECT status FROM sync.runs")).toEqual([{ status: "complete" }])
      }),
    TIME_LIMIT_MILLIS,
  )

  it.scopedLive(
    "for different streams take turns, if the second is told to wait",
    () =>
      Effect.gen(function* () {
        const whole = yield* parts()
        late(whole.sandbox, 300)
        const of = (...streams: ReadonlyArray<string>) =>
          whole.run(["sync", "--wait", ...streams.flatMap(stream => ["--stream", stream])])
        const both = yield* Effect.all(
          [of("transactions", "payouts"), of("customers", "wallets", "checkouts", "wallet_readiness")],
          { concurrency: 2 },
        )
        expect(
          both.map(({ code }) => code),
          both.map(({ stderr }) => stderr).join(""),
        ).toEqual([0, 0])
        yield* expectOneWriter(whole.sql)
        yield* expectWhole(whole.sql, yield* referenceOf(whole.sandbox), "different streams")
      }),
    TIME_LIMIT_MILLIS,
  )

  it.scopedLive(
    "one of them frozen past its lease: another takes over, and the late one writes nothing more, says so, exits with 1",
    () =>
      Effect.gen(function* () {
        const whole = yield* parts()
        const letGo = yield* holdBack(whole.sandbox)
        const frozen = yield* whole.start(["sync", "--stream", "transactions"])
        yield* frozen.printed("5000 read")
        frozen.process.kill("SIGSTOP")
        // Its next page is there when it wakes.
        letGo()
        whole.sandbox.setFault(null)
        const heir = yield* whole
          .run(["sync", "--stream", "transactions"])
          .pipe(Effect.delay("300 millis"), Effect.repeat({ while: ({ code }) => code === 3 }))
        expect(heir.code, heir.stderr).toBe(0)
        const written = yield* printed(whole.sql, "SELECT max(id) AS id FROM public.audit")
        frozen.process.kill("SIGCONT")
        const woken = yield* frozen.ended
        expect(woken.code, woken.stderr).toBe(1)
        expect(woken.stderr).toContain("default/transactions: another run took the lease over")
        expect(woken.stderr).toContain("nothing more was written")
        expect(yield* printed(whole.sql, "SELECT max(id) AS id FROM public.audit")).toEqual(written)
        yield* expectOneWriter(whole.sql)
        const runs = "SELECT status FROM sync.stream_runs WHERE stream = 'transactions' ORDER BY started_at"
        expect(yield* printed(whole.sql, runs)).toEqual([{ status: "dead" }, { status: "complete" }])
        expect((yield* whole.sync()).code).toBe(0)
        yield* expectWhole(whole.sql, yield* referenceOf(whole.sandbox), "after the freeze")
      }),
    TIME_LIMIT_MILLIS,
  )
})
