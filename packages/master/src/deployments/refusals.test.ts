import { afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { forEachEngine } from '../database/testing.ts'
import { until } from '../testing-until.ts'
import { fails, OWNER, openWorld, pool, refuses, type ScriptedAgent, site, type World } from './testing.ts'

// The first to ask for PostgreSQL waits for its start.
setDefaultTimeout(60_000)

const proxy = (proxy_pass: string) => ({ locations: [{ path: '/', proxy_pass }] })

forEachEngine((_engine, open) => {
  let world: World
  afterEach(async () => {
    await world.stop()
    expect(world.errors).toEqual([])
  })

  const returns = async () => {
    const { items } = await world.deployments.list(OWNER, world.workspace_id, { limit: 50, offset: 0 })
    return items.filter(one => one.trigger === 'agent_returned')
  }
  const comeBack = async (agent: ScriptedAgent) => {
    await world.disconnect(agent)
    await world.connect(agent)
  }
  /** `a` fails on what `b` serves well: nobody's edit is to blame. */
  const aFails = async () => {
    const a = await world.join('a')
    await world.join('b')
    const shop = await world.create('virtual_host', site('shop'))
    a.onCommit = () => fails('bind() to 0.0.0.0:80 failed', 'virtual_host', shop.data.id)
    const { meta } = await world.create('virtual_host', site('blog'))
    expect(meta.deployment?.state).toBe('failed')
    expect(a.serving.map(one => one.name)).toEqual(['shop'])
    return { a, shop }
  }

  describe('an agent that could not load what the others serve', () => {
    test('gets it when it returns mended', async () => {
      world = await openWorld(await open())
      const { a } = await aFails()
      a.onCommit = () => 'serving'
      await comeBack(a)
      await until('a serves both', () => a.serving.length === 2)
      await until('the delivery is on record', async () => (await returns())[0]?.state === 'applied')
    })

    test('gets it also when the master was restarted in between', async () => {
      world = await openWorld(await open())
      const { a } = await aFails()
      a.onCommit = () => 'serving'
      await world.restart()
      await world.connect(a)
      await until('a serves both', () => a.serving.length === 2)
    })

    test('that comes and goes without being mended is tried once, then after a growing while', async () => {
      world = await openWorld(await open(), { retry_min_ms: 30_000, retry_max_ms: 60_000 })
      const { a, shop } = await aFails()
      a.onPrepare = () => refuses('host not found', 'virtual_host', shop.data.id)
      await comeBack(a)
      await until('it was tried', async () => (await returns())[0]?.finished_at !== null)
      for (let times = 0; times < 5; times++) await comeBack(a)
      const { meta } = await world.create('virtual_host', site('news', { target_agents: { agent_ids: [] } }))
      expect(meta.deployment?.state).toBe('applied')
      const tried = await returns()
      expect(tried.length).toBe(1)
      expect(tried[0]?.reason).toContain('host not found')
      expect(tried[0]?.reason).toContain('when the agent returns')
    })
  })

  test('an upstream keeps its name as long as a refused edit leaves a version in service that uses it', async () => {
    world = await openWorld(await open())
    const a = await world.join('a')
    const api = await world.create('upstream', pool('Api'))
    const shop = await world.create('virtual_host', site('shop', proxy('http://api')))
    a.onPrepare = objects =>
      JSON.stringify(objects).includes('elsewhere')
        ? refuses('host not found in upstream', 'virtual_host', shop.data.id)
        : 'prepared'
    const bad = await world.update('virtual_host', shop.data.id, proxy('http://elsewhere'))
    expect(bad.meta.deployment?.state).toBe('rejected')

    const conflict = /by version 1 of the virtual host "shop".*newer version was refused/
    await expect(world.update('upstream', api.data.id, { name: 'backend' })).rejects.toThrow(conflict)
    await expect(world.remove('upstream', api.data.id)).rejects.toThrow(conflict)
    const other = await world.update('upstream', api.data.id, { keepalive_connections: 4 })
    expect(other.meta.deployment?.state).toBe('applied')

    await world.update('virtual_host', shop.data.id, proxy('http://10.0.0.9'))
    const renamed = await world.update('upstream', api.data.id, { name: 'backend' })
    expect(renamed.meta.deployment?.state).toBe('applied')
  })

  test('labels that a killed master had stored but not acted upon are acted upon when the agent returns', async () => {
    world = await openWorld(await open())
    const a = await world.join('a', { role: 'db' })
    await world.create('virtual_host', site('web', { target_agents: { match_labels: { role: 'web' } } }))
    expect(a.serving).toEqual([])
    a.labels = { role: 'web' }
    await world.restart()
    await world.connect(a)
    await until('a serves it', () => a.serving.length === 1)
  })
})
