#!/usr/bin/env node
import { constants } from "node:os"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import { Effect, Layer } from "effect"
import { exitCodeOf, main } from "./cli.ts"

/** npm passes on a Ctrl-C that the terminal has sent already: only a later one means "do not wait". */
const IMPATIENT_AFTER_MILLIS = 1_000

let first: { readonly signal: NodeJS.Signals; readonly at: number } | undefined

// For good, and before all others: a library that finds itself alone with a signal kills the process at once.
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.on(signal, () => {
    first ??= { signal, at: Date.now() }
    if (Date.now() - first.at > IMPATIENT_AFTER_MILLIS) process.exit(128 + constants.signals[signal])
  })

let isCut = false

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  // Who reads the answer may stop reading: `| head` is no failure.
  if (error.code === "EPIPE" || isCut) return
  isCut = true
  process.exitCode = 1
  console.error(
    `The answer could not be written (${error.code}): make room where it goes, or write it elsewhere, and ask again.`,
  )
})

// A log that is full, or that nobody reads any more, ends nothing of what it would tell.
process.stderr.on("error", () => undefined)

/** Not the whole of NodeContext: what a command line needs of it loads sooner. */
const platform = Layer.mergeAll(NodeFileSystem.layer, NodePath.layer, NodeTerminal.layer)

NodeRuntime.runMain(Effect.provide(main(process.argv), platform), {
  disableErrorReporting: true,
  disablePrettyLogger: true,
  teardown: (exit, onExit) => onExit(exitCodeOf(exit, first?.signal ?? "SIGINT")),
})
