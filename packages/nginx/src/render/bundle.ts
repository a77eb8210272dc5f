/** A bundle's objects to files: one object, one file, and nothing else that decides its text but the host's facts. */
import { RenderError } from '../errors.ts'
import type { BundleObject, RenderedFile, RenderFacts, ResourceRef } from '../objects.ts'
import { renderHttp, renderListener } from './http.ts'
import { renderUpstream } from './upstream.ts'
import { renderVirtualHost } from './virtual-host.ts'

/** What an object of a bundle is called in errors. */
export function resourceOf(object: BundleObject): ResourceRef {
  if (object.kind === 'listener') return { kind: 'listener', id: String(object.port) }
  if (object.kind === 'http') return { kind: 'http', id: 'http' }
  return { kind: object.kind, id: object.id }
}

/**
 * Renders one object for one host. Deterministic.
 * @returns null where the object needs no file on this host
 * @throws RenderError with the field that cannot be rendered
 */
export function renderObject(object: BundleObject, facts: RenderFacts): RenderedFile | null {
  switch (object.kind) {
    case 'upstream':
      return renderUpstream(object, facts)
    case 'virtual_host':
      return renderVirtualHost(object, facts)
    case 'listener':
      return renderListener(object, facts)
    case 'http':
      return renderHttp(object, facts)
  }
}

/** Remembers what objects rendered to, for as long as the facts stay the same and the objects stay in the bundle. */
export interface RenderCache {
  /** What identifies an unchanged object: by default the object itself, or its hash. */
  readonly keyOf: (object: BundleObject) => unknown
  facts_key: string
  files: Map<unknown, RenderedFile | null>
}

export function createRenderCache(keyOf: (object: BundleObject) => unknown = object => object): RenderCache {
  return { keyOf, facts_key: '', files: new Map() }
}

/**
 * Renders a bundle, in the order of its objects. With a cache only changed objects cost anything.
 * @throws RenderError, also for two objects that would share a file
 */
export function renderBundle(
  objects: readonly BundleObject[],
  facts: RenderFacts,
  cache: RenderCache = createRenderCache(),
): RenderedFile[] {
  const facts_key = JSON.stringify(facts)
  const known = cache.facts_key === facts_key ? cache.files : new Map<unknown, RenderedFile | null>()
  const next = new Map<unknown, RenderedFile | null>()
  const files = new Map<string, RenderedFile>()
  for (const object of objects) {
    const key = cache.keyOf(object)
    const cached = known.get(key)
    const file = cached === undefined ? renderObject(object, facts) : cached
    next.set(key, file)
    if (file === null) continue
    if (files.has(file.path)) throw new RenderError(resourceOf(object), null, `${file.path} is there twice`)
    files.set(file.path, file)
  }
  cache.facts_key = facts_key
  cache.files = next
  return [...files.values()]
}
