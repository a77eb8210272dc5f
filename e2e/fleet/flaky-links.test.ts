import { afterAll, beforeAll, expect, test } from 'bun:test'
import { DEPLOYMENT_ENDS } from '@nxmesh/contract'
import { until } from '../support/until.ts'
import { changeSomething, namesServed, namesWanted, type Wanted } from './changes.ts'
import { makeRandom, startChaos } from './chaos.ts'
import { allConnected, converged, type Fleet, type FleetAgent, startFleet } from './fleet.ts'

const AGENTS = 200
const AWAY = 10
const CHANGES = 100
const SEED = Number(process.env.NXMESH_TEST_SEED ?? Date.now() % 1_000_000)

let fleet: Fleet
beforeAll(async () => {
  fleet = await startFleet()
}, 30_000)
afterAll(() => fleet.stop(), 30_000)

const allEnded = async () => {
  const query = { workspace_id: fleet.workspace_id, per_page: 20 }
  const { data } = await fleet.client.call('deployments_list', { query })
  return data.every(deployment => DEPLOYMENT_ENDS.has(deployment.state))
}

/** Each commit of an agent has a higher order than the one before. */
function ordersRise(agent: FleetAgent): boolean {
  return agent.orders.committed.every((order, at) => {
    const before = agent.orders.committed[at - 1]
    return !before || order.epoch > before.epoch || order.generation > before.generation
  })
}

test(`200 agents on flaky links serve the right thing after 100 random changes (seed ${SEED})`, async () => {
  const random = makeRandom(SEED)
  const wanted: Wanted = { hosts: new Map(), labels: new Map() }
  const agents = await fleet.addAgents(AGENTS)
  await allConnected(agents)
  await changeSomething(fleet, wanted, 0, random)
  await until('the first deployment everywhere', () => converged(fleet), { deadline_ms: 30_000 })

  const away = agents.slice(0, AWAY)
  const commits_before = new Map(away.map(agent => [agent.id, agent.orders.committed.length]))
  for (const agent of away) await agent.kill()
  const chaos = startChaos(agents.slice(AWAY), random, 5)
  for (let number = 1; number <= CHANGES; number++) {
    await changeSomething(fleet, wanted, number, random)
    // Some changes come in bursts, before others the deployments end: both are life.
    if (random() < 0.1) await until('the deployments so far to end', allEnded, { deadline_ms: 60_000 })
  }
  expect(chaos.incidents()).toBeGreaterThan(100)
  chaos.stop()
  await until('every deployment to end', allEnded, { deadline_ms: 60_000 })

  for (const agent of away) agent.start()
  await allConnected(agents)
  await until('everybody to serve what was decided last', () => converged(fleet), { deadline_ms: 60_000 })
  await until(
    'everybody to serve what the API says',
    () => agents.every(agent => `${namesServed(agent)}` === `${namesWanted(wanted, agent)}`),
    { deadline_ms: 30_000 },
  )

  expect(agents.filter(agent => !ordersRise(agent)).map(agent => agent.name)).toEqual([])
  // Who was away gets the newest state and nothing from in between.
  const caught_up = away.map(agent => agent.orders.committed.length - (commits_before.get(agent.id) ?? 0))
  expect(Math.max(...caught_up)).toBe(1)
}, 240_000)
