import { defineConfig } from "drizzle-kit"

export default defineConfig({
  dialect: "postgresql",
  schema: [
    "./src/warehouse/schema.ts",
    "./src/warehouse/leaseTables.ts",
    "./src/warehouse/settingTables.ts",
    "./src/streams/*.ts",
  ],
  out: "./drizzle",
  migrations: { schema: "sync", table: "migrations" },
})
