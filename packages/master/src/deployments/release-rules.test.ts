import { describe, expect, test } from 'bun:test'
import { DEPLOYMENT_ENDS, type TargetState, VirtualHostData } from '@nxmesh/contract'
import { blamed } from './blame-rules.ts'
import { backoff_ms, DEPLOYMENT_STEPS, endOf, outcomeOf, TARGET_STEPS } from './deployment-rules.ts'
import { type Candidate, type CarryInput, carry } from './release-rules.ts'
import { snapshotOf } from './snapshot.ts'
import { site } from './testing.ts'

const upstream = (id: string, version_number: number, data: unknown = { name: id }): Candidate => ({
  kind: 'upstream',
  id,
  version_number,
  data,
})
const host = (id: string, version_number: number, ...upstreams: string[]): Candidate => ({
  kind: 'virtual_host',
  id,
  version_number,
  data: { locations: upstreams.map(upstream_id => ({ upstream_id })) },
})
const gone = (one: Candidate, version_number: number): Candidate => ({ ...one, version_number, data: null })
function decide(input: {
  wanted: Candidate[]
  deployed?: Candidate[]
  refused?: string[]
  outside?: string[]
}) {
  const rules: CarryInput = {
    wanted: input.wanted,
    deployed: new Map((input.deployed ?? []).map(one => [one.id, one])),
    isRefused: (_kind, id, version_number) => (input.refused ?? []).includes(`${id}@${version_number}`),
    hasUpstream: id => (input.outside ?? []).includes(id),
  }
  const { chosen, carried } = carry(rules)
  const versions = Object.fromEntries([...chosen].map(([id, one]) => [id, one?.version_number ?? null]))
  return { versions, carried: carried.map(one => [one.id, one.version_number, one.rejected_version_number]) }
}

describe('a refused version', () => {
  test('gives way to the one that was deployed', () => {
    const { versions, carried } = decide({
      wanted: [host('v', 3)],
      deployed: [host('v', 2)],
      refused: ['v@3'],
    })
    expect(versions).toEqual({ v: 2 })
    expect(carried).toEqual([['v', 2, 3]])
  })

  test('is left out when none was deployed', () => {
    const { versions, carried } = decide({ wanted: [host('v', 1)], refused: ['v@1'] })
    expect(versions).toEqual({ v: null })
    expect(carried).toEqual([['v', null, 1]])
  })

  test('of an upstream takes along what cannot be without it', () => {
    const wanted = [upstream('u', 1), host('new', 1, 'u'), host('old', 2, 'u'), host('other', 1, 'x')]
    const { versions, carried } = decide({
      wanted,
      deployed: [host('old', 1)],
      refused: ['u@1'],
      outside: ['x'],
    })
    expect(versions).toEqual({ u: null, new: null, old: 1, other: 1 })
    expect(carried.map(([id]) => id)).toEqual(['u', 'new', 'old'])
  })

  test('of an upstream with a deployed one leaves its users alone', () => {
    const wanted = [upstream('u', 2), host('v', 5, 'u')]
    expect(decide({ wanted, deployed: [upstream('u', 1)], refused: ['u@2'] }).versions).toEqual({
      u: 1,
      v: 5,
    })
  })

  test('keeps alive what it needs and what was deleted meanwhile', () => {
    const wanted = [gone(upstream('u', 1), 2), host('v', 3)]
    const deployed = [upstream('u', 1), host('v', 2, 'u')]
    const held = decide({ wanted, deployed, refused: ['v@3'] })
    expect(held.versions).toEqual({ u: 1, v: 2 })
    expect(held.carried).toEqual([
      ['u', 1, 2],
      ['v', 2, 3],
    ])
    const mended = decide({ wanted: [gone(upstream('u', 1), 2), host('v', 4)], deployed, refused: ['v@3'] })
    expect(mended.versions).toEqual({ u: null, v: 4 })
    expect(mended.carried).toEqual([])
  })
})

describe('an error of nginx', () => {
  const snapshot = snapshotOf([
    {
      kind: 'virtual_host',
      id: 'v',
      version_number: 2,
      data: VirtualHostData.parse(site('v', { listen_port: 81 })),
    },
    { kind: 'virtual_host', id: 'w', version_number: 1, data: VirtualHostData.parse(site('w')) },
  ])
  const blame = (resource: { kind: string; id: string } | null, fresh: string[]) => {
    const error = { message: 'no', file: null, line: null, resource }
    const news = fresh.map(id => ({ kind: 'virtual_host' as const, id, version_number: 2 }))
    return blamed({ error, snapshot, news, isNew: (_kind, id) => fresh.includes(id) }).map(one => one.id)
  }
  test('is held against the resource that it names, if that is new', () => {
    expect(blame({ kind: 'virtual_host', id: 'v' }, ['v', 'w'])).toEqual(['v'])
    expect(blame({ kind: 'virtual_host', id: 'w' }, ['v'])).toEqual([])
  })
  test('about a listener is held against the new sites on its port', () => {
    expect(blame({ kind: 'listener', id: '81' }, ['v'])).toEqual(['v'])
    expect(blame({ kind: 'listener', id: '80' }, ['v'])).toEqual([])
  })
  test('that names nothing is held against the only change, or against none', () => {
    expect(blame(null, ['v'])).toEqual(['v'])
    expect(blame(null, ['v', 'w'])).toEqual([])
  })
})

describe('the state machines', () => {
  test('have no way out of an end of a deployment, and a way to an end from everywhere else', () => {
    for (const [state, next] of Object.entries(DEPLOYMENT_STEPS))
      expect(next.length === 0).toBe(DEPLOYMENT_ENDS.has(state as never))
  })
  test('never reach serving without a commit, save by the proof of an agent that returned', () => {
    const before = Object.entries(TARGET_STEPS).filter(([, next]) => next.includes('serving'))
    expect(before.map(([state]) => state).sort()).toEqual([
      'committed',
      'loaded',
      'offline',
      'unable',
      'unknown',
    ])
  })
  const counts = (states: Partial<Record<TargetState, number>>) => (state: TargetState) => states[state] ?? 0
  test('commit what somebody prepared, or what nobody is there to be asked about', () => {
    expect(outcomeOf(counts({ prepared: 1, unable: 2, offline: 1 }), 3, false)).toBe('commit')
    expect(outcomeOf(counts({ offline: 2 }), 0, false)).toBe('commit')
    expect(outcomeOf(counts({ unable: 2 }), 2, false)).toBe('abort')
    expect(outcomeOf(counts({ prepared: 2, rejected: 1 }), 3, true)).toBe('reject')
  })
  test('call nothing applied that failed or stayed silent', () => {
    expect(endOf(counts({ serving: 3 }))).toEqual({ state: 'applied', reason: null })
    expect(endOf(counts({ serving: 3, unknown: 1 })).state).toBe('failed')
    expect(endOf(counts({ serving: 3, failed: 1 })).state).toBe('failed')
    expect(endOf(counts({ serving: 3, offline: 1 })).state).toBe('applied')
  })
  test('try again after a while that grows and stays bounded', () => {
    expect(backoff_ms(0, 1_000, 60_000, 0)).toBe(500)
    expect(backoff_ms(3, 1_000, 60_000, 1)).toBe(8_500)
    expect(backoff_ms(1_000, 1_000, 60_000, 1)).toBe(60_500)
  })
})
