import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as App from "../../src/app.ts"
import { ConfigurationError, type LeaseError, type WarehouseError } from "../../src/core/errors.ts"
import { Warehouse } from "../../src/postgres/connect.ts"
import { migrate } from "../../src/warehouse/schema/migrator.ts"
import { warehouseOf } from "../support/upkeep.ts"
import { dump, syncedBench, warehouseTables } from "../support/warehouse.ts"
import { laterVersion } from "./support.ts"

describe("a program that is older than the schema", () => {
  it.scopedLive("refuses each command that writes with one line, and writes nothing", () =>
    Effect.gen(function* () {
      const { sql, sandbox } = yield* syncedBench()
      const later = yield* laterVersion
      yield* Effect.promise(() => later.addMigration("9000_later", "SELECT 1"))
      yield* migrate(sql, later)
      const tables = yield* warehouseTables(sql)
      const content = Effect.forEach(tables, table => dump(sql, table, []))
      const before = yield* content
      const customer = sandbox.idOf("customers", 5)
      type Command = Effect.Effect<unknown, ConfigurationError | LeaseError | WarehouseError, Warehouse>
      const commands: Readonly<Record<string, Command>> = {
        rebuild: App.rebuild({}),
        replay: App.replay({}),
        erase: App.eraseCustomer(customer, "default"),
        directions: App.confirmDirections({}, { by: "a test", isPreview: false }),
        sync: App.upToDate(true),
      }
      for (const [name, command] of Object.entries(commands)) {
        const error = yield* Effect.flip(Effect.provide(command, Layer.succeed(Warehouse, warehouseOf(sql))))
        expect(error, name).toBeInstanceOf(ConfigurationError)
        expect(error.message, name).toContain("newer version of this program: update the program")
        expect(error.message, name).not.toContain("\n")
      }
      expect(yield* content).toEqual(before)
    }),
  )
})
