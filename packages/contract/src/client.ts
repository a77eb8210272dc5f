import {
  BASE_PATH,
  type BodyIn,
  type Endpoint,
  type ParamsIn,
  type QueryIn,
  type ResponseOf,
} from './endpoints/endpoint.ts'
import { ENDPOINTS, type OperationId } from './endpoints/table.ts'
import { ApiError, ERRORS, type ErrorCode, type ErrorDetail } from './errors.ts'
import { LIMITS } from './limits.ts'

type Row<Id extends OperationId> = (typeof ENDPOINTS)[Id]
type Part<Name extends string, T> = [T] extends [undefined] ? { [K in Name]?: undefined } : { [K in Name]: T }
type Maybe<Name extends string, T> = [T] extends [undefined]
  ? { [K in Name]?: undefined }
  : { [K in Name]?: T }

/** What a call may carry beside what its endpoint asks for. */
export interface CallOptions {
  /** The version number that a change is based on. */
  readonly if_match?: number
  readonly idempotency_key?: string
  readonly signal?: AbortSignal
}

export type CallInput<Id extends OperationId> = Part<'params', ParamsIn<Row<Id>>> &
  Maybe<'query', QueryIn<Row<Id>>> &
  Part<'body', BodyIn<Row<Id>>> &
  CallOptions
type Arguments<Id extends OperationId> =
  Record<string, never> extends CallInput<Id> ? [input?: CallInput<Id>] : [input: CallInput<Id>]

export interface Client {
  /**
   * Calls an endpoint by its operation id and gives the body of its answer (undefined for 204). Throws ApiError as the master
   * answered it; UNAVAILABLE when there was no answer.
   */
  call<Id extends OperationId>(id: Id, ...input: Arguments<Id>): Promise<ResponseOf<Row<Id>>>
}

export interface ClientOptions {
  /** Such as `https://127.0.0.1:8443`. */
  readonly base_url: string
  /** API key or access token; absent for endpoints that need none. */
  readonly token?: string
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>
  /** The master's CA in PEM; under Bun only, a browser has its own. */
  readonly ca?: string
  readonly timeout_ms?: number
}

type AnyInput = CallOptions & { params?: object | undefined; query?: object | undefined; body?: unknown }

/** A client over fetch, for console, CLI and tests. */
export function makeClient(options: ClientOptions): Client {
  const send = options.fetch ?? ((url: string, init: RequestInit) => fetch(url, init))
  const call = async (id: OperationId, input: AnyInput = {}): Promise<unknown> => {
    const row: Endpoint = ENDPOINTS[id]
    const response = await attempt(send, urlOf(options.base_url, row, input), initOf(options, row, input))
    return await bodyOf(response)
  }
  return { call: call as Client['call'] }
}

function urlOf(base_url: string, row: Endpoint, { params = {}, query = {} }: AnyInput): string {
  const given = new Map(Object.entries(params))
  const path = row.path.replace(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(String(given.get(name))),
  )
  const search = new URLSearchParams()
  for (const [key, value] of Object.entries(query)) if (value !== undefined) search.set(key, String(value))
  const tail = search.size > 0 ? `?${search}` : ''
  return base_url.replace(/\/+$/, '') + BASE_PATH + path + tail
}

function initOf(options: ClientOptions, row: Endpoint, input: AnyInput): RequestInit {
  const headers: Record<string, string> = { accept: 'application/json' }
  if (options.token !== undefined) headers.authorization = `Bearer ${options.token}`
  if (input.body !== undefined) headers['content-type'] = 'application/json'
  if (input.if_match !== undefined) headers['if-match'] = `"v${input.if_match}"`
  if (input.idempotency_key !== undefined) headers['idempotency-key'] = input.idempotency_key
  // Longer than the master holds an answer.
  const timeout = AbortSignal.timeout(options.timeout_ms ?? (LIMITS.wait_max_s + 30) * 1_000)
  const init: RequestInit = {
    method: row.method,
    headers,
    redirect: 'error',
    signal: input.signal ? AbortSignal.any([input.signal, timeout]) : timeout,
  }
  if (input.body !== undefined) init.body = JSON.stringify(input.body)
  return options.ca === undefined ? init : Object.assign(init, { tls: { ca: options.ca } })
}

async function attempt(
  send: (url: string, init: RequestInit) => Promise<Response>,
  url: string,
  init: RequestInit,
): Promise<Response> {
  try {
    return await send(url, init)
  } catch (cause) {
    throw new ApiError('UNAVAILABLE', `The master at ${new URL(url).origin} cannot be reached`, { cause })
  }
}

async function bodyOf(response: Response): Promise<unknown> {
  if (response.status === 204) return undefined
  const text = await response.text()
  const body = parsed(text)
  if (response.ok && body !== undefined) return body
  throw errorOf(response, body)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The error as the master made it; one from something in between (a proxy) has no code of ours. */
function errorOf(response: Response, body: unknown): ApiError {
  const error = (body as { error?: { code?: unknown; message?: unknown; details?: unknown } } | undefined)
    ?.error
  const retry_after_s = Number(response.headers.get('retry-after') ?? Number.NaN)
  const retry = Number.isFinite(retry_after_s) ? { retry_after_s } : {}
  if (typeof error?.code !== 'string' || !Object.hasOwn(ERRORS, error.code))
    return new ApiError('UNAVAILABLE', `HTTP ${response.status} without an answer of NxMesh`, retry)
  const details = Array.isArray(error.details) ? (error.details as ErrorDetail[]) : []
  return new ApiError(error.code as ErrorCode, String(error.message), { details, ...retry })
}
