import { type IncomingMessage, request as requestPlain } from 'node:http'
import { request as requestTls } from 'node:https'
import { isIP } from 'node:net'
import { plainAddress } from './address-rules.ts'
import { OutgoingError } from './outgoing.ts'
import type { Hop } from './request-rules.ts'

export interface ExchangeRules {
  /** PEM; null: the authorities that the runtime trusts. */
  readonly ca: string | null
  readonly connect_ms: number
  readonly max_bytes: number
  readonly header_bytes: number
}

export interface Exchanged {
  readonly status: number
  readonly headers: Headers
  readonly body: Uint8Array<ArrayBuffer>
}

/** No connection came about, so nothing was sent: another address of the host may be tried. */
export class UnconnectedError extends OutgoingError {}

/**
 * One request over one new connection to exactly `address`: no name is looked up here, no proxy of the environment is used.
 * TLS is for the URL's host name, whatever the address. Throws `OutgoingError`; ends with `signal`, whose reason it throws.
 */
export function exchange(
  hop: Hop,
  address: string,
  rules: ExchangeRules,
  signal: AbortSignal,
): Promise<Exchanged> {
  const { promise, resolve, reject } = Promise.withResolvers<Exchanged>()
  const secure = hop.url.protocol === 'https:'
  const asking = (secure ? requestTls : requestPlain)({
    ...(secure ? tlsOptions(hop.url, rules) : {}),
    host: address,
    port: hop.url.port === '' ? (secure ? 443 : 80) : Number(hop.url.port),
    method: hop.method,
    path: hop.url.pathname + hop.url.search,
    headers: headersOf(hop),
    maxHeaderSize: rules.header_bytes,
    // A connection of its own: one that was made for another name is never used again.
    agent: false,
  })
  let connected = false
  const end = (error: unknown) => {
    reject(error)
    asking.destroy()
  }
  const onAbort = () => end(signal.reason)
  const connecting = setTimeout(() => {
    const message = `${hop.url.origin} cannot be reached: no connection within ${rules.connect_ms} ms`
    end(connected ? new OutgoingError('timeout', message) : new UnconnectedError('timeout', message))
  }, rules.connect_ms)
  asking.once('socket', socket => {
    socket.once('connect', () => {
      connected = true
      if (plainAddress(socket.remoteAddress ?? '') !== address)
        end(new OutgoingError('refused', `${hop.url.origin} is refused: the connection went elsewhere`))
    })
    socket.once(secure ? 'secureConnect' : 'connect', () => clearTimeout(connecting))
  })
  asking.on('error', error => {
    const why = failure(hop, error)
    end(connected ? why : new UnconnectedError(why.reason, why.message))
  })
  asking.once('response', answer => collect(hop, answer, rules).then(resolve, end))
  signal.addEventListener('abort', onAbort)
  if (signal.aborted) onAbort()
  else asking.end(hop.body ?? undefined)
  return promise.finally(() => {
    clearTimeout(connecting)
    signal.removeEventListener('abort', onAbort)
  })
}

/** Said in full, so that no variable of the environment turns the check off. */
function tlsOptions(url: URL, rules: ExchangeRules) {
  const name = url.hostname.replace(/^\[|\]$|\.$/g, '')
  return {
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    // RFC 6066 section 3: an address is no server name; the certificate is then held against the address.
    ...(isIP(name) === 0 ? { servername: name } : {}),
    ...(rules.ca === null ? {} : { ca: rules.ca }),
  } as const
}

function headersOf(hop: Hop): Record<string, string> {
  return {
    ...Object.fromEntries(hop.headers),
    host: hop.url.host,
    'accept-encoding': 'identity',
    ...(hop.body ? { 'content-length': String(hop.body.byteLength) } : {}),
  }
}

async function collect(hop: Hop, answer: IncomingMessage, rules: ExchangeRules): Promise<Exchanged> {
  const { origin } = hop.url
  const too_large = () =>
    new OutgoingError('too_large', `${origin} answers with more than ${rules.max_bytes} bytes`)
  if (Number(answer.headers['content-length'] ?? 0) > rules.max_bytes && hop.method !== 'HEAD')
    throw too_large()
  const encoding = answer.headers['content-encoding']
  if (encoding !== undefined && encoding !== 'identity')
    throw new OutgoingError('unreachable', `${origin} answers compressed, which was not asked for`)
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      size += chunk.byteLength
      if (size > rules.max_bytes) throw too_large()
      chunks.push(chunk)
    }
  } catch (error) {
    throw error instanceof OutgoingError ? error : failure(hop, error)
  }
  if (!answer.complete) throw new OutgoingError('unreachable', `${origin} ended its answer early`)
  const body = new Uint8Array(size)
  let at = 0
  for (const chunk of chunks) {
    body.set(chunk, at)
    at += chunk.byteLength
  }
  return { status: answer.statusCode ?? 0, headers: answered(answer), body }
}

/** Without what belongs to the connection, and without cookies. */
const DROPPED = new Set([
  'connection',
  'keep-alive',
  'set-cookie',
  'set-cookie2',
  'transfer-encoding',
  'upgrade',
])

function answered(answer: IncomingMessage): Headers {
  const headers = new Headers()
  for (let at = 0; at + 1 < answer.rawHeaders.length; at += 2) {
    const [name = '', value = ''] = answer.rawHeaders.slice(at, at + 2)
    if (!DROPPED.has(name.toLowerCase())) headers.append(name, value)
  }
  return headers
}

const CERTIFICATE = /CERT|SELF_SIGNED|ERR_TLS|UNABLE_TO_(?:GET_ISSUER|VERIFY)|HOSTNAME_MISMATCH/

/** Not the error itself: a parser's holds bytes of the answer. */
function failure(hop: Hop, error: unknown): OutgoingError {
  const { code, message } = error as { code?: unknown; message?: unknown }
  const word = typeof code === 'string' && code !== '' ? code : 'the connection broke'
  if (CERTIFICATE.test(word))
    return new OutgoingError(
      'untrusted',
      `${hop.url.origin} shows a certificate that is not trusted: ${message}`,
    )
  return new OutgoingError('unreachable', `${hop.url.origin} cannot be reached: ${word}`)
}
