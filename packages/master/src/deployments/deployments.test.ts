import { afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { callerWith } from '../access/testing.ts'
import { forEachEngine } from '../database/testing.ts'
import { until } from '../testing-until.ts'
import { OWNER, openWorld, pool, refuses, site, states, type World } from './testing.ts'

// The first to ask for PostgreSQL waits for its start.
setDefaultTimeout(60_000)

forEachEngine((_engine, open) => {
  let world: World
  const start = async (times = {}) => {
    world = await openWorld(await open(), times)
  }
  afterEach(async () => {
    await world.stop()
    expect(world.errors).toEqual([])
  })

  describe('an edit', () => {
    test('is served by every agent, with each step and its time on record', async () => {
      await start()
      const a = await world.join('a')
      const b = await world.join('b')
      const { meta } = await world.create('virtual_host', site('shop'))
      expect(meta.deployment?.state).toBe('applied')
      expect(states(meta.deployment)).toEqual(['a serving', 'b serving'])
      expect(a.serving.map(one => one.name)).toEqual(['shop'])
      expect(b.serving.map(one => one.name)).toEqual(['shop'])
      const steps = meta.deployment?.targets[0]?.steps
      for (const step of [
        'desired_at',
        'delivered_at',
        'prepared_at',
        'committed_at',
        'loaded_at',
        'serving_at',
      ] as const)
        expect(steps?.[step]).toMatch(/^2/)
      expect(meta.deployment?.targets[0]?.timings_ms).toEqual({ render: 1, reload: 2 })
    })

    test('sends only what changed, and what only others need is not sent at all', async () => {
      await start()
      const a = await world.join('a', { role: 'web' })
      const b = await world.join('b', { role: 'db' })
      const web = await world.create(
        'virtual_host',
        site('web', { target_agents: { match_labels: { role: 'web' } } }),
      )
      await world.create('virtual_host', site('all'))
      const before = b.orders.length
      const { meta } = await world.update('virtual_host', web.data.id, { gzip_enabled: true })
      expect(states(meta.deployment)).toEqual(['a serving'])
      expect(b.orders.length).toBe(before)
      const prepare = a.orders.findLast(order => order.type === 'prepare')
      expect(prepare?.type === 'prepare' && prepare.manifest.put.map(([key]) => key)).toEqual([
        `virtual_host/${web.data.id}`,
      ])
      expect(prepare?.type === 'prepare' && prepare.object_count).toBe(1)
    })

    test('that nothing on any agent depends on ends at once, and says so', async () => {
      await start()
      await world.join('a')
      await world.create('virtual_host', site('shop'))
      const { meta } = await world.create('upstream', pool('unused'))
      expect(meta.deployment?.state).toBe('applied')
      expect(meta.deployment?.reason).toContain('Nothing changes')
    })

    test('by someone who may not deploy is kept but goes nowhere', async () => {
      await start()
      const a = await world.join('a')
      const writer = callerWith(['config:write'])
      const input = { workspace_id: world.workspace_id, data: site('draft'), change_summary: undefined }
      const { meta } = await world.config.create(writer, 'virtual_host', input, null)
      expect(meta.deployment_id).toBeNull()
      await world.create('virtual_host', site('shop'))
      expect(a.serving.map(one => one.name)).toEqual(['shop'])
    })

    test('that comes while another runs goes out with the newest of those that wait', async () => {
      await start()
      const a = await world.join('a')
      let hold = true
      a.onPrepare = () => (hold ? 'silent' : 'prepared')
      const first = await world.create('virtual_host', site('one'), false)
      await until('the first is prepared', () => a.log.includes('objects'))
      const second = await world.create('virtual_host', site('two'), false)
      const third = await world.create('virtual_host', site('three'), false)
      hold = false
      await world.disconnect(a)
      await world.connect(a)
      const ids = [first, second, third].map(one => one.meta.deployment_id ?? '')
      const [one, two, three] = await Promise.all(ids.map(id => world.deployments.waitFor(OWNER, id, 5_000)))
      expect(one?.id).toBe(ids[0] as string)
      expect(three?.state).toBe('applied')
      expect(two?.id).toBe(three?.id as string)
      expect((await world.deployments.get(OWNER, ids[1] ?? '')).state).toBe('superseded')
      expect(a.serving.length).toBe(3)
    })

    test('with nobody there to ask is decided at once, and reaches agents as they come', async () => {
      await start()
      const a = await world.join('a')
      await world.create('virtual_host', site('one'))
      await world.disconnect(a)
      const { meta } = await world.create('virtual_host', site('two'))
      expect(meta.deployment?.state).toBe('applied')
      expect(states(meta.deployment)).toEqual(['a offline'])
      await world.create('virtual_host', site('three'))
      const orders = a.orders.length
      await world.connect(a)
      await until('a serves all three', () => a.serving.length === 3)
      expect(a.orders.slice(orders).filter(order => order.type === 'prepare').length).toBe(1)
      await until('the old parts are resolved', async () => {
        const old = await world.deployments.get(OWNER, meta.deployment_id ?? '')
        return old.targets[0]?.state === 'superseded'
      })
      const { items } = await world.deployments.list(OWNER, world.workspace_id, { limit: 10, offset: 0 })
      expect(items[0]?.trigger).toBe('agent_returned')
    })
  })

  describe('a refusal', () => {
    test('touches nothing, names the reason, and holds up no later edit', async () => {
      await start()
      const a = await world.join('a')
      const b = await world.join('b')
      const bad = await world.create('virtual_host', site('bad'))
      const good = await world.create('virtual_host', site('good'))
      const served = [a.position.bundle_hash, b.position.bundle_hash]
      b.onPrepare = objects =>
        JSON.stringify(objects).includes('"gzip_enabled":true')
          ? refuses('host not found', 'virtual_host', bad.data.id)
          : 'prepared'
      const refused = await world.update('virtual_host', bad.data.id, { gzip_enabled: true })
      expect(refused.meta.deployment?.state).toBe('rejected')
      expect(refused.meta.deployment?.targets.find(one => one.agent_name === 'b')?.error?.message).toBe(
        'host not found',
      )
      expect([a.position.bundle_hash, b.position.bundle_hash]).toEqual(served)
      await until('a was told', () => a.log.includes('abort'))

      const next = await world.update('virtual_host', good.data.id, { server_name: 'new.example' })
      expect(next.meta.deployment?.state).toBe('applied')
      expect(next.meta.deployment?.carried).toEqual([
        { kind: 'virtual_host', id: bad.data.id, version_number: 1, rejected_version_number: 2 },
      ])
      expect(b.serving.map(one => [one.name, one.version_number])).toEqual([
        ['bad', 1],
        ['good', 2],
      ])
      const mended = await world.update('virtual_host', bad.data.id, { gzip_enabled: false, listen_port: 81 })
      expect(mended.meta.deployment?.state).toBe('applied')
      expect(mended.meta.deployment?.carried).toEqual([])
      expect(b.serving.map(one => one.version_number)).toEqual([3, 2])
    })

    test('of one of two edits that went together brings the other on', async () => {
      await start()
      const a = await world.join('a')
      const other = await world.create('virtual_host', site('other'))
      const bad = await world.create('virtual_host', site('bad'))
      let hold = true
      a.onPrepare = objects => {
        if (hold) return 'silent'
        return JSON.stringify(objects).includes('bad2')
          ? refuses('no', 'virtual_host', bad.data.id)
          : 'prepared'
      }
      const orders = a.orders.length
      await world.update('virtual_host', other.data.id, { gzip_enabled: true }, false)
      await until('the first is out', () => a.orders.length > orders + 1)
      const two = await world.update('virtual_host', bad.data.id, { server_name: 'bad2.example' }, false)
      const three = await world.update('virtual_host', other.data.id, { listen_port: 81 }, false)
      hold = false
      await world.disconnect(a)
      await world.connect(a)
      const ended = await world.deployments.waitFor(OWNER, three.meta.deployment_id ?? '', 5_000)
      expect(ended.state).toBe('applied')
      expect(ended.carried.map(one => one.id)).toEqual([bad.data.id])
      const refused = await world.deployments.waitFor(OWNER, two.meta.deployment_id ?? '', 5_000)
      expect(refused.state).toBe('rejected')
      expect(a.serving.map(one => one.version_number)).toEqual([3, 1])
    })

    test('of a new upstream leaves out what needs it, and says so', async () => {
      await start()
      const a = await world.join('a')
      await world.create('virtual_host', site('old'))
      const backend = await world.create('upstream', pool('backend'))
      a.onPrepare = objects =>
        JSON.stringify(objects).includes('backend') ? refuses('no', 'upstream', backend.data.id) : 'prepared'
      const locations = [{ path: '/', upstream_id: backend.data.id }]
      const refused = await world.create('virtual_host', site('new', { locations }))
      expect(refused.meta.deployment?.state).toBe('rejected')
      const next = await world.create('virtual_host', site('third'))
      expect(next.meta.deployment?.state).toBe('applied')
      expect(a.serving.map(one => one.name)).toEqual(['old', 'third'])
      const left_out = next.meta.deployment?.carried.map(one => [one.kind, one.version_number])
      expect(left_out).toContainEqual(['virtual_host', null])
    })

    test('of what is served already blames nothing: the site stays, the edit is refused', async () => {
      await start()
      const a = await world.join('a')
      const shop = await world.create('virtual_host', site('shop'))
      a.onPrepare = () => refuses('name does not resolve', 'virtual_host', shop.data.id)
      const edit = await world.create('virtual_host', site('blog'))
      expect(edit.meta.deployment?.state).toBe('rejected')
      expect(a.serving.map(one => one.name)).toEqual(['shop'])
      a.onPrepare = () => 'prepared'
      const next = await world.create('virtual_host', site('third'))
      expect(next.meta.deployment?.carried).toEqual([])
      expect(a.serving.map(one => one.name)).toEqual(['shop', 'blog', 'third'])
    })
  })

  describe('agents', () => {
    test('that are unable hold up nobody and get it when they can', async () => {
      await start()
      const a = await world.join('a')
      const b = await world.join('b')
      let full = true
      b.onPrepare = () => (full ? { unable: 'disk full' } : 'prepared')
      const { meta } = await world.create('virtual_host', site('shop'))
      expect(meta.deployment?.state).toBe('applied')
      expect(states(meta.deployment)).toEqual(['a serving', 'b unable'])
      expect(a.serving.length).toBe(1)
      full = false
      await until('b caught up', () => b.serving.length === 1)
    })

    test('that are all unable leave it undecided, and it is tried again', async () => {
      await start()
      const a = await world.join('a')
      let full = true
      a.onPrepare = () => (full ? { unable: 'disk full' } : 'prepared')
      const { meta } = await world.create('virtual_host', site('shop'))
      expect(['aborted', 'applied']).toContain(meta.deployment?.state as string)
      full = false
      await until('it is served', () => a.serving.length === 1)
      await until('the followers end', async () => {
        const last = await world.deployments.waitFor(OWNER, meta.deployment_id ?? '', 1_000)
        return last.state === 'applied'
      })
    })

    test('that are new get what is deployed', async () => {
      await start()
      await world.create('virtual_host', site('shop'))
      const late = await world.join('late')
      await until('it serves', () => late.serving.length === 1)
      const { items } = await world.deployments.list(OWNER, undefined, { limit: 1, offset: 0 })
      expect(items[0]?.trigger).toBe('agent_joined')
    })

    test('whose labels change get what now matches', async () => {
      await start()
      const a = await world.join('a', { role: 'db' })
      await world.create('virtual_host', site('all'))
      await world.create('virtual_host', site('web', { target_agents: { match_labels: { role: 'web' } } }))
      expect(a.serving.length).toBe(1)
      a.labels = { role: 'web' }
      await world.deployments.labelsChanged(a.id)
      await until('it serves both', () => a.serving.length === 2)
    })

    test('on hold get nothing until the hold is lifted', async () => {
      await start()
      const a = await world.join('a')
      await world.create('virtual_host', site('one'))
      a.position = { ...a.position, hold: { since: new Date().toISOString(), reason: 'rollback' } }
      a.say({ type: 'position_changed', position: a.position })
      await until('the hold is known', async () => {
        const known = await world.deployments.positions([a.id])
        return known.get(a.id)?.hold !== null
      })
      const orders = a.orders.length
      const { meta } = await world.create('virtual_host', site('two'))
      expect(states(meta.deployment)).toEqual(['a offline'])
      expect(a.orders.length).toBe(orders)
      a.position = { ...a.position, hold: null }
      a.say({ type: 'position_changed', position: a.position })
      await until('it serves both', () => a.serving.length === 2)
    })

    test('that lost their objects ask for them and get what their own manifest names', async () => {
      await start()
      const a = await world.join('a')
      await world.create('virtual_host', site('one'))
      a.cache.clear()
      a.manifests.clear()
      const { meta } = await world.create('virtual_host', site('two'))
      expect(meta.deployment?.state).toBe('applied')
      expect(a.serving.length).toBe(2)
      const foreign = a.orders.length
      a.say({
        type: 'need',
        deployment_id: meta.deployment_id ?? '',
        manifest: false,
        hashes: ['0'.repeat(64)],
      })
      await world.create('virtual_host', site('three'))
      expect(a.orders.slice(foreign).filter(order => order.type === 'objects').length).toBe(1)
    })
  })
})
