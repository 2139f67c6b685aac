import type { Generators } from "./world/generator.ts"
import type { SandboxOptions } from "./world/options.ts"

/** Finds the answer to a path: a list, one of its records, or a look-up. */

export interface Route {
  readonly kind: "list" | "detail" | "lookup"
  readonly stream: string
  readonly template: string
  readonly id: string
}

export type Router = (path: string) => Route | undefined

export const routerOf = (options: SandboxOptions, generators: Generators): Router => {
  const exact = new Map<string, Route>()
  const byId: Array<{ readonly head: string; readonly tail: string; readonly route: Route }> = []
  const addById = (template: string, kind: Route["kind"], stream: string) => {
    const [head = "", tail = ""] = template.split("{id}")
    byId.push({ head, tail, route: { kind, stream, template, id: "" } })
  }
  // Look-ups come first, because the by-id path of a list may be the beginning of theirs.
  for (const [stream, generator] of generators)
    if (generator.kind === "lookup") addById(generator.path, "lookup", stream)
  for (const [stream, generator] of generators) {
    if (generator.kind !== "list") continue
    const list = options.listPaths[stream] ?? generator.listPath
    exact.set(list, { kind: "list", stream, template: list, id: "" })
    const given = options.detailPaths[stream]
    const template = given === undefined ? generator.detailPath : given
    if (template !== null) addById(template, "detail", stream)
  }
  return path => {
    const listRoute = exact.get(path)
    if (listRoute !== undefined) return listRoute
    for (const { head, tail, route } of byId) {
      if (!path.startsWith(head) || !path.endsWith(tail)) continue
      const id = path.slice(head.length, path.length - tail.length)
      if (id !== "" && !id.includes("/")) return { ...route, id }
    }
    return undefined
  }
}
