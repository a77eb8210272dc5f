import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { type Client, ROLE_IDS, type Workspace } from '@nxmesh/contract'
import { forEachEngine } from '../database/testing.ts'
import { codeOf } from '../http/testing.ts'
import { until } from '../testing-until.ts'
import { errorOf, fill, openTestMaster, site, type TestMaster } from './testing.ts'

/** Every table whose rows say which workspace they belong to. */
const TABLES = [
  'agents',
  'bootstrap_tokens',
  'resources',
  'resource_versions',
  'resource_claims',
  'releases',
  'release_items',
  'deployments',
  'api_keys',
  'role_bindings',
  'invitations',
] as const

forEachEngine((_engine, open) => {
  let master: TestMaster
  let admin: Client
  let number = 0
  beforeAll(async () => {
    master = await openTestMaster(await open())
    admin = master.admin
  })
  afterAll(() => master.stop())

  const organization = async () => {
    const slug = `org-${++number}`
    return (await admin.call('organizations_create', { body: { name: slug, slug } })).data
  }
  const workspace = async (organization_id: string, slug = `ws-${++number}`): Promise<Workspace> =>
    (await admin.call('workspaces_create', { body: { organization_id, name: slug, slug } })).data
  const remove = ({ id, slug }: { id: string; slug: string }) =>
    admin.call('workspaces_delete', { params: { id }, query: { confirm: slug } })
  const rowsOf = async (workspace_id: string): Promise<Record<string, number>> => {
    const found: Record<string, number> = {}
    for (const table of TABLES) {
      const query = master.db.read.selectFrom(table).select('workspace_id')
      const rows = await query.where('workspace_id', '=', workspace_id).execute()
      if (rows.length > 0) found[table] = rows.length
    }
    return found
  }
  const purged = (id: string) =>
    until(`the rows of ${id} to go`, async () => {
      const query = master.db.read.selectFrom('workspaces').select('id').where('id', '=', id)
      return (await query.executeTakeFirst()) === undefined
    })
  const lastAudit = async (action: string) => {
    const query = master.db.read.selectFrom('audit_log').selectAll().where('action', '=', action)
    return await query.orderBy('sequence', 'desc').executeTakeFirstOrThrow()
  }
  const people = async (place: { organization_id: string; workspace_id: string | null }) => {
    const user = await master.invite(admin, 'viewer', place)
    const role = ROLE_IDS.operator
    const { data: key } = await admin.call('api_keys_create', { body: { name: 'ci', role, ...place } })
    const invited = { email: `waits-${++number}@example.com`, role, ...place }
    const { data: invitation } = await admin.call('invitations_create', { body: invited })
    return { user, key: master.client(key.key), invitation }
  }

  describe('a deletion that is not confirmed', () => {
    test('says what would go, and deletes nothing', async () => {
      const one = await workspace((await organization()).id)
      await fill(admin, one.id)
      await people({ organization_id: one.organization_id, workspace_id: one.id })
      const error = await errorOf(admin.call('workspaces_delete', { params: { id: one.id } }))
      expect(error).toMatchObject({ code: 'CONFIRMATION_REQUIRED', status: 409 })
      expect(error.message).toContain(`confirm=${one.slug}`)
      const told = Object.fromEntries(error.details.map(({ field, message }) => [field, message]))
      expect(told).toEqual({
        workspace: `"${one.name}" (${one.slug})`,
        agents: '1, 0 of them connected',
        bootstrap_tokens: '1',
        virtual_hosts: '1',
        upstreams: '1',
        versions: '2',
        releases: '2',
        deployments: '2',
        api_keys: '1',
        role_bindings: '1',
        invitations: '1',
      })
      expect((await rowsOf(one.id)).resources).toBe(2)
    })

    test('of one that is empty names only itself', async () => {
      const one = await workspace((await organization()).id)
      const error = await errorOf(admin.call('workspaces_delete', { params: { id: one.id } }))
      expect(error.details.map(detail => detail.field)).toEqual(['workspace'])
    })

    test('with a slug that is not its own is refused', async () => {
      const one = await workspace((await organization()).id)
      const error = await errorOf(remove({ id: one.id, slug: 'default' }))
      expect(error).toMatchObject({ code: 'VALIDATION_ERROR', details: [{ field: 'confirm' }] })
      expect((await admin.call('workspaces_get', { params: { id: one.id } })).data).toEqual(one)
    })

    test('of an organization names its workspaces, and what is in all of them together', async () => {
      const { id, slug } = await organization()
      const inside = []
      for (let n = 0; n < 22; n++) inside.push(await workspace(id))
      for (const one of inside.slice(0, 2)) await fill(admin, one.id)
      const body = { organization_id: id, name: 'ours', permissions: ['agent:read' as const] }
      await admin.call('roles_create', { body })
      const { details } = await errorOf(admin.call('organizations_delete', { params: { id } }))
      const of = (field: string) => details.filter(one => one.field === field).map(one => one.message)
      expect(of('organization')).toEqual([`"${slug}" (${slug})`])
      expect(of('workspaces')).toHaveLength(21)
      expect(of('workspaces')[0]).toContain(inside[0]?.slug ?? '')
      expect(of('workspaces')[20]).toBe('and 2 more')
      expect([of('agents'), of('versions'), of('roles')]).toEqual([['2, 0 of them connected'], ['4'], ['1']])
    })
  })

  describe('a deletion', () => {
    test('of a workspace takes everything in it, at once for everybody', async () => {
      const home = await organization()
      const [one, other] = [await workspace(home.id), await workspace(home.id)]
      const made = await fill(admin, one.id)
      await fill(admin, other.id)
      const { user, key, invitation } = await people({ organization_id: home.id, workspace_id: one.id })
      expect((await key.call('agents_list')).meta.total).toBe(1)
      await remove(one)

      expect(await codeOf(admin.call('workspaces_get', { params: { id: one.id } }))).toBe('NOT_FOUND')
      expect(await codeOf(admin.call('agents_get', { params: { id: made.agent.id } }))).toBe('NOT_FOUND')
      expect(await codeOf(admin.call('virtual_hosts_get', { params: { id: made.host.id } }))).toBe(
        'NOT_FOUND',
      )
      expect(await codeOf(admin.call('deployments_get', { params: { id: made.deployment_id } }))).toBe(
        'NOT_FOUND',
      )
      expect((await admin.call('virtual_hosts_list')).data.some(host => host.id === made.host.id)).toBe(false)
      expect(await codeOf(key.call('agents_list'))).toBe('UNAUTHENTICATED')
      expect(await codeOf(user.client.call('agents_list'))).toBe('FORBIDDEN')
      expect((await user.client.call('me')).data.email).toContain('@')
      const registration = { token: made.token.token, hostname: 'h', version: '0.1.0' }
      const anonymous = master.client('none')
      expect(await codeOf(anonymous.call('agents_register', { body: registration }))).toBe(
        'BOOTSTRAP_TOKEN_INVALID',
      )
      const accept = { token: invitation.link.token, password: 'correct horse battery' }
      expect(await codeOf(anonymous.call('accept_invitation', { body: accept }))).toBe('LINK_INVALID')
      // Its name and slug are free at once.
      expect((await workspace(home.id, one.slug)).name).toBe(one.name)

      await purged(one.id)
      expect(await rowsOf(one.id)).toEqual({})
      expect((await rowsOf(other.id)).resources).toBe(2)
      const references = master.db.read.selectFrom('resource_references').select('from_id')
      expect(await references.where('from_id', '=', made.host.id).execute()).toEqual([])
    })

    test('stays in the audit log, with what was there', async () => {
      const one = await workspace((await organization()).id)
      await fill(admin, one.id)
      await remove(one)
      const row = await lastAudit('workspace.delete')
      expect(row).toMatchObject({
        object_id: one.id,
        workspace_id: one.id,
        organization_id: one.organization_id,
        after_json: null,
      })
      expect(JSON.parse(row.before_json ?? '')).toMatchObject({
        name: one.name,
        contents: { agents: 1, virtual_hosts: 1, upstreams: 1, versions: 2, bootstrap_tokens: 1 },
      })
      const query = { workspace_id: one.id, action: 'agent.create' }
      expect((await admin.call('audit_log_list', { query })).meta.total).toBe(1)
    })

    test('of an organization takes its workspaces, its roles and its people’s roles', async () => {
      const home = await organization()
      const inside = [await workspace(home.id), await workspace(home.id)]
      for (const one of inside) await fill(admin, one.id)
      const { user, key } = await people({ organization_id: home.id, workspace_id: null })
      const body = { organization_id: home.id, name: 'ours', permissions: ['agent:read' as const] }
      const { data: role } = await admin.call('roles_create', { body })
      const params = { id: home.id }
      await admin.call('organizations_delete', { params, query: { confirm: home.slug } })
      expect(await codeOf(admin.call('organizations_get', { params }))).toBe('NOT_FOUND')
      expect(await codeOf(admin.call('roles_get', { params: { id: role.id } }))).toBe('NOT_FOUND')
      expect(await codeOf(key.call('agents_list'))).toBe('UNAUTHENTICATED')
      expect((await user.client.call('me')).data.email).toContain('@')
      expect(await codeOf(user.client.call('organizations_get', { params }))).toBe('FORBIDDEN')
      for (const one of inside) await purged(one.id)
      await until('the organization’s row to go', async () => {
        const rows = await master.db.read.selectFrom('organizations').select('id').execute()
        return rows.every(row => row.id !== home.id)
      })
      expect(JSON.parse((await lastAudit('organization.delete')).before_json ?? '').contents).toMatchObject({
        workspaces: 2,
        agents: 2,
        roles: 1,
        role_bindings: 2,
      })
      const again = { name: home.name, slug: home.slug }
      expect((await admin.call('organizations_create', { body: again })).data.slug).toBe(home.slug)
    })

    test('that a master died after is brought to its end by the next one', async () => {
      const db = await open()
      const first = await openTestMaster(db)
      const [home] = (await first.admin.call('workspaces_list')).data
      if (!home) throw new Error('no workspace')
      await fill(first.admin, home.id)
      // Its doors are open yet, but nothing is deleted any more.
      await first.stop()
      await first.admin.call('workspaces_delete', { params: { id: home.id }, query: { confirm: home.slug } })
      const left = () => db.read.selectFrom('resource_versions').select('id').execute()
      expect(await left()).toHaveLength(2)
      const next = first.nextMaster()
      await next.recover()
      await until('nothing to be left', async () => (await left()).length === 0)
      await until('the workspace to go', async () => {
        return (await db.read.selectFrom('workspaces').select('id').execute()).length === 0
      })
      await next.stop()
    })
  })

  test('what is put in while it is deleted is deleted with it, or finds nothing', async () => {
    const home = await organization()
    const ends = { in_time: 0, too_late: 0 }
    for (let round = 0; round < 4; round++) {
      const one = await workspace(home.id)
      const { id: workspace_id } = one
      const place = { organization_id: home.id, workspace_id }
      const role = ROLE_IDS.viewer
      let number = 0
      const puts = (n: number) => [
        admin.call('agents_create', { body: { workspace_id, name: `a${n}` } }),
        admin.call('virtual_hosts_create', { body: site(workspace_id, `h${n}`) }),
        admin.call('workspace_tokens_create', { params: { id: workspace_id }, body: {} }),
        admin.call('api_keys_create', { body: { name: `k${n}`, role, ...place } }),
        admin.call('invitations_create', { body: { email: `r${n}@example.com`, role, ...place } }),
      ]
      const codes: unknown[] = []
      let deleted = false
      const keepPutting = async () => {
        while (!deleted) codes.push(...(await Promise.all(puts(number++).map(codeOf))))
      }
      const putting = [keepPutting(), keepPutting(), keepPutting()]
      await remove(one).finally(() => {
        deleted = true
      })
      await Promise.all(putting)
      const refused = codes.filter(code => typeof code === 'string')
      expect(refused.filter(code => code !== 'NOT_FOUND')).toEqual([])
      expect(codes.filter(code => code instanceof Error)).toEqual([])
      await purged(workspace_id)
      expect(await rowsOf(workspace_id)).toEqual({})
      const told = master.db.read.selectFrom('audit_log').select('action')
      const last = await told.where('workspace_id', '=', workspace_id).orderBy('sequence', 'desc').limit(1)
      expect((await last.executeTakeFirst())?.action).toBe('workspace.delete')
      ends.too_late += refused.length
      ends.in_time += codes.length - refused.length
    }
    expect(Math.min(ends.in_time, ends.too_late)).toBeGreaterThan(0)
  })

  test('of two who delete it at once one does, and the other finds nothing', async () => {
    const one = await workspace((await organization()).id)
    const codes = await Promise.all([codeOf(remove(one)), codeOf(remove(one))])
    expect(codes.filter(code => code === 'NOT_FOUND')).toHaveLength(1)
  })
})
