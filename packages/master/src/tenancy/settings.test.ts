import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { Client, Workspace } from '@nxmesh/contract'
import { forEachEngine } from '../database/testing.ts'
import { codeOf } from '../http/testing.ts'
import { newId } from '../ids.ts'
import { errorOf, type Filled, fill, openTestMaster, site, type TestMaster, type User } from './testing.ts'

forEachEngine((_engine, open) => {
  let master: TestMaster
  let admin: Client
  let organization_id: string
  let a: Workspace
  let b: Workspace
  let c: Workspace
  let of_b: Filled
  let reader: User
  let operator: User

  beforeAll(async () => {
    master = await openTestMaster(await open())
    admin = master.admin
    const made = await admin.call('organizations_create', { body: { name: 'Acme', slug: 'acme' } })
    organization_id = made.data.id
    const workspace = async (slug: string) =>
      (await admin.call('workspaces_create', { body: { organization_id, name: slug, slug } })).data
    a = await workspace('a')
    b = await workspace('b')
    c = await workspace('c')
    of_b = await fill(admin, b.id)
    const place = { organization_id, workspace_id: a.id }
    reader = await master.invite(admin, 'viewer', place)
    operator = await master.invite(admin, 'admin', place)
  })
  afterAll(() => master.stop())

  type Rule = { workspace_id: string; readable_from: string[] }
  const share = (...cross_workspace_reads: Rule[]) =>
    admin.call('organizations_update', {
      params: { id: organization_id },
      body: { settings: { cross_workspace_reads } },
    })
  const shared = async () =>
    (await admin.call('organizations_get', { params: { id: organization_id } })).data.settings
      .cross_workspace_reads

  describe('what may be read across workspaces', () => {
    test('names workspaces of the organization, each once, and none itself', async () => {
      const elsewhere = (await admin.call('workspaces_list')).data.find(one => one.slug === 'default')
      const fields = async (...rules: Rule[]) => {
        const error = await errorOf(share(...rules))
        expect(error.code).toBe('VALIDATION_ERROR')
        return error.details.map(one => one.field.replace('settings.cross_workspace_reads.', ''))
      }
      expect(await fields({ workspace_id: newId(), readable_from: [a.id] })).toEqual(['0.workspace_id'])
      expect(await fields({ workspace_id: elsewhere?.id ?? '', readable_from: [a.id] })).toEqual([
        '0.workspace_id',
      ])
      expect(await fields({ workspace_id: b.id, readable_from: [a.id, elsewhere?.id ?? ''] })).toEqual([
        '0.readable_from.1',
      ])
      expect(await fields({ workspace_id: b.id, readable_from: [b.id] })).toEqual(['0.readable_from.0'])
      expect(await fields({ workspace_id: b.id, readable_from: [a.id, a.id] })).toEqual(['0.readable_from.1'])
      const twice = { workspace_id: b.id, readable_from: [a.id] }
      expect(await fields(twice, twice)).toEqual(['1.workspace_id'])
      expect(await shared()).toEqual([])
      const settings = { cross_workspace_reads: [twice] }
      const create = { name: 'Other', slug: 'other', settings }
      expect((await errorOf(admin.call('organizations_create', { body: create }))).details[0]?.field).toBe(
        'settings.cross_workspace_reads.0.workspace_id',
      )
    })

    test('is set by those who keep the organization, and stands in the audit log', async () => {
      const rule = { workspace_id: b.id, readable_from: [a.id] }
      const body = { settings: { cross_workspace_reads: [rule] } }
      const params = { id: organization_id }
      expect(await codeOf(operator.client.call('organizations_update', { params, body }))).toBe('FORBIDDEN')
      const { data } = await share(rule)
      expect(data.settings.cross_workspace_reads).toEqual([rule])
      // A change of something else, and settings that name nothing, leave it as it is.
      await admin.call('organizations_update', { params, body: { name: 'Acme Inc.' } })
      await admin.call('organizations_update', { params, body: { settings: {} } })
      expect(await shared()).toEqual([rule])
      const query = { action: 'organization.update' }
      const rows = (await admin.call('audit_log_list', { query })).data
      const told = rows.map(row => [row.before, row.after] as { settings: unknown }[])
      expect(told.map(pair => pair.map(one => one.settings))).toContainEqual([
        { cross_workspace_reads: [] },
        { cross_workspace_reads: [rule] },
      ])
    })

    test('is read from there, in lists and one by one, until the setting goes', async () => {
      await share({ workspace_id: b.id, readable_from: [a.id] })
      const { client } = reader
      const reads = (): Promise<unknown>[] => [
        client.call('workspaces_get', { params: { id: b.id } }),
        client.call('agents_list', { query: { workspace_id: b.id } }),
        client.call('agents_get', { params: { id: of_b.agent.id } }),
        client.call('upstreams_get', { params: { id: of_b.upstream.id } }),
        client.call('virtual_hosts_get', { params: { id: of_b.host.id } }),
        client.call('virtual_hosts_versions_list', { params: { id: of_b.host.id } }),
        client.call('virtual_hosts_versions_get', { params: { id: of_b.host.id, version: '1' } }),
        client.call('deployments_get', { params: { id: of_b.deployment_id } }),
        client.call('deployments_list', { query: { workspace_id: b.id } }),
      ]
      await Promise.all(reads())
      expect((await client.call('agents_list')).data.map(one => one.id)).toEqual([of_b.agent.id])
      expect((await client.call('virtual_hosts_list')).data.map(one => one.id)).toEqual([of_b.host.id])
      expect((await client.call('workspaces_list')).data.map(one => one.id)).toEqual([a.id, b.id])
      await share()
      const codes = await Promise.all(reads().map(codeOf))
      expect(new Set(codes)).toEqual(new Set(['NOT_FOUND']))
      expect((await client.call('agents_list')).data).toEqual([])
      expect((await client.call('workspaces_list')).data.map(one => one.id)).toEqual([a.id])
    })

    test('is never written from there, and people, keys, tokens and the audit log are not shared', async () => {
      await share({ workspace_id: b.id, readable_from: [a.id] })
      const { client } = operator
      const id = of_b.host.id
      const writes: Promise<unknown>[] = [
        client.call('agents_create', { body: { workspace_id: b.id, name: 'x' } }),
        client.call('agents_update', { params: { id: of_b.agent.id }, body: { name: 'x' } }),
        client.call('agents_delete', { params: { id: of_b.agent.id } }),
        client.call('agents_lift_hold', { params: { id: of_b.agent.id } }),
        client.call('agent_tokens_create', { params: { id: of_b.agent.id }, body: {} }),
        client.call('workspace_tokens_create', { params: { id: b.id }, body: {} }),
        client.call('virtual_hosts_create', { body: site(b.id, 'x') }),
        client.call('virtual_hosts_update', { params: { id }, body: { listen_port: 81 } }),
        client.call('virtual_hosts_delete', { params: { id } }),
        client.call('workspaces_update', { params: { id: b.id }, body: { name: 'x' } }),
        client.call('workspaces_delete', { params: { id: b.id }, query: { confirm: b.slug } }),
        client.call('role_bindings_list', { query: { workspace_id: b.id } }),
        client.call('invitations_list', { query: { workspace_id: b.id } }),
        client.call('api_keys_list', { query: { workspace_id: b.id } }),
        client.call('audit_log_list', { query: { workspace_id: b.id } }),
      ]
      expect(await Promise.all(writes.map(codeOf))).toEqual(writes.map(() => 'FORBIDDEN'))
    })

    test('does not let one workspace’s configuration point into another', async () => {
      await share({ workspace_id: b.id, readable_from: [a.id] })
      const by_upstream = {
        ...site(a.id, 'across'),
        locations: [{ path: '/', upstream_id: of_b.upstream.id }],
      }
      const by_agent = { ...site(a.id, 'across'), agent_ids: [of_b.agent.id] }
      for (const body of [by_upstream, by_agent]) {
        const error = await errorOf(operator.client.call('virtual_hosts_create', { body }))
        expect(error.code).toBe('VALIDATION_ERROR')
      }
    })

    test('loses a workspace with its deletion', async () => {
      const rules = [
        { workspace_id: b.id, readable_from: [a.id, c.id] },
        { workspace_id: c.id, readable_from: [a.id] },
        { workspace_id: a.id, readable_from: [c.id] },
      ]
      await share(...rules)
      await admin.call('workspaces_delete', { params: { id: c.id }, query: { confirm: c.slug } })
      expect(await shared()).toEqual([{ workspace_id: b.id, readable_from: [a.id] }])
      expect((await reader.client.call('agents_list')).data.map(one => one.id)).toEqual([of_b.agent.id])
    })
  })
})
