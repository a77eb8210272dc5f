import { randomBytes } from 'node:crypto'
import { connect, type TLSSocket } from 'node:tls'
import { type AgentMessage, CHANNEL_PATH } from '@nxmesh/contract'
import { deriveKeys, FrameSealer, SIGNATURE_HEADERS } from '@nxmesh/contract/channel/signing'
import { signedHeaders, type TestChannel, type TestIdentity } from './testing.ts'

/** For tests: an agent that says hello and then never reads its socket again, so that TCP's own buffers fill up. */
export async function dialAndStopReading(
  on: TestChannel,
  who: TestIdentity,
  hello: AgentMessage,
): Promise<TLSSocket> {
  const headers = signedHeaders(who)
  const socket = openRaw(on, headers)
  const nonce = await greetingNonce(socket)
  const keys = deriveKeys(who.session_key, {
    agent_id: who.agent_id,
    key_id: who.key_id,
    protocol: 1,
    agent_nonce: headers[SIGNATURE_HEADERS.nonce] ?? '',
    server_nonce: nonce,
  })
  socket.write(binaryFrame(new FrameSealer(keys.to_master).seal(JSON.stringify(hello))))
  socket.pause()
  return socket
}

/** For tests: an agent whose bytes after the upgrade are the test's own. Resolves when it was greeted. */
export async function dialForBytes(on: TestChannel, who: TestIdentity): Promise<TLSSocket> {
  const socket = openRaw(on, { ...signedHeaders(who), 'sec-websocket-extensions': 'permessage-deflate' })
  await greetingNonce(socket)
  return socket
}

function openRaw(on: TestChannel, headers: Record<string, string>): TLSSocket {
  const socket = connect({ host: '127.0.0.1', port: on.port, ca: on.ca_pem })
  const lines = Object.entries({
    ...headers,
    host: `127.0.0.1:${on.port}`,
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  }).map(([name, value]) => `${name}: ${value}`)
  socket.write(`GET ${CHANNEL_PATH} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
  return socket
}

function greetingNonce(socket: TLSSocket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const read = (part: Buffer) => {
      text += part.toString('latin1')
      const nonce = /"nonce":"([^"]+)"/.exec(text)?.[1]
      if (!nonce) return
      socket.off('data', read)
      resolve(nonce)
    }
    socket.on('data', read)
    socket.once('error', reject)
  })
}

/** One masked binary frame (RFC 6455 section 5.2) of up to 65,535 bytes. */
function binaryFrame(payload: Uint8Array): Buffer {
  const mask = randomBytes(4)
  const head = Buffer.alloc(4)
  head.writeUInt8(0x82, 0)
  head.writeUInt8(0x80 | 126, 1)
  head.writeUInt16BE(payload.byteLength, 2)
  const masked = Buffer.from(payload.map((byte, at) => byte ^ (mask[at % 4] ?? 0)))
  return Buffer.concat([head, mask, masked])
}
