import { userInfo } from "node:os"

/** Name of the person's login at the operating system; undefined for a number without a name, as containers run with. */
export const loginName = (): string | undefined => {
  try {
    return userInfo().username
  } catch {
    return undefined
  }
}
