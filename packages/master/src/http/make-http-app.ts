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
import { type Context, Hono } from 'hono'
import type { Logger } from 'pino'
import type { Authenticator } from '../access/authenticator.ts'
import type { Database } from '../database/database.ts'
import type { Secrets } from '../secrets/secrets.ts'
import { type Answer, errorAnswer, toResponse } from './answer.ts'
import { bindEndpoint, type Incoming } from './bind-endpoint.ts'
import type { Connection } from './connection.ts'
import { makeIdempotency } from './idempotency.ts'
import { methodsOf } from './methods.ts'
import { makeRateLimiter, type RateRules } from './rate-limiter.ts'
import { pathWithQuery, routePath } from './request-path.ts'
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
}

export interface HttpApp {
  /** Answers one request; never throws. */
  fetch(request: Request, connection: Connection): Promise<Response>
}

type Env = { Bindings: Connection }
type Work = (incoming: Incoming) => Promise<Answer>

/** The REST API: the endpoint table bound to the routes of the areas, and the health endpoints. */
export function makeHttpApp(deps: HttpDeps): HttpApp {
  const app = new Hono<Env>({ getPath: routePath })
  const idempotency = makeIdempotency(deps)
  const limiter = makeRateLimiter(deps.now, deps.rates)
  const answered = (work: Work) => (c: Context<Env>) => answer(deps, c, work)

  for (const [id, row] of Object.entries(ENDPOINTS)) {
    const work = bindEndpoint(row, deps.routes[id as keyof Routes] as never, {
      ...deps,
      idempotency,
      limiter,
    })
    app.on(row.method, honoPath(BASE_PATH + row.path), answered(work))
  }
  app.get(OPENAPI_PATH, answered(documentWork(deps.version)))
  app.get(
    HEALTH_PATH,
    answered(async () => json(200, { status: 'ok' })),
  )
  app.get(READY_PATH, answered(readyWork(deps.ready)))
  app.notFound(answered(refuseUnknown(deps.log)))
  return {
    fetch: (request, connection) => Promise.resolve(app.fetch(request, connection)),
  }
}

async function answer(deps: HttpDeps, c: Context<Env>, work: Work): Promise<Response> {
  const request_id = deps.newId()
  const request = c.req.raw
  try {
    if (request.url.length > LIMITS.url_bytes)
      throw new ApiError('MALFORMED_REQUEST', `The URL is longer than ${LIMITS.url_bytes} bytes`)
    const incoming = {
      request,
      url: pathWithQuery(request.url),
      params: c.req.param(),
      connection: c.env,
      request_id,
    }
    return toResponse(await work(incoming), request_id, c.env.tls)
  } catch (error) {
    return toResponse(errorAnswer(error, request_id, deps.log), request_id, c.env.tls)
  }
}

const honoPath = (path: string) => path.replace(/\{(\w+)\}/g, ':$1')

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

function refuseUnknown(log: Logger): Work {
  return async ({ request, url, request_id }) => {
    const [path = ''] = url.split('?', 1)
    const methods = methodsOf(path)
    if (methods.length === 0) throw new ApiError('NOT_FOUND', 'There is no such path')
    const allow = methods.join(', ')
    const message = `This path takes ${allow}, not ${request.method.slice(0, 20)}`
    const refusal = errorAnswer(new ApiError('METHOD_NOT_ALLOWED', message), request_id, log)
    // RFC 9110 section 15.5.6: a 405 names the methods.
    return { ...refusal, headers: { ...refusal.headers, allow } }
  }
}
