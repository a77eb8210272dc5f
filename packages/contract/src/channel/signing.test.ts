import { describe, expect, test } from 'bun:test'
import { createHmac, randomBytes } from 'node:crypto'
import {
  deriveKeys,
  FRAME_OVERHEAD_BYTES,
  FrameOpener,
  FrameSealer,
  keyProved,
  proveKey,
  type SignedRequest,
  signatureMatches,
  signRequest,
} from './signing.ts'

const key = randomBytes(32)
const request: SignedRequest = {
  method: 'GET',
  path: '/api/v1/agents/channel?x=1',
  agent_id: 'agent',
  key_id: 'key',
  timestamp: '1700000000000',
  nonce: 'bm9uY2U',
  body: '',
}

describe('a signed request', () => {
  test('is the HMAC of its parts, one a line', () => {
    const empty = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
    const text = `NXMESH1\nGET\n/api/v1/agents/channel?x=1\nagent\nkey\n1700000000000\nbm9uY2U\n${empty}`
    expect(signRequest(key, request)).toBe(createHmac('sha256', key).update(text).digest('base64url'))
  })

  test('matches with its key only', () => {
    const signature = signRequest(key, request)
    expect(signatureMatches(key, request, signature)).toBe(true)
    expect(signatureMatches(randomBytes(32), request, signature)).toBe(false)
  })

  test('does not match when anything in it differs', () => {
    const signature = signRequest(key, request)
    for (const part of Object.keys(request) as (keyof SignedRequest)[])
      expect(signatureMatches(key, { ...request, [part]: `${request[part]}0` }, signature)).toBe(false)
    const shifted = { ...request, agent_id: 'agentk', key_id: 'ey' }
    expect(signatureMatches(key, shifted, signature)).toBe(false)
  })

  test('a signature of another length or kind is refused quietly', () => {
    for (const wrong of [
      '',
      'x',
      signRequest(key, request).slice(0, -1),
      `${signRequest(key, request)}=`,
      '\0'.repeat(43),
    ])
      expect(signatureMatches(key, request, wrong)).toBe(false)
  })
})

describe('keys of a connection', () => {
  const who = { agent_id: 'a', key_id: 'k', protocol: 1, agent_nonce: 'an', server_nonce: 'sn' }
  const hex = (keys: { to_agent: Uint8Array; to_master: Uint8Array }) =>
    [keys.to_agent, keys.to_master].map(one => Buffer.from(one).toString('hex'))

  test('both ends derive the same ones, one for each direction', () => {
    const [to_agent, to_master] = hex(deriveKeys(key, who))
    expect(hex(deriveKeys(key, who))).toEqual([to_agent ?? '', to_master ?? ''])
    expect(to_agent).not.toBe(to_master)
    expect(to_agent).toHaveLength(64)
  })

  test('differ with every part of the identity and with the session key', () => {
    const others = [
      deriveKeys(randomBytes(32), who),
      ...Object.keys(who).map(part => deriveKeys(key, { ...who, [part]: part === 'protocol' ? 2 : 'other' })),
    ]
    const all = [deriveKeys(key, who), ...others].flatMap(hex)
    expect(new Set(all).size).toBe(all.length)
  })
})

describe('frames', () => {
  const pair = () => ({ sealer: new FrameSealer(key), opener: new FrameOpener(key) })

  test('arrive as they were sent, in order', () => {
    const { sealer, opener } = pair()
    for (const text of ['', '{"a":1}', 'ü😀', 'x'.repeat(100_000)])
      expect(opener.open(sealer.seal(text))).toBe(text)
    expect(opener.open(sealer.seal(Buffer.from('bytes')))).toBe('bytes')
  })

  test('a view into a larger buffer opens as well', () => {
    const { sealer, opener } = pair()
    const frame = sealer.seal('text')
    const large = new Uint8Array(frame.byteLength + 20)
    large.set(frame, 7)
    expect(opener.open(large.subarray(7, 7 + frame.byteLength))).toBe('text')
  })

  test('a repeated frame is refused', () => {
    const { sealer, opener } = pair()
    const frame = sealer.seal('one')
    opener.open(frame)
    expect(opener.open(frame)).toBeNull()
  })

  test('frames in another order, or with one missing, are refused', () => {
    const { sealer, opener } = pair()
    const [first, second] = [sealer.seal('one'), sealer.seal('two')]
    expect(opener.open(second)).toBeNull()
    expect(opener.open(first)).toBe('one')
    sealer.seal('lost')
    expect(opener.open(second)).toBe('two')
    expect(opener.open(sealer.seal('four'))).toBeNull()
  })

  test('a later frame cannot be numbered as the next one', () => {
    const { sealer, opener } = pair()
    sealer.seal('held back')
    const second = Buffer.from(sealer.seal('two'))
    second.writeBigUInt64BE(0n, 0)
    expect(opener.open(second)).toBeNull()
  })

  test('one flipped bit anywhere is noticed', () => {
    const frame = new FrameSealer(key).seal('{"a":1}')
    for (let bit = 0; bit < frame.byteLength * 8; bit++) {
      const forged = Uint8Array.from(frame)
      forged[bit >> 3] = (forged[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(new FrameOpener(key).open(forged)).toBeNull()
    }
  })

  test('a frame of another key, or of the other direction, is refused', () => {
    const keys = deriveKeys(key, {
      agent_id: 'a',
      key_id: 'k',
      protocol: 1,
      agent_nonce: 'x',
      server_nonce: 'y',
    })
    const frame = new FrameSealer(keys.to_agent).seal('x')
    expect(new FrameOpener(keys.to_master).open(frame)).toBeNull()
    expect(new FrameOpener(keys.to_agent).open(frame)).toBe('x')
  })

  test('a frame that is cut or lengthened is refused', () => {
    const frame = new FrameSealer(key).seal('text')
    for (let length = 0; length < frame.byteLength; length++)
      expect(new FrameOpener(key).open(frame.subarray(0, length))).toBeNull()
    expect(new FrameOpener(key).open(Buffer.concat([frame, Buffer.from('x')]))).toBeNull()
    expect(frame.byteLength).toBe(FRAME_OVERHEAD_BYTES + 4)
  })
})

describe('the proof that a new key is kept', () => {
  const what = { agent_id: 'a', key_id: 'k', server_nonce: 'n' }
  const given = proveKey(key, what)

  test('holds for this agent, this key and this connection, and for nothing else', () => {
    expect(keyProved(key, what, given)).toBe(true)
    expect(keyProved(randomBytes(32), what, given)).toBe(false)
    for (const field of ['agent_id', 'key_id', 'server_nonce'] as const)
      expect(keyProved(key, { ...what, [field]: 'other' }, given)).toBe(false)
    for (const bad of ['', given.slice(1), `${given}A`, given.toLowerCase()])
      expect(keyProved(key, what, bad)).toBe(false)
  })

  test('is no signature of a request, and no signature of a request is a proof', () => {
    const request = {
      method: 'GET',
      path: '/',
      agent_id: 'a',
      key_id: 'k',
      timestamp: '1',
      nonce: 'n',
      body: '',
    }
    expect(keyProved(key, what, signRequest(key, request))).toBe(false)
  })
})
