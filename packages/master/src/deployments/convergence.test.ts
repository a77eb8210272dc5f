import { expect, setDefaultTimeout, test } from 'bun:test'
import { ApiError, selects, type VirtualHost } from '@nxmesh/contract'
import { forEachEngine } from '../database/testing.ts'
import { until } from '../testing-until.ts'
import { fails, OWNER, openWorld, pool, refuses, type ScriptedAgent, site, type World } from './testing.ts'

setDefaultTimeout(60_000)

const AGENTS = 8
const STEPS = 120
const ALL = { limit: 1_000, offset: 0 }
type Random = () => number

/** The same numbers for the same seed, so that a failure can be repeated. */
function randomOf(seed: number): Random {
  let state = seed
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296
    return state / 4_294_967_296
  }
}

/** A fleet in which everything goes wrong now and then, until it is calm. */
class Storm {
  readonly refused = new Set<string>()
  readonly hosts: string[] = []
  readonly pools: string[] = []
  calm = false
  readonly world: World
  readonly random: Random

  constructor(world: World, random: Random) {
    this.world = world
    this.random = random
  }

  pick = <T>(from: readonly T[]): T => from[Math.floor(this.random() * from.length)] as T
  take = <T>(from: T[]): T => from.splice(Math.floor(this.random() * from.length), 1)[0] as T

  behave(agent: ScriptedAgent): void {
    agent.onPrepare = objects => {
      for (const one of objects as { id: string; version_number: number; kind: string }[])
        if (this.refused.has(`${one.id}@${one.version_number}`)) return refuses('no', one.kind, one.id)
      const luck = this.calm ? 1 : this.random()
      return luck < 0.05 ? 'silent' : luck < 0.1 ? { unable: 'disk full' } : 'prepared'
    }
    agent.onCommit = () => {
      const luck = this.calm ? 1 : this.random()
      return luck < 0.05 ? 'silent' : luck < 0.08 ? fails('bind() failed') : 'serving'
    }
  }

  locations = () =>
    this.pools.length > 0 && this.random() < 0.5
      ? [{ path: '/', upstream_id: this.pick(this.pools) }]
      : undefined

  async step(number: number): Promise<void> {
    const { world, random } = this
    const luck = random()
    const locations = this.locations()
    const more = locations ? { locations } : {}
    if (luck < 0.15) {
      const target_agents = random() < 0.3 ? { match_labels: { half: this.pick(['0', '1']) } } : { all: true }
      const made = await world.create('virtual_host', site(`s${number}`, { ...more, target_agents }), false)
      this.hosts.push(made.data.id)
    } else if (luck < 0.22)
      this.pools.push((await world.create('upstream', pool(`p${number}`), false)).data.id)
    else if (luck < 0.4 && this.hosts.length > 0)
      await this.edit('virtual_host', this.pick(this.hosts), { ...more, server_name: `n${number}.example` })
    else if (luck < 0.47 && this.pools.length > 0)
      await this.edit('upstream', this.pick(this.pools), { name: `q${number}` })
    else if (luck < 0.53 && this.hosts.length > 0)
      await world.remove('virtual_host', this.take(this.hosts), false)
    else if (luck < 0.55 && this.pools.length > 0)
      await world.remove('upstream', this.take(this.pools), false)
    else if (luck < 0.76) await this.flap(this.pick(world.agents))
    else if (luck < 0.79) await this.kill()
    else if (luck < 0.83) await this.relabel(this.pick(world.agents))
    else await this.newestEnds()
  }

  async edit(kind: 'upstream' | 'virtual_host', id: string, patch: Record<string, unknown>): Promise<void> {
    const { data } = await this.world.update(kind, id, patch, false)
    if (this.random() < 0.25) this.refused.add(`${id}@${data.version_number}`)
  }

  /** Lets things run: until the newest deployment has ended, for at most 30 ms. */
  async newestEnds(): Promise<void> {
    const { items } = await this.world.deployments.list(OWNER, this.world.workspace_id, {
      limit: 1,
      offset: 0,
    })
    if (items[0]) await this.world.deployments.waitFor(OWNER, items[0].id, 30)
  }

  flap = (agent: ScriptedAgent) => (agent.online ? this.world.disconnect(agent) : this.world.connect(agent))

  async kill(): Promise<void> {
    await this.world.restart()
    for (const agent of this.world.agents) if (this.random() < 0.8) await this.world.connect(agent)
  }

  async relabel(agent: ScriptedAgent): Promise<void> {
    agent.labels = { half: this.pick(['0', '1']) }
    await this.world.deployments.labelsChanged(agent.id)
  }

  /** Whether each agent serves the newest version of all that goes to it, save what is held back by name. */
  async converged(): Promise<boolean> {
    const { world } = this
    const { items } = await world.config.list(OWNER, 'virtual_host', world.workspace_id, ALL)
    const deployments = (await world.deployments.list(OWNER, world.workspace_id, ALL)).items
    // The newest deployment may bring an older release to someone who was away.
    const newest = Math.max(...deployments.map(one => one.release_number))
    const last = deployments.find(one => one.release_number === newest)
    const held = new Set(last?.carried.map(one => one.id))
    const wanted = items as unknown as VirtualHost[]
    return world.agents.every(agent =>
      wanted.every(one => {
        const served = agent.serving.find(site => site.name === one.name)
        if (!selects(one.target_agents, agent)) return served === undefined
        return held.has(one.id) || served?.version_number === one.version_number
      }),
    )
  }
}

forEachEngine((engine, open) => {
  const seeds = engine === 'sqlite' ? [5, 6, 17] : [8]
  for (const seed of seeds)
    test(`a fleet in a storm converges, without an order that is too low and without a lost edit (seed ${seed})`, async () => {
      const world = await openWorld(await open(), { prepare_deadline_ms: 60, commit_deadline_ms: 60 })
      const storm = new Storm(world, randomOf(seed))
      for (let index = 0; index < AGENTS; index++)
        storm.behave(await world.join(`a${index}`, { half: String(index % 2) }))
      for (let step = 0; step < STEPS; step++)
        await storm.step(step).catch(error => {
          if (!(error instanceof ApiError) || error.code !== 'IN_USE') throw error
        })
      storm.calm = true
      for (const agent of world.agents) if (!agent.online) await world.connect(agent)
      await world.create('virtual_host', site('last'), true)
      await until('the fleet converged', () => storm.converged())
      await until('every deployment has ended', async () => {
        const { items } = await world.deployments.list(OWNER, world.workspace_id, ALL)
        return items.every(one => one.finished_at !== null)
      })
      expect(world.agents.flatMap(agent => agent.log).filter(one => one === 'too late')).toEqual([])
      expect(world.errors).toEqual([])
      await world.stop()
    })
})
