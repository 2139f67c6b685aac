import * as HttpMiddleware from "@effect/platform/HttpMiddleware"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Effect, type Scope } from "effect"
import type { HttpSettings } from "../config/config.ts"
import { ConfigurationError } from "../core/errors.ts"
import { boundedServer } from "./connections.ts"
import { CONTENT_SECURITY_POLICY, page } from "./page.ts"
import { CONTENT_TYPE, exposition } from "./prometheus.ts"
import { reasonsOf, type Snapshot, snapshotVerdict } from "./snapshot.ts"

/** Serves the state over HTTP: only GET and HEAD, small answers, no input. */

/** Time for pending answers when the process stops. */
const CLOSE_MILLIS = 1_000

const HEADERS = {
  "cache-control": "no-store",
  "content-security-policy": CONTENT_SECURITY_POLICY,
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/i

export const isLoopback = (host: string): boolean => LOOPBACK.test(host)

/**
 * True if a request is meant for this server. A page of another site can resolve its own host name to this machine (DNS
 * rebinding). On other addresses than loopback every name is accepted.
 */
export const isOurHost = (host: string | undefined, listening: string): boolean => {
  if (!isLoopback(listening)) return true
  const name = host?.replace(/:\d+$/, "") ?? ""
  return isLoopback(name) || name.toLowerCase() === listening.toLowerCase()
}

const text = (body: string, status = 200, headers: Readonly<Record<string, string>> = {}) =>
  HttpServerResponse.text(body, { status, headers: { ...HEADERS, ...headers } })

const json = (body: unknown, status = 200) =>
  text(`${JSON.stringify(body, null, 2)}\n`, status, { "content-type": "application/json; charset=utf-8" })

type Answer = (snapshot: Effect.Effect<Snapshot>) => Effect.Effect<HttpServerResponse.HttpServerResponse>

const ROUTES: Readonly<Record<string, Answer>> = {
  "/healthz": () => Effect.succeed(text("ok\n")),
  "/readyz": Effect.map(snapshot => {
    const reasons = reasonsOf(snapshot)
    const { level, sentence } = snapshotVerdict(snapshot)
    return json({ ready: reasons.length === 0, level, sentence, reasons }, reasons.length === 0 ? 200 : 503)
  }),
  "/metrics": Effect.map(() => text(exposition(), 200, { "content-type": CONTENT_TYPE })),
  "/status.json": Effect.map(snapshot => json(snapshot)),
  "/": Effect.map(snapshot => text(page(snapshot), 200, { "content-type": "text/html; charset=utf-8" })),
}

const answer = (snapshot: Effect.Effect<Snapshot>, listening: string) =>
  Effect.gen(function* () {
    const { method, url, headers } = yield* HttpServerRequest.HttpServerRequest
    if (!isOurHost(headers.host, listening))
      return text("This server does not answer to that host name.\n", 421)
    if (method !== "GET" && method !== "HEAD")
      return text("Only GET and HEAD.\n", 405, { allow: "GET, HEAD" })
    const path = url.replace(/[?#].*$/s, "")
    const route = Object.hasOwn(ROUTES, path) ? ROUTES[path] : undefined
    return yield* route?.(snapshot) ?? Effect.succeed(text("Not found.\n", 404))
  })

const listenError = ({ host, port }: HttpSettings, cause: unknown): ConfigurationError => {
  const code = (cause as { readonly code?: string } | undefined)?.code ?? String(cause)
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: "another process listens there already",
    EACCES: "that port needs more rights than this process has",
    EADDRNOTAVAIL: "that address does not belong to this machine",
    ENOTFOUND: "that name cannot be resolved",
  }
  return new ConfigurationError({
    message: `Cannot listen on ${host}:${port}: ${reasons[code] ?? code}. Set PAYCOMBAT_HTTP_PORT or PAYCOMBAT_HTTP_HOST.`,
  })
}

/** Listens until the scope closes, and returns the address. Fails with `ConfigurationError` if it cannot listen. */
export const listen = (
  settings: HttpSettings,
  snapshot: Effect.Effect<Snapshot>,
): Effect.Effect<string, ConfigurationError, Scope.Scope> =>
  Effect.gen(function* () {
    const nodeServer = boundedServer()
    const server = yield* NodeHttpServer.make(() => nodeServer, settings).pipe(
      Effect.mapError(error => listenError(settings, error.cause)),
    )
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => void setTimeout(() => nodeServer.closeAllConnections(), CLOSE_MILLIS).unref()),
    )
    yield* HttpServer.serveEffect(answer(snapshot, settings.host)).pipe(
      Effect.provideService(HttpServer.HttpServer, server),
      // Polling requests are not worth a trace.
      Effect.locally(HttpMiddleware.currentTracerDisabledWhen, () => true),
    )
    // If a listener for upgrades exists, Node hands the bare socket to every client that asks for an upgrade: without
    // an error listener, without a timeout, and not among the connections that are closed at the end. This server
    // upgrades nothing, so such a request is answered like any other.
    nodeServer.removeAllListeners("upgrade")
    const { address } = server
    const host = settings.host.includes(":") ? `[${settings.host}]` : settings.host
    return `http://${host}:${address._tag === "TcpAddress" ? address.port : settings.port}`
  })
