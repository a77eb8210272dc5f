import { afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { forEachEngine } from '../database/testing.ts'
import { until } from '../testing-until.ts'
import { fails, OWNER, openWorld, pool, site, states, type World } from './testing.ts'

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

  describe('after the decision', () => {
    test('the first commit is sent only when the decision is on record, with what each agent shall serve', async () => {
      await start()
      const a = await world.join('a')
      const seen: Promise<(string | null | undefined)[]>[] = []
      a.onCommit = order => {
        const read = async () => {
          const row = await world.deployments.get(OWNER, order.deployment_id)
          const desired = await world.db.read
            .selectFrom('agent_positions')
            .select('desired_bundle_hash')
            .where('agent_id', '=', a.id)
            .executeTakeFirst()
          return [row.state, row.decided_at === null ? 'undecided' : 'decided', desired?.desired_bundle_hash]
        }
        seen.push(read())
        return 'serving'
      }
      const { meta } = await world.create('virtual_host', site('shop'), false)
      // From now on every transaction comes late: much can happen before it.
      world.writes.before = async () => {
        for (let reads = 0; reads < 50; reads++)
          await world.deployments.list(OWNER, undefined, { limit: 1, offset: 0 })
      }
      await world.deployments.waitFor(OWNER, meta.deployment_id ?? '', 5_000)
      expect(await Promise.all(seen)).toEqual([['committing', 'decided', a.position.bundle_hash]])
    })

    test('a load that fails is a failed deployment; the edit is held back, the next one is served', async () => {
      await start()
      const a = await world.join('a')
      const shop = await world.create('virtual_host', site('shop'))
      let broken = true
      a.onCommit = () => (broken ? fails('bind() failed', 'virtual_host', shop.data.id) : 'serving')
      const { meta } = await world.update('virtual_host', shop.data.id, { listen_port: 9_000 })
      expect(meta.deployment?.state).toBe('failed')
      expect(meta.deployment?.targets[0]?.swapped_back).toBe(true)
      broken = false
      const next = await world.create('virtual_host', site('blog'))
      expect(next.meta.deployment?.state).toBe('applied')
      expect(a.serving.map(one => [one.name, one.version_number])).toEqual([
        ['shop', 1],
        ['blog', 1],
      ])
    })

    test('silence reads as unknown, never as health, and nothing is rolled back', async () => {
      await start({ commit_deadline_ms: 50 })
      const a = await world.join('a')
      a.onCommit = () => 'silent'
      const { meta } = await world.create('virtual_host', site('shop'))
      expect(meta.deployment?.state).toBe('failed')
      expect(meta.deployment?.reason).toContain('unknown')
      expect(a.log.filter(one => one === 'abort')).toEqual([])
      a.onCommit = () => 'serving'
      await until('it is delivered again', () => a.serving.length === 1)
    })

    test('an agent that leaves and returns is told again', async () => {
      await start()
      const a = await world.join('a')
      a.onCommit = () => 'silent'
      const { meta } = await world.create('virtual_host', site('shop'), false)
      await until('committed', () => a.log.includes('commit'))
      a.onCommit = () => 'serving'
      await world.disconnect(a)
      await world.connect(a)
      const ended = await world.deployments.waitFor(OWNER, meta.deployment_id ?? '', 5_000)
      expect(states(ended)).toEqual(['a serving'])
    })
  })

  test('a site whose upstream the release lacks is left out by name; the others are served', async () => {
    await start()
    const a = await world.join('a')
    const api = await world.create('upstream', pool('api'))
    const locations = [{ path: '/', upstream_id: api.data.id }]
    await world.create('virtual_host', site('shop', { locations }))
    await world.db.write(async tx => {
      await tx.deleteFrom('release_items').where('resource_id', '=', api.data.id).execute()
    })
    await world.restart()
    await world.connect(a)
    const { meta } = await world.create('virtual_host', site('blog'))
    expect(meta.deployment?.state).toBe('applied')
    expect(meta.deployment?.reason).toContain('Left out')
    expect(meta.deployment?.reason).toContain('"shop"')
    expect(a.serving.map(one => one.name)).toEqual(['blog'])
  })

  describe('a master that is killed', () => {
    test('before the decision touches nothing, and tries again', async () => {
      await start()
      const a = await world.join('a')
      await world.create('virtual_host', site('one'))
      a.onPrepare = () => 'silent'
      const { meta } = await world.create('virtual_host', site('two'), false)
      await until('it is preparing', async () => {
        return (await world.deployments.get(OWNER, meta.deployment_id ?? '')).state === 'preparing'
      })
      await world.restart()
      a.onPrepare = () => 'prepared'
      await world.connect(a)
      await until('it is served', () => a.serving.length === 2)
      const dead = await world.deployments.get(OWNER, meta.deployment_id ?? '')
      expect(dead.state).toBe('aborted')
      expect(dead.followed_by).not.toBeNull()
    })

    test('after the decision carries it to its end', async () => {
      await start()
      const a = await world.join('a')
      const b = await world.join('b')
      a.onCommit = () => 'silent'
      const { meta } = await world.create('virtual_host', site('one'), false)
      const id = meta.deployment_id ?? ''
      await until('it is decided and b serves', async () => {
        const now = await world.deployments.get(OWNER, id)
        return now.state === 'committing' && now.targets[1]?.state === 'serving'
      })
      await world.restart()
      a.onCommit = () => 'serving'
      await world.connect(a)
      await world.connect(b)
      const ended = await world.deployments.waitFor(OWNER, id, 5_000)
      expect(ended.state).toBe('applied')
      expect(states(ended)).toEqual(['a serving', 'b serving'])
      expect(a.log).not.toContain('too late')
      const next = await world.create('virtual_host', site('two'))
      expect(next.meta.deployment?.state).toBe('applied')
    })

    test('between the two, after the agent served it, learns it from the agent', async () => {
      await start()
      const a = await world.join('a')
      const say = a.say
      a.onCommit = () => {
        a.say = () => {}
        return 'serving'
      }
      const { meta } = await world.create('virtual_host', site('one'), false)
      await until('it serves in silence', () => a.serving.length === 1)
      a.say = say
      await world.restart()
      const commits = a.log.filter(one => one === 'commit').length
      await world.connect(a)
      const ended = await world.deployments.waitFor(OWNER, meta.deployment_id ?? '', 5_000)
      expect(states(ended)).toEqual(['a serving'])
      expect(a.log.filter(one => one === 'commit').length).toBe(commits)
    })

    test('with edits waiting delivers them, and never with an order that is too low', async () => {
      await start()
      const a = await world.join('a')
      a.onPrepare = () => 'silent'
      await world.create('virtual_host', site('one'), false)
      await until('out', () => a.log.includes('objects'))
      await world.create('virtual_host', site('two'), false)
      const last = await world.create('virtual_host', site('three'), false)
      await world.restart()
      a.onPrepare = () => 'prepared'
      await world.connect(a)
      const ended = await world.deployments.waitFor(OWNER, last.meta.deployment_id ?? '', 5_000)
      expect(ended.state).toBe('applied')
      await until('all are served', () => a.serving.length === 3)
      expect(a.log).not.toContain('too late')
    })
  })
})
