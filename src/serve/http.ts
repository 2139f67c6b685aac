import * as HttpMiddleware from "@effect/platform/HttpMiddleware"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Effect, type Scope } from "effect"
import type { HttpSettings } from "../config/config.ts"
import { ConfigurationError } from "../core/errors.ts"
import { boardVerdict, reasonsOf } from "./boardVerdict.ts"
import { boundedServer } from "./connections.ts"
import { CONTENT_SECURITY_POLICY, page } from "./page.ts"
import { CONTENT_TYPE, exposition } from "./prometheus.ts"
import type { Board } from "./snapshot.ts"

/** What `serve` says over HTTP: only GET and HEAD, small answers, nothing to be sent in. */

/** Answers under way get so long when the process stops. */
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
 * Whether a request means this server. A page of another site can make a browser resolve its own name to this
 * machine; it cannot make it send another name than its own. Behind other addresses names are for others to judge.
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

type Answer = (board: Effect.Effect<Board>) => Effect.Effect<HttpServerResponse.HttpServerResponse>

const ROUTES: Readonly<Record<string, Answer>> = {
  "/healthz": () => Effect.succeed(text("ok\n")),
  "/readyz": Effect.map(board => {
    const reasons = reasonsOf(board)
    const { level, sentence } = boardVerdict(board)
    return json({ ready: reasons.length === 0, level, sentence, reasons }, reasons.length === 0 ? 200 : 503)
  }),
  "/metrics": Effect.map(() => text(exposition(), 200, { "content-type": CONTENT_TYPE })),
  "/status.json": Effect.map(board => json(board)),
  "/": Effect.map(board => text(page(board), 200, { "content-type": "text/html; charset=utf-8" })),
}

const answer = (board: Effect.Effect<Board>, listening: string) =>
  Effect.gen(function* () {
    const { method, url, headers } = yield* HttpServerRequest.HttpServerRequest
    if (!isOurHost(headers.host, listening))
      return text("This server is asked by another name than its own.\n", 421)
    if (method !== "GET" && method !== "HEAD")
      return text("Only GET and HEAD.\n", 405, { allow: "GET, HEAD" })
    const path = url.replace(/[?#].*$/s, "")
    const route = Object.hasOwn(ROUTES, path) ? ROUTES[path] : undefined
    return yield* route?.(board) ?? Effect.succeed(text("Not found.\n", 404))
  })

const refused = ({ host, port }: HttpSettings, cause: unknown): ConfigurationError => {
  const code = (cause as { readonly code?: string } | undefined)?.code ?? String(cause)
  const why: Readonly<Record<string, string>> = {
    EADDRINUSE: "something else listens there already",
    EACCES: "that port needs more rights than this process has",
    EADDRNOTAVAIL: "that address is not this machine's",
    ENOTFOUND: "that name is not known here",
  }
  return new ConfigurationError({
    message: `Cannot listen on ${host}:${port}: ${why[code] ?? code}. Set PAYCOMBAT_HTTP_PORT or PAYCOMBAT_HTTP_HOST.`,
  })
}

/** Listens until the scope closes; answers the address. `ConfigurationError` where it cannot. */
export const listen = (
  settings: HttpSettings,
  board: Effect.Effect<Board>,
): Effect.Effect<string, ConfigurationError, Scope.Scope> =>
  Effect.gen(function* () {
    const nodeServer = boundedServer()
    const server = yield* NodeHttpServer.make(() => nodeServer, settings).pipe(
      Effect.mapError(error => refused(settings, error.cause)),
    )
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => void setTimeout(() => nodeServer.closeAllConnections(), CLOSE_MILLIS).unref()),
    )
    yield* HttpServer.serveEffect(answer(board, settings.host)).pipe(
      Effect.provideService(HttpServer.HttpServer, server),
      // Whoever looks every two seconds is not what a trace is about.
      Effect.locally(HttpMiddleware.currentTracerDisabledWhen, () => true),
    )
    // Where somebody listens for upgrades, Node hands over a bare socket to whoever asks for one: no error listener, no
    // timeout, not among the connections that are closed at the end. Nothing here upgrades: it is a request like any.
    nodeServer.removeAllListeners("upgrade")
    const { address } = server
    const host = settings.host.includes(":") ? `[${settings.host}]` : settings.host
    return `http://${host}:${address._tag === "TcpAddress" ? address.port : settings.port}`
  })
