import { createHash, X509Certificate } from 'node:crypto'
import { request } from 'node:https'
import { isIP } from 'node:net'
import { connect, type DetailedPeerCertificate } from 'node:tls'
import { BASE_PATH } from '@nxmesh/contract/endpoints/endpoint'
import { type MasterAddress, type TlsTarget, targetOf, verifiedTls } from './address.ts'
import { LINK_LIMITS } from './link-limits.ts'

export interface Registration {
  /** `https://host[:port]`. */
  readonly master_url: string
  readonly token: string
  /** SHA-256 of the CA's DER, hex, colons allowed. Null: the system's own trust store decides. */
  readonly ca_fingerprint: string | null
  /** `sha256/<base64>` of the key that the master's certificate must have beside that; empty: any. */
  readonly server_key_pins?: readonly string[]
  readonly name?: string | undefined
  readonly hostname: string
  readonly version: string
}

/** What the agent keeps: who it is, and how it knows its master. Field for field the identity in its state folder. */
export interface RegisteredIdentity {
  readonly agent_id: string
  readonly workspace_id: string
  readonly name: string
  readonly key_id: string
  /** base64url, 32 bytes. */
  readonly session_key: string
  readonly master_url: string
  readonly ca_pem: string
  readonly server_name: string
  readonly server_key_pins: readonly string[]
}

/** `message` is for the person at the terminal. `retryable`: trying again may help. */
export class RegistrationError extends Error {
  readonly retryable: boolean

  constructor(message: string, options: { retryable: boolean; cause?: unknown }) {
    super(message, { cause: options.cause })
    this.name = 'RegistrationError'
    this.retryable = options.retryable
  }
}

/**
 * Registers with a bootstrap token. The first connection verifies nothing, so it sends nothing: it reads the chain and picks
 * the CA with the given fingerprint. The token goes over a second connection that this CA must verify.
 * @throws RegistrationError
 */
export async function register(registration: Registration): Promise<RegisteredIdentity> {
  const target = readTarget(registration.master_url)
  const ca_pem =
    registration.ca_fingerprint === null ? '' : await fetchPinnedCa(target, registration.ca_fingerprint)
  const server_key_pins = registration.server_key_pins ?? []
  const address = { ca_pem, server_name: target.host, server_key_pins }
  const answer = await post(target, address, {
    token: registration.token,
    ...(registration.name === undefined ? {} : { name: registration.name }),
    hostname: registration.hostname,
    version: registration.version,
  })
  const master_url = new URL(registration.master_url).origin
  return { ...readRegistered(answer), master_url, ...address }
}

function readTarget(master_url: string): TlsTarget {
  try {
    return targetOf(master_url)
  } catch (cause) {
    throw new RegistrationError((cause as Error).message, { retryable: false })
  }
}

/**
 * Reads the certificates that a server presents and returns the CA with this fingerprint as PEM. Sends nothing.
 * @throws RegistrationError when the fingerprint is malformed or none of them has it
 */
async function fetchPinnedCa(target: TlsTarget, fingerprint: string): Promise<string> {
  const wanted = fingerprint.replaceAll(':', '').toLowerCase()
  if (!/^[0-9a-f]{64}$/.test(wanted))
    throw new RegistrationError('The CA fingerprint must be 64 hexadecimal digits (SHA-256)', {
      retryable: false,
    })
  const chain = await presentedChain(target)
  const pinned = chain.find(der => createHash('sha256').update(der).digest('hex') === wanted)
  if (pinned) return new X509Certificate(pinned).toString()
  throw new RegistrationError(
    `${target.host}:${target.port} presents no certificate with the CA fingerprint ${wanted}. Nothing was sent. Is this the right master?`,
    { retryable: false },
  )
}

function presentedChain(target: TlsTarget): Promise<Uint8Array[]> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: target.host,
      port: target.port,
      ...(isIP(target.host) ? {} : { servername: target.host }),
      minVersion: 'TLSv1.3',
      // Only to read the chain: nothing is sent over this connection, and nothing read from it is believed.
      rejectUnauthorized: false,
    })
    const fail = (cause: unknown) => {
      socket.destroy()
      reject(unreachable(target, cause))
    }
    socket.setTimeout(LINK_LIMITS.register_ms, () => fail(new Error('no answer in time')))
    socket.once('error', fail)
    socket.once('secureConnect', () => {
      const chain: Uint8Array[] = []
      let one: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true)
      while (one?.raw && chain.length < LINK_LIMITS.presented_certificates) {
        chain.push(one.raw)
        one = one.issuerCertificate === one ? undefined : one.issuerCertificate
      }
      socket.destroy()
      resolve(chain)
    })
  })
}

interface Answer {
  readonly status: number
  readonly body: string
}

function post(
  target: TlsTarget,
  address: Pick<MasterAddress, 'ca_pem' | 'server_name' | 'server_key_pins'>,
  body: object,
): Promise<Answer> {
  const json = JSON.stringify(body)
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown) => reject(unreachable(target, cause))
    const sent = request(
      {
        method: 'POST',
        host: target.host,
        port: target.port,
        path: `${BASE_PATH}/agents/register`,
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(json) },
        agent: false,
        ...verifiedTls(address),
      },
      response => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (part: string) => {
          text += part
          if (text.length > LINK_LIMITS.register_answer_bytes)
            sent.destroy(new Error('the answer is too long'))
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }))
        response.on('error', fail)
      },
    )
    sent.setTimeout(LINK_LIMITS.register_ms, () => sent.destroy(new Error('no answer in time')))
    sent.on('error', fail)
    sent.end(json)
  })
}

function unreachable(target: TlsTarget, cause: unknown): RegistrationError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new RegistrationError(`The master at ${target.host}:${target.port} could not be reached: ${why}`, {
    retryable: true,
    cause,
  })
}

type Registered = Pick<RegisteredIdentity, 'agent_id' | 'workspace_id' | 'name' | 'key_id' | 'session_key'>

function readRegistered(answer: Answer): Registered {
  const parsed = parse(answer.body)
  if (answer.status !== 201) throw refusal(answer.status, parsed)
  const data = (parsed as { data?: Record<string, unknown> } | null)?.data ?? {}
  const text = (field: string) => {
    const value = data[field]
    if (typeof value === 'string' && value !== '') return value
    throw new RegistrationError(`The master's answer has no ${field}`, { retryable: false })
  }
  const session_key = text('session_key')
  if (Buffer.from(session_key, 'base64url').byteLength !== 32)
    throw new RegistrationError('The master sent a session key that is not 32 bytes', { retryable: false })
  return {
    agent_id: text('agent_id'),
    workspace_id: text('workspace_id'),
    name: text('name'),
    key_id: text('key_id'),
    session_key,
  }
}

function refusal(status: number, parsed: unknown): RegistrationError {
  const error = (parsed as { error?: { code?: unknown; message?: unknown } } | null)?.error
  const said = typeof error?.message === 'string' ? error.message : 'no reason given'
  return new RegistrationError(`The master refused the registration (${status}): ${said}`, {
    retryable: status === 429 || status >= 500,
  })
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
