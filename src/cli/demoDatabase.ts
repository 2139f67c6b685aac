import { Option } from "effect"
import type { DatabaseSettings } from "../Config.ts"

/** The demo's own database: simulated money must never meet a real warehouse. */
export const demoDatabase: DatabaseSettings = {
  url: Option.none(),
  dataDir: ".paycombat-demo",
  readerUrl: Option.none(),
}
