import {
  ApiError,
  type Endpoint,
  type Principal,
  type RateClass,
  rateClassOf,
  validationError,
} from '@nxmesh/contract'
import type { Logger } from 'pino'
import { z } from 'zod'
import type { Authenticator, Origin } from '../access/authenticator.ts'
import type { Caller } from '../access/caller.ts'
import { nobody } from '../access/nobody.ts'
import { type Answer, errorAnswer } from './answer.ts'
import type { BodyRoom } from './body-room.ts'
import type { Connection } from './connection.ts'
import { type Browser, browserOf, loginCookie, refreshCookie } from './cookies.ts'
import type { HeldRequests } from './held-requests.ts'
import { type Idempotency, requestHash } from './idempotency.ts'
import { etagOf, parseIfMatch, refuseForeignOrigin } from './preconditions.ts'
import type { RateLimiter } from './rate-limiter.ts'
import { type BodyLimits, NO_BODY, parseBody, readBody } from './read-body.ts'
import { addressKey } from './token-buckets.ts'

export interface Incoming {
  readonly request: Request
  /** Path with query. */
  readonly url: string
  readonly params: Record<string, string>
  readonly connection: Connection
  readonly request_id: string
}

export interface EndpointDeps {
  readonly authenticator: Authenticator
  readonly idempotency: Idempotency
  readonly limiter: RateLimiter
  readonly held: HeldRequests
  readonly log: Logger
  /** Of callers with credentials. */
  readonly bodies: Bodies
  /** Of strangers, so that they take no room from the others. */
  readonly public_bodies: Bodies
}

export interface Bodies {
  readonly room: BodyRoom
  readonly limits: BodyLimits
}

/** A route with the types of its row taken off: the table has checked them against the row. */
type AnyRoute = (request: {
  caller: Caller
  params: unknown
  query: unknown
  body: unknown
  if_match: number | null
  url: string
  browser?: Browser
}) => Promise<RouteResult>

interface RouteResult {
  readonly body: unknown
  readonly etag?: number
  readonly refresh_token?: string | null
  readonly login_binding?: string
  readonly location?: string
}

const NOTHING = z.strictObject({})

/** One row of the endpoint table as a function: who calls, may they, what do they ask, do it, answer. */
export function bindEndpoint(row: Endpoint, route: AnyRoute, deps: EndpointDeps) {
  const parse = parserOf(row)
  const changes = row.method !== 'GET'
  const rate = rateClassOf(row)
  const bodies = typeof row.access === 'string' ? deps.bodies : deps.public_bodies
  // What is created has no version yet that could be the wrong one.
  const conditional = row.etag === true && row.method !== 'POST'
  const idempotent = row.method === 'POST' && typeof row.access === 'string'

  return async (incoming: Incoming): Promise<Answer> => {
    const { request, connection, url } = incoming
    if (changes) refuseForeignOrigin(request.headers)
    const sender = await admit(row, rate, incoming, deps)
    const if_match = changes ? parseIfMatch(request.headers.get('if-match'), conditional) : null
    const bytes = changes
      ? await readBody(request, bodies.limits, (size, read) =>
          bodies.room.run(senderOf(row, sender), size, read),
        )
      : NO_BODY
    const caller = bytes === NO_BODY ? sender : await stillThere(row, sender, incoming, deps)
    const { params, query, body } = parse(incoming, bytes)
    const browser = row.cookie ? { browser: browserOf(request.headers, connection.tls) } : {}
    const asked = { caller, params, query, body, if_match, url, ...browser }
    const result = () => (waits(query) ? deps.held.run(connection, () => route(asked)) : route(asked))
    const work = async () => answerOf(row, await result(), connection.tls)

    const key = idempotent ? request.headers.get('idempotency-key') : null
    if (key === null) return await work()
    const hash = requestHash(row.method, url, bytes)
    // A refusal is an answer as well: it is kept and given again.
    const settled = () => work().catch(error => errorAnswer(error, incoming.request_id, deps.log))
    return await deps.idempotency.once(caller.principal, key, hash, settled)
  }
}

const senderOf = (row: Endpoint, { principal, ip_address }: Caller): string =>
  typeof row.access === 'string' ? `${principal.type}:${principal.id}` : addressKey(ip_address)

async function admit(
  row: Endpoint,
  rate: RateClass,
  incoming: Incoming,
  deps: EndpointDeps,
): Promise<Caller> {
  const { request, connection, request_id } = incoming
  if (typeof row.access !== 'string') {
    deps.limiter.admitAddress(connection.ip_address, rate)
    return anonymous(connection, request_id)
  }
  // A reader's address is looked up only when asked for, which costs more than the rest of this. What changes something may
  // go into the audit log, and must have it even if the peer is gone by then.
  const origin =
    row.method === 'GET' ? new LazyOrigin(connection, request_id) : eagerOrigin(connection, request_id)
  const caller = await deps.authenticator.authenticate(request.headers.get('authorization'), origin)
  if (!caller) {
    deps.limiter.admitAddress(connection.ip_address, rate)
    throw notAuthenticated()
  }
  deps.limiter.admitPrincipal(caller.principal, rate)
  requirePermission(row.access, caller)
  return caller
}

/** The caller once more, as of now: a body may take half a minute, in which what permitted it may have been taken away. */
async function stillThere(
  row: Endpoint,
  sender: Caller,
  { request }: Incoming,
  { authenticator }: EndpointDeps,
): Promise<Caller> {
  if (typeof row.access !== 'string') return sender
  const caller = await authenticator.authenticate(request.headers.get('authorization'), sender)
  if (!caller) throw notAuthenticated()
  requirePermission(row.access, caller)
  return caller
}

const notAuthenticated = () =>
  new ApiError('UNAUTHENTICATED', 'Send a valid API key or access token: Authorization: Bearer …')

function requirePermission(permission: Endpoint['access'], caller: Caller): void {
  if (typeof permission !== 'string' || permission === 'authenticated') return
  if (!caller.permissions.has(permission))
    throw new ApiError('FORBIDDEN', `This needs the permission ${permission}`)
}

class LazyOrigin implements Origin {
  readonly request_id: string
  readonly #connection: Connection
  constructor(connection: Connection, request_id: string) {
    this.#connection = connection
    this.request_id = request_id
  }
  get ip_address(): string | null {
    return this.#connection.ip_address
  }
}

const eagerOrigin = ({ ip_address }: Connection, request_id: string): Origin => ({ ip_address, request_id })

const NOBODY: Principal = { type: 'system', id: null }

/** The caller of a public endpoint: what the request carries in its body decides, not who sends it. */
function anonymous(connection: Connection, request_id: string): Caller {
  const { ip_address } = connection
  return nobody({ principal: NOBODY, name: 'anonymous', door: 'rest', ip_address, request_id })
}

function parserOf({ params, query, body }: Endpoint) {
  return (incoming: Incoming, bytes: Uint8Array) => ({
    params: params && check(params, incoming.params, 'The path is not valid'),
    query: optional(query, queryOf(incoming.url), 'The query parameters are not valid'),
    body: optional(body, bytes.byteLength > 0 || body ? parseBody(bytes) : null),
  })
}

/** Where a row takes none, nothing may be sent either: what is not read must not look as if it were. */
function optional(schema: z.ZodType | undefined, value: unknown, message?: string): unknown {
  if (schema) return check(schema, value ?? {}, message)
  if (value !== null) check(NOTHING, value, message)
  return undefined
}

function check(schema: z.ZodType, value: unknown, message?: string): unknown {
  const parsed = schema.safeParse(value)
  if (!parsed.success) throw validationError(parsed.error, message)
  return parsed.data
}

/** The query's parameters; one that is there twice is refused, because two readers would take different ones. */
function queryOf(url: string): Record<string, string> | null {
  const start = url.indexOf('?')
  if (start < 0) return null
  const query: Record<string, string> = Object.create(null)
  for (const [key, value] of new URLSearchParams(url.slice(start + 1))) {
    if (key in query)
      throw new ApiError('VALIDATION_ERROR', 'The query parameters are not valid', {
        details: [{ field: key.slice(0, 100), message: 'must not be there twice' }],
      })
    query[key] = value
  }
  return { ...query }
}

const waits = (query: unknown): boolean => (query as { wait?: string } | null)?.wait !== undefined

function answerOf(row: Endpoint, result: RouteResult, tls: boolean): Answer {
  const { body, etag, refresh_token, login_binding, location } = result
  return {
    status: row.status,
    body: row.response ? JSON.stringify(body) : null,
    headers: {
      ...(etag === undefined ? {} : { etag: etagOf(etag) }),
      ...(refresh_token === undefined ? {} : { 'set-cookie': refreshCookie(refresh_token, tls) }),
      ...(login_binding === undefined ? {} : { 'set-cookie': loginCookie(login_binding, tls) }),
      ...(location === undefined ? {} : { location }),
    },
  }
}
