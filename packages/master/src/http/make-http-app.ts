import {
  ApiError,
  BASE_PATH,
  ENDPOINTS,
  HEALTH_PATH,
  LIMITS,
  OPENAPI_PATH,
  openApiDocument,
  READY_PATH,
} from '@nxmesh/contract'
import type { Logger } from 'pino'
import type { Authenticator } from '../access/authenticator.ts'
import type { Database } from '../database/database.ts'
import { MASTER_LIMITS } from '../limits.ts'
import type { Secrets } from '../secrets/secrets.ts'
import { type Answer, errorAnswer, toResponse } from './answer.ts'
import { bindEndpoint, type Incoming } from './bind-endpoint.ts'
import { BodyRoom } from './body-room.ts'
import type { Connection } from './connection.ts'
import { HeldRequests } from './held-requests.ts'
import { makeIdempotency } from './idempotency.ts'
import { makeRateLimiter, type RateRules } from './rate-limiter.ts'
import { pathOnly, pathWithQuery } from './request-path.ts'
import { RouteTable } from './route-table.ts'
import type { Routes } from './routing.ts'

export interface HttpDeps {
  readonly routes: Routes
  readonly authenticator: Authenticator
  readonly database: Database
  readonly secrets: Secrets
  readonly log: Logger
  readonly now: () => Date
  readonly newId: () => string
  /** Whether the master can do its work; asked by `/readyz`. */
  readonly ready: () => Promise<boolean>
  /** The version of the product, for the OpenAPI document. */
  readonly version: string
  /** Other rates than those of the limits table. */
  readonly rates?: Partial<RateRules>
  /** Shorter times for a body, for tests. */
  readonly body_ms?: { readonly known: number; readonly stranger: number }
}

export interface HttpApp {
  /** Answers one request; never throws. */
  fetch(request: Request, connection: Connection): Promise<Response>
}

type Work = (incoming: Incoming) => Promise<Answer>

/** The REST API: the endpoint table bound to the routes of the areas, and the health endpoints. */
export function makeHttpApp(deps: HttpDeps): HttpApp {
  const table = tableOf(deps)
  return {
    async fetch(request, connection) {
      const request_id = deps.newId()
      const answer = await answerTo(table, { request, connection, request_id }, deps.log)
      const response = toResponse(answer, request_id, connection.tls)
      // RFC 9110 section 9.3.2: the head of the answer that GET gets.
      return request.method === 'HEAD' ? new Response(null, response) : response
    },
  }
}

function tableOf(deps: HttpDeps): RouteTable<Work> {
  const table = new RouteTable<Work>()
  const bound = {
    ...deps,
    idempotency: makeIdempotency(deps),
    limiter: makeRateLimiter(deps.now, deps.rates),
    held: new HeldRequests(MASTER_LIMITS.held_requests),
    bodies: {
      room: new BodyRoom({
        max_bytes: MASTER_LIMITS.bodies_bytes,
        sender_max_bytes: MASTER_LIMITS.bodies_sender_bytes,
      }),
      limits: { max_bytes: LIMITS.body_bytes, max_ms: deps.body_ms?.known ?? MASTER_LIMITS.body_read_ms },
    },
    public_bodies: {
      room: new BodyRoom({
        max_bytes: MASTER_LIMITS.public_bodies_bytes,
        sender_max_bytes: MASTER_LIMITS.public_bodies_sender_bytes,
      }),
      limits: {
        max_bytes: LIMITS.public_body_bytes,
        max_ms: deps.body_ms?.stranger ?? MASTER_LIMITS.public_body_read_ms,
      },
    },
  }
  for (const [id, row] of Object.entries(ENDPOINTS))
    table.add(
      row.method,
      BASE_PATH + row.path,
      bindEndpoint(row, deps.routes[id as keyof Routes] as never, bound),
    )
  table.add('GET', OPENAPI_PATH, documentWork(deps.version))
  table.add('GET', HEALTH_PATH, async () => json(200, { status: 'ok' }))
  table.add('GET', READY_PATH, readyWork(deps.ready))
  return table
}

type Asked = Pick<Incoming, 'request' | 'connection' | 'request_id'>

/** Never throws: what goes wrong is an answer as well. */
async function answerTo(table: RouteTable<Work>, asked: Asked, log: Logger): Promise<Answer> {
  const { method, url: sent } = asked.request
  try {
    if (sent.length > LIMITS.url_bytes)
      throw new ApiError('MALFORMED_REQUEST', `The URL is longer than ${LIMITS.url_bytes} bytes`)
    const url = pathWithQuery(sent)
    const found = table.find(pathOnly(url))
    if (!found) throw new ApiError('NOT_FOUND', 'There is no such path')
    const work = found.by_method.get(method === 'HEAD' ? 'GET' : method)
    if (!work) return refuseMethod(method, found.by_method.keys(), asked.request_id, log)
    return await work({ ...asked, url, params: found.params })
  } catch (error) {
    return errorAnswer(error, asked.request_id, log)
  }
}

const json = (status: number, value: unknown): Answer => ({
  status,
  body: JSON.stringify(value),
  headers: {},
})

/** Built at the first request: a start need not spend the time. */
function documentWork(version: string): Work {
  let kept: Answer | undefined
  return async () => {
    kept ??= json(200, openApiDocument(version))
    return kept
  }
}

function readyWork(ready: () => Promise<boolean>): Work {
  return async () => {
    if (!(await ready())) throw new ApiError('UNAVAILABLE', 'The master is not ready')
    return json(200, { status: 'ready' })
  }
}

function refuseMethod(method: string, taken: Iterable<string>, request_id: string, log: Logger): Answer {
  const methods = new Set(taken)
  if (methods.has('GET')) methods.add('HEAD')
  const allow = [...methods].sort().join(', ')
  const message = `This path takes ${allow}, not ${method.slice(0, 20)}`
  const refusal = errorAnswer(new ApiError('METHOD_NOT_ALLOWED', message), request_id, log)
  // RFC 9110 section 15.5.6: a 405 names the methods.
  return { ...refusal, headers: { ...refusal.headers, allow } }
}
