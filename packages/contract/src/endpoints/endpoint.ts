import type { z } from 'zod'
import type { ErrorCode } from '../errors.ts'
import type { Permission } from '../permissions.ts'

/** Who may call: a permission, any authenticated principal, or everyone for the reason given. */
export type Access = Permission | 'authenticated' | { readonly public: string }

/** What a limit on the number of requests goes by. `credentials`: takes a password, a token or a link that proves who one is. */
export const RATE_CLASSES = ['read', 'write', 'credentials'] as const
export type RateClass = (typeof RATE_CLASSES)[number]

/**
 * Where the permission of an endpoint is asked: at the instance, at an organization, at a workspace, or at whichever of them the
 * object belongs to (`place`).
 */
export type AccessScope = 'instance' | 'organization' | 'workspace' | 'place'

const SCOPE_OF_NOUN: Readonly<Record<string, AccessScope>> = {
  organization: 'organization',
  role: 'organization',
  user: 'place',
  api_key: 'place',
  audit: 'place',
  identity_provider: 'instance',
}

/** The scope that a row names, or that of its permission's noun; null where no permission is asked. */
export function scopeOf(row: Endpoint): AccessScope | null {
  if (typeof row.access !== 'string' || row.access === 'authenticated') return null
  return row.scope ?? SCOPE_OF_NOUN[row.access.split(':')[0] ?? ''] ?? 'workspace'
}

/** One row of the endpoint table. Routing, validation, authorization, OpenAPI and the client come from it. */
export interface Endpoint {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** Below the base path, with parameters in braces: `/agents/{id}/tokens`. */
  readonly path: `/${string}`
  readonly summary: string
  readonly tag: string
  readonly access: Access
  /** Where the noun of the permission does not say it. */
  readonly scope?: AccessScope
  readonly params?: z.ZodType
  readonly query?: z.ZodType
  readonly body?: z.ZodType
  /** Absent: no content (204), or another place that the browser is sent to (302). */
  readonly response?: z.ZodType
  readonly status: 200 | 201 | 202 | 204 | 302
  /** What it may answer beside the errors that every endpoint shares (see COMMON_ERRORS). */
  readonly errors: readonly ErrorCode[]
  /** Where it is not what `rateClassOf` makes of the rest. */
  readonly rate?: RateClass
  /** Reads and sets the cookies of the browser: the refresh token, and what a log-in elsewhere is bound to. */
  readonly cookie?: true
  /** Honours `If-Match` and answers with an `ETag`. */
  readonly etag?: true
}

/** A stranger who changes something brings what proves that he may. */
export function rateClassOf({ rate, method, access }: Endpoint): RateClass {
  if (rate) return rate
  if (method === 'GET') return 'read'
  return typeof access === 'string' ? 'write' : 'credentials'
}

export const BASE_PATH = '/api/v1'

/** Every endpoint may answer these. */
export const COMMON_ERRORS = [
  'MALFORMED_REQUEST',
  'VALIDATION_ERROR',
  'METHOD_NOT_ALLOWED',
  'RATE_LIMITED',
  'INTERNAL',
  'UNAVAILABLE',
] as const

/** Keeps the literal types of one row. */
export const endpoint = <const E extends Endpoint>(row: E): E => row

export type ParamsOf<E extends Endpoint> = E extends { params: infer T extends z.ZodType }
  ? z.infer<T>
  : undefined
export type QueryOf<E extends Endpoint> = E extends { query: infer T extends z.ZodType }
  ? z.infer<T>
  : undefined
export type BodyOf<E extends Endpoint> = E extends { body: infer T extends z.ZodType }
  ? z.infer<T>
  : undefined
export type ResponseOf<E extends Endpoint> = E extends { response: infer T extends z.ZodType }
  ? z.infer<T>
  : undefined
/** As a client writes them: defaults may be left out. */
export type ParamsIn<E extends Endpoint> = E extends { params: infer T extends z.ZodType }
  ? z.input<T>
  : undefined
export type QueryIn<E extends Endpoint> = E extends { query: infer T extends z.ZodType }
  ? z.input<T>
  : undefined
export type BodyIn<E extends Endpoint> = E extends { body: infer T extends z.ZodType }
  ? z.input<T>
  : undefined
