import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { type Client, ENDPOINTS, type Endpoint, type RoleName, type Workspace } from '@nxmesh/contract'
import { forEachEngine } from '../database/testing.ts'
import { codeOf } from '../http/testing.ts'
import { newId } from '../ids.ts'
import { type Filled, fill, openTestMaster, site, type TestMaster, type User } from './testing.ts'

/** Areas whose objects belong to tenants, by the tags of the endpoint table. */
const TAGS = new Set(['Tenancy', 'Agents', 'Configuration', 'Deployments'])
const BY_ID = Object.entries(ENDPOINTS as Record<string, Endpoint>).filter(
  ([, row]) => TAGS.has(row.tag) && row.path.includes('{id}'),
)

/** The least that passes each endpoint's validation: what is refused then is refused for the object. */
const BODIES: Record<string, unknown> = {
  organization_workspaces_create: { name: 'x', slug: 'x' },
  agent_tokens_create: {},
  workspace_tokens_create: {},
}

interface Tenant {
  readonly organization_id: string
  readonly slug: string
  readonly workspaces: readonly Workspace[]
  readonly filled: readonly Filled[]
  /** For the organization. */
  readonly owner: User
  /** For the first workspace. */
  readonly users: Readonly<Record<'viewer' | 'operator' | 'admin', User>>
}

forEachEngine((_engine, open) => {
  let master: TestMaster
  let admin: Client
  let ours: Tenant
  let theirs: Tenant
  beforeAll(async () => {
    master = await openTestMaster(await open())
    admin = master.admin
    ours = await tenant('ours')
    theirs = await tenant('theirs')
  })
  afterAll(() => master.stop())

  async function tenant(slug: string): Promise<Tenant> {
    const { data: made } = await admin.call('organizations_create', { body: { name: slug, slug } })
    const organization_id = made.id
    const owner = await master.invite(admin, 'owner', { organization_id, workspace_id: null })
    const workspaces: Workspace[] = []
    const filled: Filled[] = []
    for (const name of ['one', 'two']) {
      const body = { organization_id, name, slug: name }
      const { data } = await owner.client.call('workspaces_create', { body })
      workspaces.push(data)
      filled.push(await fill(owner.client, data.id, `${slug}-${name}`))
    }
    const place = { organization_id, workspace_id: workspaces[0]?.id ?? '' }
    const invite = (role: RoleName) => master.invite(owner.client, role, place)
    const users = {
      viewer: await invite('viewer'),
      operator: await invite('operator'),
      admin: await invite('admin'),
    }
    return { organization_id, slug, workspaces, filled, owner, users }
  }

  /** The id of another's object for an endpoint. */
  const idFor = (path: string, other: Tenant, at: 0 | 1): string => {
    const filled = other.filled[at]
    const [, noun] = path.split('/')
    if (noun === 'organizations') return other.organization_id
    if (noun === 'workspaces') return other.workspaces[at]?.id ?? ''
    if (noun === 'agents') return filled?.agent.id ?? ''
    if (noun === 'upstreams') return filled?.upstream.id ?? ''
    if (noun === 'virtual-hosts') return filled?.host.id ?? ''
    if (noun === 'deployments') return filled?.deployment_id ?? ''
    throw new Error(`what belongs at ${path}?`)
  }
  /** Each of the endpoints with this id in its place; what is answered otherwise than NOT_FOUND. */
  const reached = async (user: User, rows: typeof BY_ID, idOf: (path: string) => string) => {
    const answers: string[] = []
    const token = theirs.filled[0]?.token ?? { id: '' }
    for (const [operation, { method, path, body: wanted }] of rows) {
      const url = path.replace('{id}', idOf(path)).replace('{version}', '1').replace('{token_id}', token.id)
      const body = wanted ? (BODIES[operation] ?? {}) : undefined
      const response = await master.fetch(user.token, method, url, body)
      if (response.status !== 404) answers.push(`${operation}: ${response.status} ${await response.text()}`)
    }
    return answers
  }

  describe('another organization', () => {
    test('is not there in any address, not even for an owner', async () => {
      expect(await reached(ours.owner, BY_ID, path => idFor(path, theirs, 0))).toEqual([])
      // The walk itself is sound: whoever owns it reaches all of it.
      const harmless = BY_ID.filter(([, row]) => row.method !== 'DELETE')
      expect(harmless.length).toBeGreaterThan(15)
      const own = await reached(theirs.owner, harmless, path => idFor(path, theirs, 1))
      expect(own).toHaveLength(harmless.length)
    })

    test('is in no list', async () => {
      const { client } = ours.owner
      const ids = (rows: { workspace_id: string }[]) => new Set(rows.map(row => row.workspace_id))
      const own = new Set(ours.workspaces.map(one => one.id))
      expect(ids((await client.call('agents_list')).data)).toEqual(own)
      expect(ids((await client.call('upstreams_list')).data)).toEqual(own)
      expect(ids((await client.call('virtual_hosts_list')).data)).toEqual(own)
      expect(ids((await client.call('deployments_list')).data)).toEqual(own)
      expect((await client.call('organizations_list')).data.map(one => one.slug)).toEqual(['ours'])
      expect(new Set((await client.call('workspaces_list')).data.map(one => one.id))).toEqual(own)
    })

    test('is not there in a query or a body either', async () => {
      const { client } = ours.owner
      const workspace_id = theirs.workspaces[0]?.id ?? ''
      const { organization_id } = theirs
      const query = { workspace_id }
      const codes = await Promise.all(
        [
          client.call('agents_list', { query }),
          client.call('upstreams_list', { query }),
          client.call('virtual_hosts_list', { query }),
          client.call('deployments_list', { query }),
          client.call('api_keys_list', { query }),
          client.call('audit_log_list', { query }),
          client.call('workspaces_list', { query: { organization_id } }),
          client.call('agents_create', { body: { workspace_id, name: 'x' } }),
          client.call('virtual_hosts_create', { body: site(workspace_id, 'x') }),
          client.call('upstreams_create', {
            body: { workspace_id, name: 'x', servers: [{ address: '10.0.0.1:80' }] },
          }),
          client.call('workspaces_create', { body: { organization_id, name: 'x', slug: 'x' } }),
        ].map(codeOf),
      )
      expect(new Set(codes)).toEqual(new Set(['NOT_FOUND']))
    })

    test('of nobody looks the same as another’s, for everybody', async () => {
      const nobodys = newId()
      for (const user of [ours.owner, ours.users.admin, ours.users.viewer]) {
        const [unknown, another] = await Promise.all(
          [nobodys, theirs.organization_id].map(id =>
            master.fetch(user.token, 'GET', `/organizations/${id}`),
          ),
        )
        expect([unknown?.status, another?.status]).toEqual([404, 404])
        const bodies = [await unknown?.json(), await another?.json()] as { error: { message: string } }[]
        expect(bodies[0]?.error.message).toBe(bodies[1]?.error.message ?? '')
      }
      const by_admin = [
        admin.call('organizations_get', { params: { id: nobodys } }),
        admin.call('organizations_update', { params: { id: nobodys }, body: { name: 'x' } }),
        admin.call('organizations_delete', { params: { id: nobodys }, query: { confirm: 'x' } }),
        admin.call('organization_workspaces_list', { params: { id: nobodys } }),
        admin.call('roles_create', {
          body: { organization_id: nobodys, name: 'x', permissions: ['agent:read'] },
        }),
      ]
      expect(await Promise.all(by_admin.map(codeOf))).toEqual(by_admin.map(() => 'NOT_FOUND'))
    })
  })

  describe('another workspace of the same organization', () => {
    const rows = BY_ID.filter(([, row]) => !row.path.startsWith('/organizations/'))

    test('is not there in any address for whoever has a role in one', async () => {
      expect(await reached(ours.users.admin, rows, path => idFor(path, ours, 1))).toEqual([])
    })

    test('is in no list; of the organization its name is seen', async () => {
      const { client } = ours.users.viewer
      const [own] = ours.workspaces
      expect((await client.call('workspaces_list')).data.map(one => one.id)).toEqual([own?.id ?? ''])
      const params = { id: ours.organization_id }
      expect((await client.call('organization_workspaces_list', { params })).meta.total).toBe(1)
      expect((await client.call('organizations_get', { params })).data.name).toBe('ours')
      expect((await client.call('organizations_list')).data.map(one => one.slug)).toEqual(['ours'])
      for (const list of ['agents_list', 'upstreams_list', 'virtual_hosts_list'] as const) {
        const { data } = await client.call(list)
        expect(new Set(data.map(row => row.workspace_id))).toEqual(new Set([own?.id ?? '']))
      }
    })

    test('is not made or renamed by whoever has a role in one', async () => {
      const { client } = ours.users.admin
      const { organization_id } = ours
      const body = { organization_id, name: 'x', slug: 'x' }
      expect(await codeOf(client.call('workspaces_create', { body }))).toBe('FORBIDDEN')
      const params = { id: organization_id }
      expect(await codeOf(client.call('organizations_update', { params, body: { name: 'x' } }))).toBe(
        'FORBIDDEN',
      )
      const confirm = { confirm: ours.slug }
      expect(await codeOf(client.call('organizations_delete', { params, query: confirm }))).toBe('FORBIDDEN')
    })

    test('is not pointed into', async () => {
      const [own] = ours.workspaces
      const elsewhere = ours.filled[1]
      for (const reference of [
        { locations: [{ path: '/', upstream_id: elsewhere?.upstream.id ?? '' }] },
        { agent_ids: [elsewhere?.agent.id ?? ''] },
      ]) {
        const body = { ...site(own?.id ?? '', 'pointing'), ...reference }
        expect(await codeOf(ours.owner.client.call('virtual_hosts_create', { body }))).toBe(
          'VALIDATION_ERROR',
        )
      }
    })
  })

  test('nothing is moved or raised by fields that a change does not have', async () => {
    const mine = ours.filled[0]
    const [, second] = ours.workspaces
    const extras = {
      id: newId(),
      role: 'owner',
      workspace_id: second?.id,
      organization_id: theirs.organization_id,
    }
    const paths = [
      `/agents/${mine?.agent.id}`,
      `/virtual-hosts/${mine?.host.id}`,
      `/upstreams/${mine?.upstream.id}`,
      `/workspaces/${ours.workspaces[0]?.id}`,
      `/organizations/${ours.organization_id}`,
    ]
    for (const path of paths)
      for (const [field, value] of Object.entries(extras)) {
        const response = await master.fetch(ours.owner.token, 'PATCH', path, { [field]: value })
        expect([path, field, response.status]).toEqual([path, field, 422])
      }
    const { data } = await ours.owner.client.call('agents_get', { params: { id: mine?.agent.id ?? '' } })
    expect(data.workspace_id).toBe(ours.workspaces[0]?.id ?? '')
  })

  test('who keeps the instance sees its tenants, and nothing of what they serve', async () => {
    const keeper = await master.invite(admin, 'instance_admin', { organization_id: null, workspace_id: null })
    const { client } = keeper
    const slugs = (await client.call('organizations_list')).data.map(one => one.slug)
    expect(slugs).toEqual(expect.arrayContaining(['ours', 'theirs']))
    expect((await client.call('workspaces_list')).meta.total).toBeGreaterThanOrEqual(5)
    const [one] = ours.workspaces
    expect((await client.call('workspaces_get', { params: { id: one?.id ?? '' } })).data.name).toBe('one')
    for (const list of ['agents_list', 'upstreams_list', 'virtual_hosts_list', 'deployments_list'] as const)
      expect(await codeOf(client.call(list))).toBe('FORBIDDEN')
    const id = ours.filled[0]?.agent.id ?? ''
    expect(await codeOf(client.call('agents_get', { params: { id } }))).toBe('FORBIDDEN')
    const body = { name: 'Made', slug: 'made' }
    expect((await client.call('organizations_create', { body })).data.slug).toBe('made')
    expect(await codeOf(ours.owner.client.call('organizations_create', { body }))).toBe('FORBIDDEN')
  })
})
