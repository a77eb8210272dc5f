import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { ApiError, canonicalJson, ENDPOINTS, type ErrorCode, LIMITS } from '@nxmesh/contract'
import { callerWith } from '../access/testing.ts'
import { forEachEngine } from '../database/testing.ts'
import { OWNER, openWorld, pool, site, type World } from '../deployments/testing.ts'

const refusal = async (work: Promise<unknown>): Promise<ApiError> => {
  const error = await work.then(
    () => null,
    thrown => thrown,
  )
  expect(error).toBeInstanceOf(ApiError)
  return error
}
const code = async (work: Promise<unknown>): Promise<ErrorCode> => (await refusal(work)).code
// The first to ask for PostgreSQL waits for its start.
setDefaultTimeout(60_000)
const slice = { limit: 10, offset: 0 }

forEachEngine((_engine, open) => {
  let world: World
  let serial = 0
  /** A name that no other test uses. */
  const fresh = (name: string) => `${name}${++serial}`
  beforeAll(async () => {
    world = await openWorld(await open())
  })
  afterAll(async () => {
    await world?.stop()
  })
  const audited = async (id: string) =>
    await world.db.read
      .selectFrom('audit_log')
      .select(['action', 'before_json', 'after_json'])
      .where('object_id', '=', id)
      .orderBy('sequence')
      .execute()

  describe('an agent that is named as target', () => {
    test('must be in the workspace, or the field is named; one that is deleted later does no harm', async () => {
      const agent = await world.join(fresh('agent'))
      const stranger = '00000000-0000-7000-8000-00000000dead'
      const both = { target_agents: { agent_ids: [agent.id, stranger] } }
      const field = 'target_agents.agent_ids.1'
      const error = await refusal(world.create('virtual_host', site(fresh('x'), both), false))
      expect([error.code, error.details[0]?.field]).toEqual(['VALIDATION_ERROR', field])
      const only = { target_agents: { agent_ids: [agent.id] } }
      const made = await world.create('virtual_host', site(fresh('x'), only), false)
      const patch = await refusal(world.update('virtual_host', made.data.id, both, false))
      expect([patch.code, patch.details[0]?.field]).toEqual(['VALIDATION_ERROR', field])

      await world.disconnect(agent)
      world.agents.splice(world.agents.indexOf(agent), 1)
      const edited = await world.update('virtual_host', made.data.id, { ...only, gzip_enabled: true }, false)
      expect(edited.data.version_number).toBe(2)
    })
  })

  describe('every accepted change', () => {
    test('makes a version with author, summary and checksum, and an audit row with before and after', async () => {
      const name = fresh('shop')
      const made = await world.create('virtual_host', site(name), false)
      const { id } = made.data
      await world.update('virtual_host', id, { gzip_enabled: true, listen_port: 8_080 }, false)
      const { items, total } = await world.config.versions(OWNER, 'virtual_host', id, slice)
      expect(total).toBe(2)
      expect(items.map(one => [one.version_number, one.change_summary])).toEqual([
        [2, 'Changed gzip_enabled, listen_port'],
        [1, 'Created'],
      ])
      const sum = createHash('sha256').update(canonicalJson(items[0]?.data)).digest('hex')
      expect(items[0]?.checksum).toBe(sum)
      expect(items[0]?.created_by).toEqual(OWNER.principal)
      const audit = await audited(id)
      expect(audit.map(row => row.action)).toEqual(['virtual_host.create', 'virtual_host.update'])
      expect(JSON.parse(audit[1]?.before_json ?? '').listen_port).toBe(80)
      expect(JSON.parse(audit[1]?.after_json ?? '').listen_port).toBe(8_080)
    })

    test('is answered as accepted also when the wait for its deployment fails', async () => {
      const { waitFor } = world.deployments
      Object.assign(world.deployments, { waitFor: () => Promise.reject(new Error('the wait broke')) })
      try {
        const made = await world.create('virtual_host', site(fresh('stored')))
        expect(made.meta).toMatchObject({ changed: true, deployment_id: expect.any(String) })
        expect(made.meta.deployment).toBeUndefined()
        expect(world.errors.splice(0).join()).toContain('the wait broke')
      } finally {
        Object.assign(world.deployments, { waitFor })
      }
    })

    test('answers with what the endpoint table promises', async () => {
      const upstream = await world.create('upstream', pool(fresh('pool')), false)
      const host = await world.create('virtual_host', site(fresh('host')), false)
      ENDPOINTS.upstreams_create.response.parse(upstream)
      ENDPOINTS.virtual_hosts_create.response.parse(host)
      const versions = await world.config.versions(OWNER, 'upstream', upstream.data.id, slice)
      for (const one of versions.items) ENDPOINTS.upstreams_versions_get.response.parse({ data: one })
    })

    test('answers its fields in the order of the schema: what it is first, a location by its path', async () => {
      const made = await world.create('virtual_host', site(fresh('order')), false)
      const { id } = made.data
      const [version] = (await world.config.versions(OWNER, 'virtual_host', id, slice)).items
      for (const seen of [made.data, await world.config.get(OWNER, 'virtual_host', id)]) {
        const fields = Object.keys(seen)
        expect(fields.slice(0, 4)).toEqual(['id', 'workspace_id', 'name', 'server_name'])
        expect(fields.slice(-3)).toEqual(['version_number', 'created_at', 'updated_at'])
        expect(Object.keys((seen.locations as object[])[0] ?? {})[0]).toBe('path')
      }
      expect(Object.keys(version?.data ?? {}).slice(0, 2)).toEqual(['name', 'server_name'])
    })

    test('that changes nothing makes no version and no deployment', async () => {
      const made = await world.create('upstream', pool(fresh('same')), false)
      const again = await world.update('upstream', made.data.id, { algorithm: 'round_robin' }, false)
      expect(again.meta).toEqual({ changed: false, deployment_id: null })
      expect(again.data.version_number).toBe(1)
      expect((await world.config.versions(OWNER, 'upstream', made.data.id, slice)).total).toBe(1)
    })

    test('leaves the fields alone that a patch does not name', async () => {
      const made = await world.create('virtual_host', site(fresh('kept'), { gzip_enabled: true }), false)
      const changed = await world.update('virtual_host', made.data.id, { listen_port: 81 }, false)
      expect(changed.data.gzip_enabled).toBe(true)
      expect(changed.data.locations).toEqual(made.data.locations)
    })

    test('of a version that someone else has changed is refused', async () => {
      const made = await world.create('upstream', pool(fresh('race')), false)
      const { id } = made.data
      const patch = { algorithm: 'least_connections' }
      await world.update('upstream', id, patch, false)
      const input = { patch: { algorithm: 'ip_hash' }, if_match: 1, change_summary: undefined }
      expect(await code(world.config.update(OWNER, 'upstream', id, input, null))).toBe('PRECONDITION_FAILED')
      expect(await code(world.config.remove(OWNER, 'upstream', id, 1, null))).toBe('PRECONDITION_FAILED')
      expect((await world.config.get(OWNER, 'upstream', id)).version_number).toBe(2)
    })

    test('that is invalid names the field and stores nothing', async () => {
      const name = fresh('bad')
      const error = await refusal(
        world.create('virtual_host', site(name, { locations: [{ path: '/' }] }), false),
      )
      expect(error.code).toBe('VALIDATION_ERROR')
      expect(error.details[0]?.field).toBe('locations.0.path')
      expect(await code(world.create('virtual_host', site(name, { ssl_enabled: true }), false))).toBe(
        'NOT_BUILT_YET',
      )
      await world.create('virtual_host', site(name), false)
    })

    test('that would not fit into a bundle is refused', async () => {
      const value = 'x'.repeat(LIMITS.header_value_chars)
      const custom_headers = Array.from({ length: 60 }, (_, index) => ({ name: `H-${index}`, value }))
      const locations = Array.from({ length: 5 }, (_, index) => ({
        path: `/${index}`,
        root: '/srv',
        custom_headers,
      }))
      expect(await code(world.create('virtual_host', site(fresh('huge'), { locations }), false))).toBe(
        'LIMIT_REACHED',
      )
    })
  })

  describe('references', () => {
    test('to an upstream that is not in the workspace are refused by field', async () => {
      const locations = [
        { path: '/', root: '/srv' },
        { path: '/api', upstream_id: '01900000-0000-7000-8000-000000000000' },
      ]
      const error = await refusal(world.create('virtual_host', site(fresh('lost'), { locations }), false))
      expect(error.code).toBe('VALIDATION_ERROR')
      expect(error.details.map(one => one.field)).toEqual(['locations.1.upstream_id'])
    })

    test('keep an upstream from being deleted, by id and by name in proxy_pass, and name the users', async () => {
      const name = fresh('Backend')
      const upstream = await world.create('upstream', pool(name), false)
      const { id } = upstream.data
      const byId = await world.create(
        'virtual_host',
        site(fresh('a'), { locations: [{ path: '/', upstream_id: id }] }),
        false,
      )
      const proxied = [{ path: '/', proxy_pass: `http://${name.toLowerCase()}/x` }]
      const byName = await world.create('virtual_host', site(fresh('b'), { locations: proxied }), false)
      const error = await refusal(world.remove('upstream', id, false))
      expect(error.code).toBe('IN_USE')
      expect(error.details.map(one => one.field).sort()).toEqual(
        [`virtual-hosts/${byId.data.id}`, `virtual-hosts/${byName.data.id}`].sort(),
      )
      await world.update('virtual_host', byId.data.id, { locations: [{ path: '/', root: '/srv' }] }, false)
      expect(await code(world.remove('upstream', id, false))).toBe('IN_USE')
      expect(await code(world.update('upstream', id, { name: fresh('other') }, false))).toBe('CONFLICT')
      await world.remove('virtual_host', byName.data.id, false)
      await world.remove('upstream', id, false)
      expect(await code(world.config.get(OWNER, 'upstream', id))).toBe('NOT_FOUND')
    })

    test('by name with a port, which nginx refuses for an upstream, are refused from both sides', async () => {
      const name = fresh('withport')
      const locations = [{ path: '/', proxy_pass: `http://${name}:8080` }]
      const host = await world.create('virtual_host', site(fresh('p'), { locations }), false)
      expect(await code(world.create('upstream', pool(name), false))).toBe('CONFLICT')
      await world.remove('virtual_host', host.data.id, false)
      await world.create('upstream', pool(name), false)
      const error = await refusal(world.create('virtual_host', site(fresh('q'), { locations }), false))
      expect(error.details[0]?.field).toBe('locations.0.proxy_pass')
    })
  })

  describe('what only one may have', () => {
    test('names: once a kind, without case for upstreams, free again after deletion', async () => {
      const name = fresh('unique')
      const made = await world.create('upstream', pool(name), false)
      const error = await refusal(world.create('upstream', pool(name.toUpperCase()), false))
      expect(error.code).toBe('CONFLICT')
      expect(error.details[0]?.field).toBe('name')
      await world.create('virtual_host', site(name), false)
      await world.remove('upstream', made.data.id, false)
      await world.create('upstream', pool(name), false)
    })

    test('a server name on a port: the refusal names both sides', async () => {
      const name = fresh('claim')
      const first = await world.create(
        'virtual_host',
        site(name, { server_name: `${name}.a, ${name}.b` }),
        false,
      )
      const error = await refusal(
        world.create('virtual_host', site(fresh('other'), { server_name: `${name}.b` }), false),
      )
      expect(error.code).toBe('CONFLICT')
      expect(error.message).toContain(`${name}.b on port 80`)
      expect(error.message).toContain(first.data.id)
      const elsewhere = site(fresh('port'), { server_name: `${name}.b`, listen_port: 81 })
      const moved = await world.create('virtual_host', elsewhere, false)
      expect(await code(world.update('virtual_host', moved.data.id, { listen_port: 80 }, false))).toBe(
        'CONFLICT',
      )
    })
  })

  test('a deleted resource keeps its history, and its last version says so', async () => {
    const made = await world.create('virtual_host', site(fresh('gone')), false)
    const { id } = made.data
    const removed = await world.remove('virtual_host', id, false)
    expect(removed.version_number).toBe(2)
    expect(await code(world.config.get(OWNER, 'virtual_host', id))).toBe('NOT_FOUND')
    expect(await code(world.update('virtual_host', id, { listen_port: 9 }, false))).toBe('NOT_FOUND')
    const last = await world.config.version(OWNER, 'virtual_host', id, 2)
    expect([last.data, last.change_summary]).toEqual([null, 'Deleted'])
    expect((await world.config.version(OWNER, 'virtual_host', id, 1)).data?.listen_port).toBe(80)
    expect(await code(world.config.version(OWNER, 'virtual_host', id, 3))).toBe('NOT_FOUND')
  })

  test('lists page through a workspace, and another workspace sees nothing of it', async () => {
    const name = fresh('listed')
    await world.create('upstream', pool(name), false)
    const all = await world.config.list(OWNER, 'upstream', world.workspace_id, { limit: 200, offset: 0 })
    expect(all.items.some(one => one.name === name)).toBe(true)
    const second = await world.config.list(OWNER, 'upstream', world.workspace_id, { limit: 1, offset: 1 })
    expect(second.items[0]?.id).toBe(all.items[1]?.id as string)
    expect(second.total).toBe(all.items.length)
    const elsewhere = '01900000-0000-7000-8000-000000000000'
    expect(await code(world.config.list(OWNER, 'upstream', elsewhere, slice))).toBe('NOT_FOUND')
  })

  test('who lacks the permission is refused, and nothing is stored', async () => {
    const reader = callerWith(['config:read'])
    const made = await world.create('upstream', pool(fresh('guarded')), false)
    const input = { workspace_id: world.workspace_id, data: pool(fresh('no')), change_summary: undefined }
    expect(await code(world.config.create(reader, 'upstream', input, null))).toBe('FORBIDDEN')
    const patch = { patch: { algorithm: 'ip_hash' }, if_match: null, change_summary: undefined }
    expect(await code(world.config.update(reader, 'upstream', made.data.id, patch, null))).toBe('FORBIDDEN')
    expect(await code(world.config.remove(reader, 'upstream', made.data.id, null, null))).toBe('FORBIDDEN')
    expect(await code(world.config.get(callerWith([]), 'upstream', made.data.id))).toBe('NOT_FOUND')
  })

  test('nothing failed behind the answers', () => expect(world.errors).toEqual([]))
})
