import { expect, test } from 'bun:test'
import { startLink } from '@nxmesh/agent/link/link'
import { startTestChannel } from '@nxmesh/master/channel/testing'
import { until } from '../support/until.ts'
import { QUICK } from './fleet.ts'
import { makeSimulatedOrders } from './simulated-orders.ts'

test('an agent that is told to come back later does so, and not before', async () => {
  const delays_ms = [200, 150]
  const on = await startTestChannel({ admission: { take: () => delays_ms.shift() ?? 0 } })
  const who = on.addAgent()
  const endings: unknown[] = []
  const began_ms = performance.now()
  const link = startLink({
    identity: {
      ...who,
      session_key: Buffer.from(who.session_key).toString('base64url'),
      master_url: on.url,
      ca_pem: on.ca_pem,
      server_name: '127.0.0.1',
    },
    orders: makeSimulatedOrders('patient'),
    log: (_level, _message, fields) => void endings.push(fields?.kind),
    limits: QUICK,
  })
  await until('the agent to be let in', () => link.connected)
  expect(performance.now() - began_ms).toBeGreaterThanOrEqual(350)
  expect(endings).toEqual(['retry_later', 'retry_later'])
  await link.stop()
  await on.stop()
})
