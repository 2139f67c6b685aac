#!/usr/bin/env node
import { constants } from "node:os"
import { overviewFor } from "./cli/overview.ts"

/** npm repeats a Ctrl-C that the terminal has already sent. Only a later one means "do not wait". */
const IMPATIENT_AFTER_MILLIS = 1_000

let first: { readonly signal: NodeJS.Signals; readonly at: number } | undefined

// Registered before any library loads: a library that finds no other handler of a signal ends the process at once.
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.on(signal, () => {
    first ??= { signal, at: Date.now() }
    if (Date.now() - first.at > IMPATIENT_AFTER_MILLIS) process.exit(128 + constants.signals[signal])
  })

let isCut = false

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  // The reader may stop early: `| head` is not a failure.
  if (error.code === "EPIPE" || isCut) return
  isCut = true
  process.exitCode = 1
  console.error(
    `The answer could not be written (${error.code}): make room where it goes, or write it elsewhere, and ask again.`,
  )
})

// A log that cannot be written must not end the work.
process.stderr.on("error", () => undefined)

const overview = overviewFor(process.argv.slice(2))
// The libraries take most of the time of a short command.
if (overview === undefined) (await import("./cli/cli.ts")).runProgram(() => first?.signal ?? "SIGINT")
else console.log(overview)
