import { ApiError } from '@nxmesh/contract'
import { parseStrictJson } from './strict-json.ts'

/** Of a request that has no body, which is not one that ended before its first byte. */
export const NO_BODY = new Uint8Array(0)

/** Runs `read` when there is room for `bytes`, or throws. */
export type RoomFor = <T>(bytes: number, read: () => Promise<T>) => Promise<T>

export interface BodyLimits {
  readonly max_bytes: number
  /** From now to its last byte, however steadily it trickles. */
  readonly max_ms: number
}

/**
 * Reads a request's body into memory, at most `max_bytes` (PAYLOAD_TOO_LARGE): refused by its declared length before a
 * byte is read, or while it arrives. REQUEST_TIMEOUT after `max_ms`. A body that is not declared as plain `application/json` is UNSUPPORTED_MEDIA_TYPE.
 */
export async function readBody(
  request: Request,
  { max_bytes, max_ms }: BodyLimits,
  room: RoomFor,
): Promise<Uint8Array> {
  const { body } = request
  if (body === null) return NO_BODY
  const declared = declaredLength(request.headers)
  if (declared !== null && declared > max_bytes) throw tooLarge(max_bytes)
  const bytes =
    declared === null
      ? await room(max_bytes, () => collect(body, { max_bytes, max_ms }))
      : await room(declared, () => readWhole(request, max_ms))
  if (bytes.byteLength > max_bytes) throw tooLarge(max_bytes)
  if (bytes.byteLength > 0) requireJson(request.headers)
  return bytes
}

/** The JSON value of a body in strict UTF-8; `{}` for an empty one, so that a schema says which fields are missing. */
export function parseBody(bytes: Uint8Array): unknown {
  if (bytes.byteLength === 0) return {}
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw new ApiError('MALFORMED_REQUEST', 'The body is not valid UTF-8', { cause })
  }
  return parseStrictJson(text)
}

/** Null where it is not a length: the body may then be of any. */
function declaredLength(headers: Headers): number | null {
  const text = headers.get('content-length')
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null
}

async function readWhole(request: Request, max_ms: number): Promise<Uint8Array> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(tooSlow(max_ms)), max_ms)
  try {
    // It cannot be stopped: it ends with the connection, which the answer closes.
    return new Uint8Array(await Promise.race([request.arrayBuffer(), late.promise]))
  } catch (cause) {
    throw cause instanceof ApiError ? cause : endedEarly(cause)
  } finally {
    clearTimeout(timer)
  }
}

async function collect(
  body: ReadableStream<Uint8Array>,
  { max_bytes, max_ms }: BodyLimits,
): Promise<Uint8Array> {
  const reader = body.getReader()
  let late = false
  const stop = () => void reader.cancel().catch(() => undefined)
  const timer = setTimeout(() => {
    late = true
    stop()
  }, max_ms)
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      size += value.byteLength
      if (size > max_bytes) throw tooLarge(max_bytes)
      chunks.push(value)
    }
  } catch (cause) {
    stop()
    throw cause instanceof ApiError ? cause : endedEarly(cause)
  } finally {
    clearTimeout(timer)
  }
  if (late) throw tooSlow(max_ms)
  return Buffer.concat(chunks, size)
}

/** A browser sends text/plain across origins without asking first; JSON it must ask for. */
function requireJson(headers: Headers): void {
  const [type, ...parameters] = (headers.get('content-type') ?? '')
    .split(';')
    .map(one => one.trim().toLowerCase())
  const plain = parameters.every(one => one === '' || one === 'charset=utf-8' || one === 'charset="utf-8"')
  if (type !== 'application/json' || !plain)
    throw new ApiError('UNSUPPORTED_MEDIA_TYPE', 'The body must be sent as Content-Type: application/json')
  if ((headers.get('content-encoding') ?? 'identity').toLowerCase() !== 'identity')
    throw new ApiError('UNSUPPORTED_MEDIA_TYPE', 'A compressed body is not accepted')
}

const tooLarge = (max_bytes: number) =>
  new ApiError('PAYLOAD_TOO_LARGE', `The body is larger than ${max_bytes} bytes`)

const tooSlow = (max_ms: number) =>
  new ApiError('REQUEST_TIMEOUT', `The body did not come within ${max_ms / 1_000} s`)

const endedEarly = (cause: unknown) => new ApiError('MALFORMED_REQUEST', 'The body ended early', { cause })
