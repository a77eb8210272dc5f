import { afterAll, beforeAll, expect, test } from 'bun:test'
import { until } from '../support/until.ts'
import { allConnected, type Fleet, startFleet } from './fleet.ts'

let fleet: Fleet
beforeAll(async () => {
  fleet = await startFleet()
})
afterAll(() => fleet.stop())

test('agents of a deleted workspace are cut off at once, for good, and serve on what they served', async () => {
  const agents = await fleet.addAgents(5)
  await allConnected(agents)
  const { workspace_id, client } = fleet
  const create = (name: string) =>
    client.call('virtual_hosts_create', {
      body: {
        workspace_id,
        name,
        server_name: `${name}.test`,
        listen_port: 80,
        locations: [{ path: '/', root: '/srv' }],
      },
      query: { wait: 'applied', timeout_s: 60 },
    })
  expect((await create('stays')).meta.deployment?.state).toBe('applied')
  const served = agents.map(agent => [...agent.orders.served().keys()])
  const params = { id: workspace_id }
  const asked = await client.call('workspaces_delete', { params }).catch((error: unknown) => error)
  expect(asked).toMatchObject({
    details: expect.arrayContaining([{ field: 'agents', message: '5, 5 of them connected' }]),
  })

  // Somebody waits for a deployment that is under way.
  for (const { wire } of agents) wire.delay(3_000)
  const waiting = create('under-way')
  await until('the deployment to begin', async () =>
    (await client.call('deployments_list')).data.some(one => one.state === 'preparing'),
  )
  const { slug } = (await client.call('workspaces_get', { params })).data
  await client.call('workspaces_delete', { params, query: { confirm: slug } })
  expect(fleet.master.services.channel.onlineAgents().size).toBe(0)
  expect((await waiting).meta).toMatchObject({ changed: true })
  for (const { wire } of agents) wire.delay(0)
  await until('every agent to notice', () => agents.every(agent => !agent.link().connected))
  // Also to one that tries again, before and after its row is gone.
  await until('their rows to go', async () => {
    const rows = await fleet.master.services.db.read.selectFrom('agents').select('id').execute()
    return rows.length === 0
  })
  await until('all to be refused', async () => {
    const refused = await fleet.audit('agent.connection_refused')
    return agents.every(agent => refused.some(row => row.object_id === agent.id))
  })
  expect(agents.some(agent => agent.link().connected)).toBe(false)
  expect(agents.map(agent => [...agent.orders.served().keys()])).toEqual(served)
  const positions = fleet.master.services.db.read.selectFrom('agent_positions').select('agent_id')
  expect(await positions.execute()).toEqual([])
})
