import { ApiError, ERRORS, type ErrorBody, type ErrorCode } from '@nxmesh/contract'
import type { Logger } from 'pino'
import { securityHeaders } from './security-headers.ts'

/** What a request is answered with, before it becomes a Response: it can be kept for an idempotency key. */
export interface Answer {
  readonly status: number
  /** JSON text; null for no content. */
  readonly body: string | null
  readonly headers: Readonly<Record<string, string>>
}

export function toResponse({ status, body, headers }: Answer, request_id: string, tls: boolean): Response {
  const response = new Response(body, { status, headers: securityHeaders(tls) })
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
      // What is left of the body shall not come any more.
      ...(error.code === 'REQUEST_TIMEOUT' ? { connection: 'close' } : {}),
      // RFC 9110 section 11.6.1: a 401 says which scheme it wants.
      ...(error.status === 401 ? { 'www-authenticate': 'Bearer' } : {}),
    },
  }
}
