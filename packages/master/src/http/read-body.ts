import { ApiError } from '@nxmesh/contract'
import { parseStrictJson } from './strict-json.ts'

const NOTHING = new Uint8Array(0)

/** Runs `read` when there is room for `bytes`, or throws. */
export type RoomFor = <T>(bytes: number, read: () => Promise<T>) => Promise<T>

/**
 * Reads a request's body into memory, at most `max_bytes` (PAYLOAD_TOO_LARGE): refused by its declared length before a
 * byte is read, or while it arrives. A body that is not declared as plain `application/json` is UNSUPPORTED_MEDIA_TYPE.
 */
export async function readBody(request: Request, max_bytes: number, room: RoomFor): Promise<Uint8Array> {
  const { body } = request
  if (body === null) return NOTHING
  const declared = declaredLength(request.headers)
  if (declared !== null && declared > max_bytes) throw tooLarge(max_bytes)
  const bytes =
    declared === null
      ? await room(max_bytes, () => collect(body, max_bytes))
      : await room(declared, () => readWhole(request))
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

async function readWhole(request: Request): Promise<Uint8Array> {
  try {
    return new Uint8Array(await request.arrayBuffer())
  } catch (cause) {
    throw new ApiError('MALFORMED_REQUEST', 'The body ended early', { cause })
  }
}

async function collect(body: ReadableStream<Uint8Array>, max_bytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.byteLength
    if (size > max_bytes) throw tooLarge(max_bytes)
    chunks.push(chunk)
  }
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
