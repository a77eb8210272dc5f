import { expect, test } from 'bun:test'
import { startLink } from '@nxmesh/agent/link/link'
import {
  deriveKeys,
  FrameOpener,
  FrameSealer,
  REFUSAL_HEADERS,
  SIGNATURE_HEADERS,
} from '@nxmesh/contract/channel/signing'
import { loadMaker } from '@nxmesh/master/certificates/load-maker'
import { until } from '../support/until.ts'
import { QUICK } from './fleet.ts'
import { makeSimulatedOrders } from './simulated-orders.ts'

/** A master that knows protocol version 1 only, as those before key rotation did. `say`: what it sends after the welcome. */
async function startOldMaster(
  who: { agent_id: string; key_id: string; session_key: Uint8Array },
  say: object[],
) {
  const { makeCa, makeServerCertificate } = await loadMaker()
  const ca = await makeCa(new Date())
  const made = await makeServerCertificate(ca, ['127.0.0.1'], new Date())
  const asked: string[] = []
  const heard: { type: string; protocol?: number }[] = []
  const server = Bun.serve<{ agent_nonce: string; opener: FrameOpener | null; sealer: FrameSealer | null }>({
    hostname: '127.0.0.1',
    port: 0,
    tls: { cert: made.certificate_pem, key: made.key_pem },
    fetch(request, self) {
      const protocol = request.headers.get(SIGNATURE_HEADERS.protocol) ?? ''
      asked.push(protocol)
      const headers = { [REFUSAL_HEADERS.reason]: 'protocol_not_served' }
      if (protocol !== '1') return new Response(null, { status: 401, headers })
      const agent_nonce = request.headers.get(SIGNATURE_HEADERS.nonce) ?? ''
      self.upgrade(request, { data: { agent_nonce, opener: null, sealer: null } })
      return undefined
    },
    websocket: {
      open(ws) {
        const server_nonce = 'nonce-of-the-old-master'
        const keys = deriveKeys(who.session_key, { ...who, ...ws.data, protocol: 1, server_nonce })
        ws.data.opener = new FrameOpener(keys.to_master)
        ws.data.sealer = new FrameSealer(keys.to_agent)
        const server_time = new Date().toISOString()
        ws.send(JSON.stringify({ type: 'hello', protocol: 1, nonce: server_nonce, server_time }))
      },
      message(ws, frame) {
        const message = JSON.parse(
          ws.data.opener?.open(frame as unknown as Uint8Array) ?? '{"type":"FORGED"}',
        )
        heard.push(message)
        if (message.type !== 'agent_hello') return
        const welcome = { type: 'welcome', agent_id: who.agent_id, heartbeat_ms: 10_000 }
        for (const one of [welcome, ...say])
          ws.sendBinary(ws.data.sealer?.seal(JSON.stringify(one)) ?? new Uint8Array())
      },
    },
  })
  return { url: `https://127.0.0.1:${server.port}`, ca_pem: ca.certificate_pem, asked, heard, server }
}

const KEY = Buffer.alloc(32, 7)
const who = { agent_id: crypto.randomUUID(), key_id: crypto.randomUUID(), session_key: KEY }

async function connect(say: object[]) {
  const master = await startOldMaster(who, say)
  const saved: unknown[] = []
  const endings: string[] = []
  const link = startLink({
    identity: {
      ...who,
      session_key: KEY.toString('base64url'),
      master_url: master.url,
      ca_pem: master.ca_pem,
      server_name: '127.0.0.1',
    },
    saveKeys: keys => void saved.push(keys),
    orders: makeSimulatedOrders('new agent'),
    log: (_level, _message, fields) => void endings.push(String(fields?.reason)),
    limits: QUICK,
  })
  const end = async () => {
    await link.stop()
    await master.server.stop(true)
  }
  return { ...master, saved, endings, link, end }
}

test('an agent of today is served by a master of protocol version 1: it asks for less, and speaks what the greeting says', async () => {
  const on = await connect([])
  await until('the agent to be welcomed', () => on.link.connected)
  expect(on.asked).toEqual(['2', '1'])
  expect(on.heard[0]).toMatchObject({ type: 'agent_hello', protocol: 1 })
  await on.end()
})

test('over a connection of protocol version 1 it takes no key', async () => {
  const offer = { type: 'key_offer', key_id: crypto.randomUUID(), session_key: KEY.toString('base64url') }
  const on = await connect([offer])
  await until('the connection to end', () => on.endings.some(one => one.includes('does not have')))
  expect(on.saved).toEqual([])
  expect(on.heard.map(one => one.type)).not.toContain('key_accepted')
  await on.end()
})
