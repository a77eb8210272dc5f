/**
 * The error table: every code that the API can answer, with its status and what to do about it.
 * A code that is not here cannot be answered; docs/reference/errors.md lists the same codes.
 */
export const ERRORS = {
  MALFORMED_REQUEST: {
    status: 400,
    title: 'The request could not be read',
    advice: 'Send valid JSON without duplicate keys, in UTF-8.',
  },
  UNAUTHENTICATED: {
    status: 401,
    title: 'No valid credentials',
    advice: 'Send `Authorization: Bearer <API key or access token>`; refresh an access token that ended.',
  },
  INVALID_CREDENTIALS: {
    status: 401,
    title: 'E-mail or password is wrong',
    advice: 'Check both; an administrator can reset a password.',
  },
  BOOTSTRAP_TOKEN_INVALID: {
    status: 401,
    title: 'The bootstrap token is not valid',
    advice:
      'Make a new one: tokens end after their time or after their last use. The audit log has the reason of each refusal.',
  },
  AGENT_SIGNATURE_INVALID: {
    status: 401,
    title: 'The agent could not be authenticated',
    advice:
      'Check the agent’s clock and identity; register it anew with `nxmesh-agent rejoin` if its keys were revoked.',
  },
  SETUP_TOKEN_INVALID: {
    status: 403,
    title: 'The setup token is not valid',
    advice: 'Use the token that the master printed at its latest start; each start makes a new one.',
  },
  LINK_INVALID: {
    status: 403,
    title: 'The link is not valid',
    advice: 'Ask for a new one: a link works once, and ends after its time.',
  },
  FORBIDDEN: {
    status: 403,
    title: 'Permission is missing',
    advice: 'Ask an owner for the permission that the message names.',
  },
  NOT_FOUND: {
    status: 404,
    title: 'There is no such thing, or you may not see it',
    advice: 'Check the path and the id.',
  },
  METHOD_NOT_ALLOWED: {
    status: 405,
    title: 'This path does not take this method',
    advice: 'See /api/v1/openapi.json.',
  },
  SETUP_CLOSED: {
    status: 409,
    title: 'The first administrator exists already',
    advice: 'Log in; set-up never re-opens.',
  },
  REQUEST_TIMEOUT: {
    status: 408,
    title: 'The request body did not come in time',
    advice: 'Send it whole and at once; the message names the time.',
  },
  CONFLICT: {
    status: 409,
    title: 'The change contradicts what is there',
    advice: 'Read the message: it names the other side.',
  },
  CONFIRMATION_REQUIRED: {
    status: 409,
    title: 'This deletes more than itself',
    advice: 'Read what `details` lists; then repeat the request with `confirm=<slug>`.',
  },
  IN_USE: {
    status: 409,
    title: 'The resource is in use',
    advice: 'Remove the references that `details` lists first.',
  },
  IDEMPOTENCY_CONFLICT: {
    status: 409,
    title: 'The idempotency key was used for another request',
    advice: 'Use a new key for a new request.',
  },
  PRECONDITION_FAILED: {
    status: 412,
    title: 'The resource was changed by someone else',
    advice: 'Read it again, then repeat the change with the new ETag.',
  },
  PAYLOAD_TOO_LARGE: {
    status: 413,
    title: 'The request body is too large',
    advice: 'Send less; the message names the limit.',
  },
  UNSUPPORTED_MEDIA_TYPE: {
    status: 415,
    title: 'The body is not JSON',
    advice: 'Send `Content-Type: application/json`.',
  },
  VALIDATION_ERROR: {
    status: 422,
    title: 'Invalid configuration',
    advice: 'Mend the fields that `details` names.',
  },
  NOT_BUILT_YET: {
    status: 422,
    title: 'This is not built yet',
    advice: 'Leave the field out; `details` names it.',
  },
  LIMIT_REACHED: {
    status: 422,
    title: 'A limit is reached',
    advice: 'Delete what is no longer needed; the message names the limit.',
  },
  RATE_LIMITED: {
    status: 429,
    title: 'Too many requests',
    advice: 'Wait for the seconds that `Retry-After` names.',
  },
  INTERNAL: {
    status: 500,
    title: 'The master failed',
    advice: 'Nothing was changed. The master’s log has the cause under the request id.',
  },
  UNAVAILABLE: {
    status: 503,
    title: 'The master cannot answer now',
    advice: 'Try again after the seconds that `Retry-After` names.',
  },
} as const satisfies Record<string, { status: number; title: string; advice: string }>

export type ErrorCode = keyof typeof ERRORS

/** One reason of an error: the field (dotted path, e.g. `locations.0.path`) and what is wrong with it. */
export interface ErrorDetail {
  field: string
  message: string
}

/** An error that is meant for the caller. `message` is public; `cause` goes to the log only. */
export class ApiError extends Error {
  readonly code: ErrorCode
  readonly details: readonly ErrorDetail[]
  readonly retry_after_s: number | null

  constructor(
    code: ErrorCode,
    message: string,
    options: { details?: readonly ErrorDetail[]; cause?: unknown; retry_after_s?: number } = {},
  ) {
    super(message, { cause: options.cause })
    this.name = 'ApiError'
    this.code = code
    this.details = options.details ?? []
    this.retry_after_s = options.retry_after_s ?? null
  }

  get status(): number {
    return ERRORS[this.code].status
  }
}
