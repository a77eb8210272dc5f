import { afterAll, beforeAll, expect, test } from 'bun:test'
import { RegistrationError } from '@nxmesh/agent/link/register'
import { loadMaker } from '@nxmesh/master/certificates/load-maker'
import { until } from '../support/until.ts'
import { allConnected, type Fleet, QUICK, startFleet } from './fleet.ts'

const OTHER = `sha256/${'A'.repeat(43)}=`
let fleet: Fleet
beforeAll(async () => {
  fleet = await startFleet()
})
afterAll(() => fleet.stop())

test('a master whose key is not the pinned one gets no token; the message says what it has instead', async () => {
  const token = await fleet.newToken(1)
  const wrong = await fleet.register(token, 'careful', { server_key_pins: [OTHER] }).catch(error => error)
  expect(wrong).toBeInstanceOf(RegistrationError)
  expect(String(wrong)).toContain('Nothing was sent')
  expect(String(wrong)).toContain(fleet.master.server_key_pin)
  // Two pins: the change of a key that is planned.
  const pins = [OTHER, fleet.master.server_key_pin]
  expect(await fleet.register(token, 'careful', { server_key_pins: pins })).toMatchObject({
    name: 'careful',
    server_key_pins: pins,
  })
})

test('the pin is that of the join command and stays when the master starts again', async () => {
  const made = await fleet.client.call('workspace_tokens_create', {
    params: { id: fleet.workspace_id },
    body: { pin_server_key: true },
  })
  expect(made.data.join_command).toContain(`--server-key-pin ${fleet.master.server_key_pin}`)
  const before = fleet.master.server_key_pin
  await fleet.stopMaster()
  await fleet.startMasterAgain()
  expect(fleet.master.server_key_pin).toBe(before)
})

test('an agent connects to the pinned key, and to no other that the CA signed', async () => {
  const [agent] = await fleet.addAgents(1)
  if (!agent) throw new Error('no agent')
  await allConnected([agent])
  await agent.kill()
  const reasons: string[] = []
  const identity = { ...agent.identity, ...agent.keys(), master_url: `https://127.0.0.1:${agent.wire.port}` }
  const log = (_level: string, _message: string, fields?: Record<string, unknown>) =>
    void reasons.push(String(fields?.reason))
  const before = (await fleet.audit('agent.connection_refused')).length
  agent.start({ identity: { ...identity, server_key_pins: [OTHER] }, log })
  await until('two attempts', () => reasons.length >= 2)
  expect(reasons[0]).toContain(`the key of the master is ${fleet.master.server_key_pin}`)
  await agent.kill()
  expect((await fleet.audit('agent.connection_refused')).length).toBe(before)
  agent.start({ identity: { ...identity, server_key_pins: [fleet.master.server_key_pin] } })
  await allConnected([agent])
})

test('nothing reaches a server with another key, not even the signed request for an upgrade', async () => {
  const { makeCa, makeServerCertificate } = await loadMaker()
  const ca = await makeCa(new Date())
  const made = await makeServerCertificate(ca, ['127.0.0.1'], new Date())
  let requests = 0
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    tls: { cert: `${made.certificate_pem}\n${ca.certificate_pem}`, key: made.key_pem },
    fetch() {
      requests += 1
      return new Response(null, { status: 401 })
    },
  })
  const [agent] = await fleet.addAgents(1)
  if (!agent) throw new Error('no agent')
  await agent.kill()
  const ends: string[] = []
  const start = (server_key_pins: string[]) =>
    agent.start({
      identity: {
        ...agent.identity,
        master_url: `https://127.0.0.1:${server.port}`,
        ca_pem: ca.certificate_pem,
        server_key_pins,
      },
      log: (_level, _message, fields) => void ends.push(String(fields?.reason)),
      limits: QUICK,
    })
  start([fleet.master.server_key_pin])
  await until('five attempts', () => ends.length >= 5)
  expect(requests).toBe(0)
  await agent.kill()
  // The same server without a pin: the requests would have been seen.
  start([])
  await until('a request', () => requests > 0)
  await agent.kill()
  await server.stop(true)
})
