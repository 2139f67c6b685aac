import { createLogUpdate } from "log-update"
import { isLive } from "./output.ts"
import { visible } from "./visible.ts"

/** What is being done, on a line of stderr that goes again, where a person looks on. */
export interface Transient {
  readonly show: (text: string) => void
  readonly clear: () => void
}

const NONE: Transient = { show: () => undefined, clear: () => undefined }

export const transient = (isWanted: boolean): Transient => {
  if (!isWanted || !isLive()) return NONE
  const draw = createLogUpdate(process.stderr)
  const clear = () => {
    draw.clear()
    // Gives the cursor back, which is hidden while a line is drawn anew.
    draw.done()
  }
  return { show: text => draw(`… ${visible(text)}`), clear }
}
