import { createHash, createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'

/**
 * The channel's cryptography, the same code at both ends. The console never imports this file.
 * node:crypto on purpose: its HMAC takes about 1 µs, WebCrypto's 60.
 */

export const SIGNATURE_HEADERS = {
  agent: 'x-nxmesh-agent',
  key_id: 'x-nxmesh-key-id',
  timestamp: 'x-nxmesh-timestamp',
  nonce: 'x-nxmesh-nonce',
  protocol: 'x-nxmesh-protocol',
  signature: 'x-nxmesh-signature',
} as const

/** Headers of a refused upgrade: the master's time (decimal milliseconds since the epoch), and why, where the agent can mend it. */
export const REFUSAL_HEADERS = { time: 'x-nxmesh-time', reason: 'x-nxmesh-refusal' } as const

/** Close codes of the channel (RFC 6455 section 7.4.2: private use). */
export const CLOSE_CODES = {
  /** A frame or message that breaks the protocol. */
  violation: 4400,
  /** A newer connection of the same agent took over. */
  displaced: 4401,
  /** The same identity is connected from another process. */
  identity_conflict: 4402,
  /** Silence, or no hello in time. */
  silence: 4408,
  /** The agent reads too slowly; it is resynchronized when it is back. */
  too_slow: 4413,
  /** Deregistered, or the key ended. */
  revoked: 4403,
  /** The master stops, or takes no more agents at this moment. */
  try_later: 4429,
} as const

export interface SignedRequest {
  readonly method: string
  /** Path with query, as sent. */
  readonly path: string
  readonly agent_id: string
  readonly key_id: string
  /** Milliseconds since the epoch, decimal. */
  readonly timestamp: string
  /** base64url of at least 16 random bytes. */
  readonly nonce: string
  readonly body: Uint8Array | string
}

/** HMAC-SHA256 (RFC 2104) over the parts that decide what is asked, one a line, base64url. */
export function signRequest(session_key: Uint8Array, request: SignedRequest): string {
  const body_hash = createHash('sha256').update(request.body).digest('hex')
  const lines = [
    'NXMESH1',
    request.method,
    request.path,
    request.agent_id,
    request.key_id,
    request.timestamp,
    request.nonce,
    body_hash,
  ]
  return createHmac('sha256', session_key).update(lines.join('\n')).digest('base64url')
}

/** Compares in constant time. */
export function signatureMatches(
  session_key: Uint8Array,
  request: SignedRequest,
  signature: string,
): boolean {
  return equal(Buffer.from(signRequest(session_key, request)), Buffer.from(signature))
}

export interface ChannelIdentity {
  readonly agent_id: string
  readonly key_id: string
  readonly protocol: number
  /** From the agent's signed request. */
  readonly agent_nonce: string
  /** From the master's greeting. */
  readonly server_nonce: string
}

export interface DirectionKeys {
  readonly to_agent: Uint8Array
  readonly to_master: Uint8Array
}

/** One key for each direction by HKDF-SHA256 (RFC 5869); fresh for every connection through both nonces. */
export function deriveKeys(session_key: Uint8Array, who: ChannelIdentity): DirectionKeys {
  const salt = `${who.agent_nonce}.${who.server_nonce}`
  const derive = (direction: string) =>
    new Uint8Array(
      hkdfSync(
        'sha256',
        session_key,
        salt,
        `nxmesh|${direction}|${who.agent_id}|${who.key_id}|${who.protocol}`,
        32,
      ),
    )
  return { to_agent: derive('to_agent'), to_master: derive('to_master') }
}

/** What proves over a connection that the agent keeps a new session key: bound to the agent, the key and this connection. */
export interface KeyProof {
  readonly agent_id: string
  readonly key_id: string
  /** From the greeting of the connection over which the key was offered. */
  readonly server_nonce: string
}

/** HMAC-SHA256 with the new key, one part a line, base64url. */
export function proveKey(new_key: Uint8Array, proof: KeyProof): string {
  const lines = ['NXMESH-KEY1', proof.agent_id, proof.key_id, proof.server_nonce]
  return createHmac('sha256', new_key).update(lines.join('\n')).digest('base64url')
}

/** Compares in constant time. */
export const keyProved = (new_key: Uint8Array, proof: KeyProof, given: string): boolean =>
  equal(Buffer.from(proveKey(new_key, proof)), Buffer.from(given))

const SEQUENCE_BYTES = 8
const MAC_BYTES = 32
/** What a frame has beside its payload. */
export const FRAME_OVERHEAD_BYTES = SEQUENCE_BYTES + MAC_BYTES

/** Frame: sequence number (8 bytes, big-endian), HMAC-SHA256 over it and the payload (32 bytes), payload (UTF-8 JSON). */
export class FrameSealer {
  readonly #key: Uint8Array
  #next = 0n

  constructor(key: Uint8Array) {
    this.#key = key
  }

  /** Bytes are taken as they are, so that one encoding serves many receivers. */
  seal(payload: string | Uint8Array): Uint8Array {
    const size = typeof payload === 'string' ? Buffer.byteLength(payload) : payload.byteLength
    const frame = Buffer.allocUnsafe(FRAME_OVERHEAD_BYTES + size)
    frame.writeBigUInt64BE(this.#next++, 0)
    if (typeof payload === 'string') frame.write(payload, FRAME_OVERHEAD_BYTES)
    else frame.set(payload, FRAME_OVERHEAD_BYTES)
    mac(this.#key, frame).copy(frame, SEQUENCE_BYTES)
    return frame
  }
}

/** Opens frames in order; a frame that is out of order, repeated or forged is `null`, and the connection must end. */
export class FrameOpener {
  readonly #key: Uint8Array
  #next = 0n

  constructor(key: Uint8Array) {
    this.#key = key
  }

  open(bytes: Uint8Array): string | null {
    if (bytes.byteLength < FRAME_OVERHEAD_BYTES) return null
    const frame = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    if (frame.readBigUInt64BE(0) !== this.#next) return null
    if (!equal(mac(this.#key, frame), frame.subarray(SEQUENCE_BYTES, FRAME_OVERHEAD_BYTES))) return null
    this.#next++
    return frame.toString('utf8', FRAME_OVERHEAD_BYTES)
  }
}

function mac(key: Uint8Array, frame: Buffer): Buffer {
  return createHmac('sha256', key)
    .update(frame.subarray(0, SEQUENCE_BYTES))
    .update(frame.subarray(FRAME_OVERHEAD_BYTES))
    .digest()
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && timingSafeEqual(a, b)
}
