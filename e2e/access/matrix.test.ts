import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { BASE_PATH, ENDPOINTS, type OperationId } from '@nxmesh/contract'
import { type AccessScope, type Endpoint, scopeOf } from '@nxmesh/contract/endpoints/endpoint'
import { type Asked, type Level, SAMPLES, type Sample } from './matrix-samples.ts'
import { type Actor, type MatrixWorld, openMatrixWorld, type Place } from './matrix-world.ts'

setDefaultTimeout(300_000)

/**
 * Every endpoint × every role × own and foreign places. What is expected follows from the endpoint table alone: the permission
 * and the scope of the row against what the role has, and where. Nothing else may be let in.
 */

let world: MatrixWorld
let actors: Actor[]
beforeAll(async () => {
  world = await openMatrixWorld()
  actors = await world.actors()
})
afterAll(() => world.stop())

type Answer = 'in' | 'UNAUTHENTICATED' | 'FORBIDDEN' | 'NOT_FOUND'

/** The levels at which objects of an endpoint lie. */
const LEVELS: Record<AccessScope, readonly Level[]> = {
  instance: ['instance'],
  organization: ['organization'],
  workspace: ['workspace'],
  place: ['instance', 'organization', 'workspace'],
}

/** What the table says about a caller and an object at a level of a place. */
function expected(row: Endpoint, sample: Sample, actor: Actor, at: Place, level: Level): Answer {
  if (actor.token === null) return 'UNAUTHENTICATED'
  if (row.access === 'authenticated') return 'in'
  if (typeof row.access !== 'string') throw new Error('public')
  if (!actor.permissions.has(row.access)) return 'FORBIDDEN'
  const { bound } = actor
  if (bound === null) return 'in'
  const outside = sample.hidden ? 'NOT_FOUND' : 'FORBIDDEN'
  if (sample.filtered === 'everywhere') return 'in'
  if (level === 'instance') return sample.filtered === 'unasked' ? 'in' : outside
  if (bound.organization_id !== at.organization_id) return 'NOT_FOUND'
  if (bound.workspace_id === null || sample.filtered === 'inside') return 'in'
  if (level === 'workspace') return bound.workspace_id === at.workspace_id ? 'in' : 'NOT_FOUND'
  // Whoever belongs to a workspace may read the name of its organization.
  return row.access === 'organization:read' ? 'in' : outside
}

async function ask(row: Endpoint, actor: Actor, { params = {}, query = {}, body }: Asked) {
  const path = row.path.replace(/\{(\w+)\}/g, (_, name: string) => params[name] ?? '')
  const search = new URLSearchParams(query)
  const answer = await fetch(`${world.base_url}${BASE_PATH}${path}${search.size > 0 ? `?${search}` : ''}`, {
    method: row.method,
    headers: {
      ...(actor.token === null ? {} : { authorization: `Bearer ${actor.token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  const code = answer.ok ? 'in' : String(JSON.parse(text).error.code)
  return { code, status: answer.status, text }
}

const rows = (Object.entries(ENDPOINTS) as [OperationId, Endpoint][]).filter(
  ([, row]) => typeof row.access === 'string',
)

describe('the matrix', () => {
  test.each(rows)('%s', async (id, row) => {
    const sample = SAMPLES[id]
    const places: Place[] = [world.own, world.sibling, world.foreign]
    const problems: string[] = []
    for (const level of LEVELS[scopeOf(row) ?? 'instance'])
      for (const at of places) {
        let asked: Asked | null = null
        for (const actor of actors) {
          asked ??= await sample.make(world, at, level)
          const wanted = expected(row, sample, actor, at, level)
          const { code, status, text } = await ask(row, actor, asked)
          if (code === 'in' && (sample.consumed || row.method === 'POST')) asked = null
          const got = sample.also?.includes(code) ? 'in' : code
          const let_in = got === 'in'
          const may_lack = wanted === 'in' && !actor.built_in && sample.needs_more !== undefined
          const fine = got === wanted || (may_lack && ['FORBIDDEN', 'NOT_FOUND'].includes(got))
          const where = at === world.own ? 'own' : at === world.sibling ? 'sibling' : 'foreign'
          if (!fine || (let_in && wanted !== 'in'))
            problems.push(
              `${actor.name}, ${level} (${where}): ${got} ${status}, not ${wanted} ${text.slice(0, 200)}`,
            )
        }
      }
    expect(problems).toEqual([])
  })

  test('saw what it should', () => {
    expect(rows.length).toBeGreaterThan(50)
    expect(actors.length).toBeGreaterThan(80)
  })
})

test('a list shows only what its reader may see', async () => {
  const lists = rows.filter(([id, row]) => row.method === 'GET' && id.endsWith('_list') && !row.params)
  for (const [id, row] of lists)
    for (const actor of actors) {
      if (actor.token === null || actor.bound === null) continue
      const { code, text } = await ask(row, actor, {})
      if (code !== 'in') continue
      const foreign = [world.foreign.organization_id, world.foreign.workspace_id]
      const beyond = actor.bound.workspace_id === null ? foreign : [...foreign, world.sibling.workspace_id]
      for (const one of beyond)
        if (text.includes(one)) throw new Error(`${id} shows ${actor.name} something of ${one}: ${text}`)
    }
})
