import type { PageLinks, PageMeta } from '@nxmesh/contract'
import type { z } from 'zod'
import { pathOnly } from './request-path.ts'

export interface PageOf<T> {
  readonly items: readonly T[]
  readonly total: number
}

/** The envelope of a list: the items, `meta` and `links` to this page and its neighbours. `url`: path with query, as called. */
export function page<T>(query: { page: number; per_page: number }, found: PageOf<T>, url: string) {
  const { page: number, per_page } = query
  const path = pathOnly(url)
  const to = (target: number) => {
    const parameters = new URLSearchParams(url.slice(path.length))
    parameters.set('page', String(target))
    return `${path}?${parameters}`
  }
  const last = Math.max(1, Math.ceil(found.total / per_page))
  const meta: PageMeta = { page: number, per_page, total: found.total }
  const links: z.infer<typeof PageLinks> = {
    self: to(number),
    next: number < last ? to(number + 1) : null,
    // Beyond the end the way back leads to the last page that has something.
    prev: number > 1 ? to(Math.min(number - 1, last)) : null,
  }
  return { data: [...found.items], meta, links }
}

/** `LIMIT` and `OFFSET` of a page. */
export const sliceOf = (query: { page: number; per_page: number }) => ({
  limit: query.per_page,
  offset: (query.page - 1) * query.per_page,
})
