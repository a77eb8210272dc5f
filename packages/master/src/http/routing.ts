import type {
  BodyOf,
  ENDPOINTS,
  Endpoint,
  OperationId,
  ParamsOf,
  QueryOf,
  ResponseOf,
} from '@nxmesh/contract'
import type { Caller } from '../access/caller.ts'
import type { Browser } from './cookies.ts'

/** What a route gets: everything parsed and the caller authorized for the endpoint's permission (not yet for the object). */
export interface RouteRequest<E extends Endpoint> {
  readonly caller: Caller
  readonly params: ParamsOf<E>
  readonly query: QueryOf<E>
  readonly body: BodyOf<E>
  /** The version number of `If-Match: "v3"`; null without one (or with `*`). */
  readonly if_match: number | null
  /** Path with query, for links. */
  readonly url: string
  /** For endpoints of which the table says `cookie`. */
  readonly browser: E extends { cookie: true } ? Browser : undefined
}

export interface RouteAnswer<E extends Endpoint> {
  readonly body: ResponseOf<E>
  /** Version number for the `ETag: "v3"`. */
  readonly etag?: number
  /** For the cookie, null to take it away; absent: it stays as it is. At most one of the two cookies is set by an answer. */
  readonly refresh_token?: string | null
  /** For the cookie that a log-in at an identity provider is bound to. */
  readonly login_binding?: string
  /** Where the browser goes on, for endpoints of status 302. */
  readonly location?: string
}

export type Route<E extends Endpoint> = (request: RouteRequest<E>) => Promise<RouteAnswer<E>>

/** An area exports its routes as a part of this table; the composition root must have all of them. */
export type Routes = { [Id in OperationId]: Route<(typeof ENDPOINTS)[Id]> }
export type RoutesOf<Id extends OperationId> = Pick<Routes, Id>
