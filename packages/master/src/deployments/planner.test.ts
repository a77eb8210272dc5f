import { describe, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { type ManifestEntry, UpstreamData, VirtualHostData } from '@nxmesh/contract'
import { applyDelta, manifestText } from '@nxmesh/contract/channel/manifest'
import type { ResourceVersion } from '../config/snapshot.ts'
import { type Bundle, deltaOf, plan } from './planner.ts'
import { advanced, snapshotOf } from './snapshot.ts'

const id = (n: number) => `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`
const upstream = (n: number, name: string, version_number = 1, more: object = {}): ResourceVersion => ({
  kind: 'upstream',
  id: id(n),
  version_number,
  data: UpstreamData.parse({ name, servers: [{ address: '10.0.0.1:80' }], ...more }),
})
const host = (n: number, location: object, version_number = 1, more: object = {}): ResourceVersion => ({
  kind: 'virtual_host',
  id: id(n),
  version_number,
  data: VirtualHostData.parse({
    name: `site ${n}`,
    server_name: `s${n}.example`,
    listen_port: 80,
    locations: [{ path: '/', ...location }],
    ...more,
  }),
})
const agent = (n: number, labels: Record<string, string> = {}) => ({ id: id(1_000 + n), labels })
const keys = (bundle: Bundle | undefined) => bundle?.entries.map(entry => entry.key)
const manifest = (bundle: Bundle): ManifestEntry[] => bundle.entries.map(one => [one.key, one.hash])
const one = (resources: ResourceVersion[]) => plan(snapshotOf(resources), [agent(1)]).bundles[0] as Bundle

describe('a bundle', () => {
  test('holds the sites, their listeners, http settings and only the upstreams that are used', () => {
    const bundle = one([
      upstream(1, 'api'),
      upstream(2, 'unused'),
      upstream(3, 'Named'),
      host(11, { upstream_id: id(1) }),
      host(12, { proxy_pass: 'http://named/x' }, 1, { listen_port: 8080 }),
    ])
    expect(keys(bundle)).toEqual([
      'http/http',
      'listener/80',
      'listener/8080',
      `upstream/${id(1)}`,
      `upstream/${id(3)}`,
      `virtual_host/${id(11)}`,
      `virtual_host/${id(12)}`,
    ])
    expect(JSON.parse(bundle.entries[0]?.json ?? '')).toEqual({
      kind: 'http',
      longest_server_name: 11,
      server_name_count: 2,
    })
  })

  test('has names in place of references, and hashes that the other end computes as well', () => {
    const bundle = one([
      upstream(1, 'api', 1, { keepalive_connections: 8 }),
      host(11, { upstream_id: id(1) }),
    ])
    const site = JSON.parse(bundle.entries.at(-1)?.json ?? '')
    expect(site.locations[0].target).toEqual({ type: 'upstream', name: 'api', keepalive: true })
    for (const entry of bundle.entries)
      expect(createHash('sha256').update(entry.json).digest('hex')).toBe(entry.hash)
    expect(
      createHash('sha256')
        .update(manifestText(manifest(bundle)))
        .digest('hex'),
    ).toBe(bundle.hash)
  })

  test('is the same whatever the order in which resources and agents come', () => {
    const resources = [upstream(1, 'api'), host(11, { upstream_id: id(1) }), host(12, { root: '/srv' })]
    expect(one(resources).hash).toBe(one([...resources].reverse()).hash)
  })

  test('leaves out a site whose upstream the release lacks, names it, and holds the others', () => {
    const orphan = host(11, { upstream_id: id(1) }, 1, { listen_port: 8080 })
    const { bundles, left_out } = plan(snapshotOf([orphan, host(12, { root: '/srv' })]), [agent(1), agent(2)])
    expect(keys(bundles[0])).toEqual(['http/http', 'listener/80', `virtual_host/${id(12)}`])
    expect(left_out.map(one => one.data.name)).toEqual(['site 11'])
    const healed = plan(snapshotOf([orphan, upstream(1, 'api')]), [agent(1)])
    expect(healed.left_out).toEqual([])
    expect(keys(healed.bundles[0])).toContain(`virtual_host/${id(11)}`)
  })

  test('is shared by agents that the same sites go to', () => {
    const web = { target_agents: { match_labels: { role: 'web' } } }
    const listed = { target_agents: { agent_ids: [agent(3).id] } }
    const snapshot = snapshotOf([
      host(11, { root: '/a' }),
      host(12, { root: '/b' }, 1, web),
      host(13, { root: '/c' }, 1, listed),
    ])
    const agents = [agent(1, { role: 'web' }), agent(2, { role: 'web' }), agent(3), agent(4)]
    const planned = plan(snapshot, agents)
    const of = (n: number) => planned.bundle_of.get(agent(n).id)
    expect(planned.bundles.length).toBe(3)
    expect(of(1)).toBe(of(2) as Bundle)
    const sites = (n: number) => keys(of(n))?.filter(key => key.startsWith('virtual_host'))
    expect(sites(1)).toEqual([`virtual_host/${id(11)}`, `virtual_host/${id(12)}`])
    expect(sites(3)).toEqual([`virtual_host/${id(11)}`, `virtual_host/${id(13)}`])
    expect(sites(4)).toEqual([`virtual_host/${id(11)}`])
  })
})

describe('the next release', () => {
  const before = snapshotOf([
    upstream(1, 'api'),
    host(11, { upstream_id: id(1) }),
    host(12, { root: '/b' }),
    host(14, { root: '/d' }, 1, { listen_port: 81 }),
  ])
  const first = plan(before, [agent(1)]).bundles[0] as Bundle
  const next = (changes: (ResourceVersion | number)[]) => {
    const made = changes.map(change =>
      typeof change === 'number'
        ? { kind: 'virtual_host' as const, id: id(change), resource: null }
        : { kind: change.kind, id: change.id, resource: change },
    )
    return plan(advanced(before, made), [agent(1)]).bundles[0] as Bundle
  }

  test('differs only where something changed', () => {
    const { delta, put } = deltaOf(first, next([host(12, { root: '/new' }, 2)]))
    expect(delta.put.map(([key]) => key)).toEqual([`virtual_host/${id(12)}`])
    expect(delta.remove).toEqual([])
    expect(put.length).toBe(1)
  })

  test('renaming an upstream changes the sites that use it', () => {
    const { delta } = deltaOf(first, next([upstream(1, 'api2', 2)]))
    expect(delta.put.map(([key]) => key)).toEqual([`upstream/${id(1)}`, `virtual_host/${id(11)}`])
  })

  test('takes away what nothing uses any more, its listener too', () => {
    const { delta } = deltaOf(first, next([14]))
    expect(delta.remove).toEqual(['listener/81', `virtual_host/${id(14)}`])
    expect(deltaOf(first, next([11])).delta.remove).toEqual([`upstream/${id(1)}`, `virtual_host/${id(11)}`])
  })

  test('an inserted site lands in its place, and the delta makes the same manifest at the other end', () => {
    const inserted = next([host(13, { root: '/c' }), 12])
    expect(inserted.hash).toBe(
      one([
        upstream(1, 'api'),
        host(11, { upstream_id: id(1) }),
        host(13, { root: '/c' }),
        host(14, { root: '/d' }, 1, { listen_port: 81 }),
      ]).hash,
    )
    expect(applyDelta(manifest(first), deltaOf(first, inserted).delta)).toEqual(manifest(inserted))
    expect(applyDelta([], deltaOf(null, inserted).delta)).toEqual(manifest(inserted))
  })

  test('the release before stays as it was', () => {
    next([host(11, { root: '/x' }, 2), 12])
    expect((plan(before, [agent(1)]).bundles[0] as Bundle).hash).toBe(first.hash)
  })
})
