#!/usr/bin/env node
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import { Effect, Layer } from "effect"
import { exitCodeOf, main } from "./cli.ts"

let signal: NodeJS.Signals = "SIGINT"
process.once("SIGTERM", received => {
  signal = received
})

/** Not the whole of NodeContext: what a command line needs of it loads sooner. */
const platform = Layer.mergeAll(NodeFileSystem.layer, NodePath.layer, NodeTerminal.layer)

NodeRuntime.runMain(Effect.provide(main(process.argv), platform), {
  disableErrorReporting: true,
  disablePrettyLogger: true,
  teardown: (exit, onExit) => onExit(exitCodeOf(exit, signal)),
})
