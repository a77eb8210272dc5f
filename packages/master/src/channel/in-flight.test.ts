import { expect, test } from 'bun:test'
import { CLOSE_CODES } from '@nxmesh/contract/channel/signing'
import { until } from '../testing-until.ts'
import { dialRaw, signedHeaders, startTestChannel, tryUpgrade } from './testing.ts'

/** What changes between the check of an upgrade and the opening of its socket. */
async function startWith(meanwhile: (agent_id: string) => boolean) {
  const asked = { times: 0, agent_id: '' }
  const on = await startTestChannel({
    origins: {
      async admits() {
        asked.times += 1
        // The key was found live already; this is the last look of the upgrade.
        return asked.times === 1 ? true : meanwhile(asked.agent_id)
      },
    },
  })
  const who = on.addAgent()
  asked.agent_id = who.agent_id
  return { on, who }
}

test('a socket whose agent was deregistered while its upgrade was on its way is closed, without a hello and at once', async () => {
  const on = await startTestChannel({
    origins: {
      async admits() {
        on.removeAgent(who.agent_id)
        on.channel.cut(who.agent_id, 'the agent was deregistered')
        return true
      },
    },
  })
  const who = on.addAgent()
  const began_ms = performance.now()
  const agent = await dialRaw(on, who)
  expect(await agent.closed).toBe(CLOSE_CODES.revoked)
  expect(performance.now() - began_ms).toBeLessThan(5_000)
  expect(on.channel.isOnline(who.agent_id)).toBe(false)
  await on.stop()
})

test('the same for one whose address is not admitted any more', async () => {
  const { on, who } = await startWith(() => false)
  const agent = await dialRaw(on, who)
  expect(await agent.closed).toBe(CLOSE_CODES.revoked)
  await on.stop()
})

test('an agent from an address that is not admitted is refused behind its valid signature, and told no more than that', async () => {
  const on = await startTestChannel({ origins: { admits: async () => false } })
  const who = on.addAgent()
  const answer = await tryUpgrade(on, signedHeaders(who))
  expect(answer.status).toBe(401)
  expect(await answer.text()).toContain('not_authenticated')
  await until('the audit row', async () => (await on.auditRows()).length > 0)
  expect(await on.auditRows()).toMatchObject([
    {
      action: 'agent.connection_refused',
      object_id: who.agent_id,
      ip_address: '127.0.0.1',
      result: 'refused',
    },
  ])
  expect((await on.auditRows())[0]?.after_json).toContain('address_not_allowed')
  // Whoever has no key learns nothing from it either.
  const wrong = await tryUpgrade(on, signedHeaders(who, { session_key: Buffer.alloc(32) }))
  expect(await wrong.text()).toContain('not_authenticated')
  await on.stop()
})
