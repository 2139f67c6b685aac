import { defineConfig } from "drizzle-kit"

export default defineConfig({
  dialect: "postgresql",
  schema: [
    "./src/warehouse/schema/tables.ts",
    "./src/warehouse/schema/checkTables.ts",
    "./src/warehouse/schema/doubtTables.ts",
    "./src/warehouse/schema/leaseTables.ts",
    "./src/warehouse/schema/settingTables.ts",
    "./src/warehouse/schema/settlementTables.ts",
    "./src/warehouse/schema/totalTables.ts",
    "./src/streams/*.ts",
  ],
  out: "./drizzle",
  migrations: { schema: "sync", table: "migrations" },
})
