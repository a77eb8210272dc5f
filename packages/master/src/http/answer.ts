import { ApiError, ERRORS, type ErrorBody, type ErrorCode } from '@nxmesh/contract'
import type { Logger } from 'pino'

/** What a request is answered with, before it becomes a Response: it can be kept for an idempotency key. */
export interface Answer {
  readonly status: number
  /** JSON text; null for no content. */
  readonly body: string | null
  readonly headers: Readonly<Record<string, string>>
}

/** Every answer is JSON for programs: nothing may be cached, framed, sniffed or run. */
const JSON_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'content-type': 'application/json; charset=utf-8',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const
// Made once: a Response copies them faster than it reads a plain object.
const PLAIN = new Headers(JSON_HEADERS)
// RFC 6797 section 7.2: only over TLS.
const TLS = new Headers({ ...JSON_HEADERS, 'strict-transport-security': 'max-age=31536000' })

export function toResponse({ status, body, headers }: Answer, request_id: string, tls: boolean): Response {
  const response = new Response(body, { status, headers: tls ? TLS : PLAIN })
  response.headers.set('x-request-id', request_id)
  for (const [name, value] of Object.entries(headers)) response.headers.set(name, value)
  if (body === null) response.headers.delete('content-type')
  return response
}

/**
 * The one place that turns an error into status, body and log. Only an ApiError's own words reach the caller; causes and
 * everything unexpected go to the log under the request id.
 */
export function errorAnswer(error: unknown, request_id: string, log: Logger): Answer {
  if (!(error instanceof ApiError)) {
    log.error({ request_id, err: error }, 'A request failed unexpectedly')
    return answerOf(new ApiError('INTERNAL', ERRORS.INTERNAL.title), request_id)
  }
  // Being busy is no fault: a flood must not fill the log as well.
  if (error.code === 'UNAVAILABLE' && error.cause === undefined) log.debug({ request_id }, error.message)
  else if (error.status >= 500) log.error({ request_id, err: error }, error.message)
  else if (error.cause !== undefined) log.info({ request_id, err: error }, error.message)
  return answerOf(error, request_id)
}

const RETRY_DEFAULT_S: Partial<Record<ErrorCode, number>> = { RATE_LIMITED: 1, UNAVAILABLE: 5 }

function answerOf(error: ApiError, request_id: string): Answer {
  const body: ErrorBody = {
    error: { code: error.code, message: error.message, details: [...error.details], request_id },
  }
  const retry_after_s = error.retry_after_s ?? RETRY_DEFAULT_S[error.code]
  return {
    status: error.status,
    body: JSON.stringify(body),
    headers: {
      ...(retry_after_s === undefined ? {} : { 'retry-after': String(retry_after_s) }),
      // RFC 9110 section 11.6.1: a 401 says which scheme it wants.
      ...(error.status === 401 ? { 'www-authenticate': 'Bearer' } : {}),
    },
  }
}
