import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { ApiError } from '@nxmesh/contract'
import { forEachEngine } from '../database/testing.ts'
import { until } from '../testing-until.ts'
import { now, openWorld, type ScriptedAgent, site, type World } from './testing.ts'

/** The commit that the agent was told of last. */
function commitOf(agent: ScriptedAgent) {
  const order = agent.orders.at(-1)
  if (order?.type !== 'commit') throw new Error('the agent was not told to commit')
  const { deployment_id, epoch, generation } = order
  return { deployment_id, epoch, generation }
}

forEachEngine((_engine, open) => {
  describe('a workspace that is deleted while something runs in it', () => {
    let world: World
    beforeAll(async () => {
      world = await openWorld(await open(), { prepare_deadline_ms: 60_000, commit_deadline_ms: 60_000 })
    })
    afterAll(() => world.stop())

    const deployments = () =>
      world.db.read.selectFrom('deployments').select(['id', 'state', 'finished_at']).orderBy('id').execute()
    const targets = async () =>
      (await world.db.read.selectFrom('deployment_targets').select('state').execute()).map(row => row.state)
    /** What tenancy does with this area. */
    const close = () =>
      world.db.write(async tx => {
        const { workspace_id } = world
        await world.deployments.contents.close?.(tx, { organization_id: null, workspace_ids: [workspace_id] })
        const deleted_at = new Date().toISOString()
        await tx.updateTable('workspaces').set({ deleted_at }).where('id', '=', workspace_id).execute()
      })

    test('lets go of those who wait, and writes nothing of it any more', async () => {
      const slow = await world.join('slow')
      await world.create('virtual_host', site('served'))
      slow.onCommit = () => 'silent'
      const decided = world.create('virtual_host', site('decided'))
      await until('the decision', async () => (await deployments()).some(row => row.state === 'committing'))
      await until('the agent to be told', () => slow.orders.at(-1)?.type === 'commit')
      const queued = world.create('virtual_host', site('queued'))
      await until('the next to wait', async () => (await deployments()).some(row => row.state === 'queued'))
      // Reports that are not written yet when the workspace is deleted.
      const gate = Promise.withResolvers<void>()
      let asked = false
      world.writes.before = () => {
        asked = true
        return gate.promise
      }
      slow.say({ type: 'loaded', ...commitOf(slow), at: now().toISOString() })
      await until('the report to be on its way', () => asked)
      const began_ms = performance.now()
      await close()
      gate.resolve()
      // Far sooner than they would have waited.
      for (const waiting of await Promise.all([decided, queued]))
        expect([waiting.meta.changed, waiting.meta.deployment?.state]).toEqual([true, 'aborted'])
      expect(performance.now() - began_ms).toBeLessThan(3_000)

      const ended = await deployments()
      expect(ended.map(row => row.state)).toEqual(['applied', 'aborted', 'aborted'])
      // What an agent says of it, comes or goes, changes nothing.
      const orders = slow.orders.length
      slow.say({
        type: 'serving',
        ...commitOf(slow),
        at: now().toISOString(),
        tree_hash: 'a'.repeat(64),
        timings_ms: {},
      })
      await world.disconnect(slow)
      world.deployments.wake(world.workspace_id)
      await world.db.write(async () => {})
      expect(await deployments()).toEqual(ended)
      expect(await targets()).not.toContain('loaded')
      expect(slow.orders).toHaveLength(orders)
      expect(world.errors).toEqual([])
    })

    test('takes nothing new', async () => {
      const create = world.create('virtual_host', site('late'), false)
      const error = await create.catch((refused: unknown) => refused)
      expect(error).toBeInstanceOf(ApiError)
      expect((error as ApiError).code).toBe('NOT_FOUND')
    })

    test('is not carried on by the next master', async () => {
      const before = await deployments()
      await world.restart()
      await world.db.write(async () => {})
      expect(await deployments()).toEqual(before)
      expect(world.errors).toEqual([])
    })

    test('goes in steps, none larger than it may be', async () => {
      const purge = () =>
        world.db.write(async tx => (await world.deployments.contents.purge?.(tx, world.workspace_id, 2)) ?? 0)
      const steps: number[] = []
      for (let rows = await purge(); rows > 0; rows = await purge()) steps.push(rows)
      expect(steps.length).toBeGreaterThan(3)
      expect(Math.max(...steps)).toBeLessThanOrEqual(2)
      for (const table of ['deployments', 'deployment_targets', 'releases', 'release_items'] as const)
        expect(await world.db.read.selectFrom(table).selectAll().execute()).toEqual([])
    })
  })
})
