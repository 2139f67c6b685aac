#!/usr/bin/env node
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect } from "effect"
import { exitCodeOf, main } from "./cli.ts"

let signal: NodeJS.Signals = "SIGINT"
process.once("SIGTERM", received => {
  signal = received
})

NodeRuntime.runMain(Effect.provide(main(process.argv), NodeContext.layer), {
  disableErrorReporting: true,
  disablePrettyLogger: true,
  teardown: (exit, onExit) => onExit(exitCodeOf(exit, signal)),
})
