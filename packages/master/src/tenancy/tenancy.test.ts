import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { ApiError, Client } from '@nxmesh/contract'
import { openTestAudit } from '../audit/testing.ts'
import { forEachEngine } from '../database/testing.ts'
import { closeTestApps, codeOf, openTestApp, type TestApp } from '../http/testing.ts'
import { newId } from '../ids.ts'
import { MASTER_LIMITS } from '../limits.ts'
import type { Tenancy } from './tenancy.ts'
import { makeTenancy } from './tenancy-service.ts'

afterAll(closeTestApps)

forEachEngine((_engine, open) => {
  let app: TestApp
  let client: Client
  let tenancy: Tenancy
  beforeAll(async () => {
    app = await openTestApp({
      database: await open(),
    })
    client = (await app.owner()).client
    const { now } = app.clock
    tenancy = makeTenancy({ audit: openTestAudit(app.database, now), now, newId })
  })
  const organization = async (slug: string) =>
    (await client.call('organizations_create', { body: { name: slug.toUpperCase(), slug } })).data
  const workspace = async (organization_id: string, slug: string) =>
    (await client.call('workspaces_create', { body: { organization_id, name: slug, slug } })).data
  const lastAudit = () =>
    app.database.read
      .selectFrom('audit_log')
      .select(['action', 'object_id', 'before_json', 'after_json'])
      .orderBy('sequence', 'desc')
      .executeTakeFirstOrThrow()

  test('organizations, and workspaces of one, end at their limits', async () => {
    const on = await openTestApp({ database: await open() })
    const { client } = await on.owner()
    const created_at = '2026-11-01T00:00:00.000Z'
    const organization_id = (await client.call('organizations_list')).data[0]?.id ?? ''
    const filler = (n: number) => ({ id: `x${n}`, name: `x${n}`, slug: `x${n}`, created_at })
    const rest = (max: number) => Array.from({ length: max - 2 }, (_, n) => filler(n))
    const workspace = {
      deploy_mode: 'automatic',
      epoch: 1,
      generation: 0,
      release_number: 0,
      organization_id,
    }
    await on.database.write(async tx => {
      for (const one of rest(MASTER_LIMITS.organizations))
        await tx
          .insertInto('organizations')
          .values({ ...one, settings_json: '{}' })
          .execute()
      for (const one of rest(MASTER_LIMITS.workspaces_per_organization))
        await tx
          .insertInto('workspaces')
          .values({ ...one, ...workspace })
          .execute()
    })
    const more = (slug: string) =>
      Promise.all([
        codeOf(client.call('organizations_create', { body: { name: slug, slug } })),
        codeOf(client.call('workspaces_create', { body: { organization_id, name: slug, slug } })),
      ])
    expect(await more('last')).toMatchObject([{ succeeded: {} }, { succeeded: {} }])
    expect(await more('none')).toEqual(['LIMIT_REACHED', 'LIMIT_REACHED'])
  })

  describe('organizations', () => {
    test('create, read, rename, delete; each with its audit row', async () => {
      const made = await organization('acme')
      const { id } = made
      expect((await client.call('organizations_get', { params: { id } })).data).toEqual(made)
      const { data } = await client.call('organizations_update', {
        params: { id },
        body: { name: 'ACME Inc.' },
      })
      expect(data).toEqual({ ...made, name: 'ACME Inc.' })
      const renamed = await lastAudit()
      expect(renamed).toMatchObject({ action: 'organization.update', object_id: id })
      expect([renamed.before_json, renamed.after_json].map(one => JSON.parse(one ?? '').name)).toEqual([
        'ACME',
        'ACME Inc.',
      ])
      await client.call('organizations_delete', { params: { id }, query: { confirm: 'acme' } })
      expect(await lastAudit()).toMatchObject({ action: 'organization.delete', object_id: id })
      expect(await codeOf(client.call('organizations_get', { params: { id } }))).toBe('NOT_FOUND')
      expect(await codeOf(client.call('organizations_update', { params: { id }, body: {} }))).toBe(
        'NOT_FOUND',
      )
      expect(await codeOf(client.call('organizations_delete', { params: { id } }))).toBe('NOT_FOUND')
    })

    test('a slug that is taken is named, also when renaming; keeping one’s own is fine', async () => {
      const [one, two] = [await organization('one'), await organization('two')]
      const error = (await organization('one').catch(refused => refused)) as ApiError
      expect(error).toMatchObject({ code: 'CONFLICT', details: [{ field: 'slug' }] })
      expect(error.message).toContain(one.id)
      const rename = (slug: string) =>
        client.call('organizations_update', { params: { id: two.id }, body: { slug, name: 'Two' } })
      expect(await codeOf(rename('one'))).toBe('CONFLICT')
      expect((await rename('two')).data.name).toBe('Two')
    })

    test('pages follow each other without a gap', async () => {
      const seen: string[] = []
      let total = 0
      for (let number = 1; ; number++) {
        const { data, meta, links } = await client.call('organizations_list', {
          query: { page: number, per_page: 2 },
        })
        seen.push(...data.map(one => one.id))
        total = meta.total
        if (links.next === null) break
      }
      expect(new Set(seen).size).toBe(total)
      expect(seen).toHaveLength(total)
    })
  })

  describe('workspaces', () => {
    test('both ways to make and list them are the same', async () => {
      const { id } = await organization('both-ways')
      const flat = await workspace(id, 'flat')
      const body = { name: 'Nested', slug: 'nested' }
      const { data: nested } = await client.call('organization_workspaces_create', { params: { id }, body })
      const by_path = await client.call('organization_workspaces_list', { params: { id } })
      const by_query = await client.call('workspaces_list', { query: { organization_id: id } })
      expect(by_path.data).toEqual([flat, nested])
      expect(by_query.data).toEqual(by_path.data)
      expect(by_query.links.self).toBe(`/api/v1/workspaces?organization_id=${id}&page=1`)
      expect(flat.deploy_mode).toBe('automatic')
    })

    test('from where their agents may come is kept in one form, and a change of it is audited', async () => {
      const { id: organization_id } = await organization('origins')
      const open_to_all = await workspace(organization_id, 'open')
      expect(open_to_all.agent_allowed_cidrs).toBe(null)
      const body = { organization_id, name: 'closed', slug: 'closed', agent_allowed_cidrs: [] }
      const { data: closed } = await client.call('workspaces_create', { body })
      expect(closed.agent_allowed_cidrs).toEqual([])
      const params = { id: closed.id }
      const patch = async (agent_allowed_cidrs: string[] | null) =>
        (await client.call('workspaces_update', { params, body: { agent_allowed_cidrs } })).data
      const changed = await patch(['2001:DB8:0::/32', '10.0.0.0/8', '10.0.0.0/8'])
      expect(changed.agent_allowed_cidrs).toEqual(['10.0.0.0/8', '2001:db8::/32'])
      const audited = await lastAudit()
      expect(audited).toMatchObject({ action: 'workspace.update', object_id: closed.id })
      expect(JSON.parse(audited.after_json ?? '').agent_allowed_cidrs).toEqual(changed.agent_allowed_cidrs)
      await patch(['10.0.0.0/8', '2001:db8::/32'])
      expect(await lastAudit()).toEqual(audited)
      // Another field leaves the list alone.
      await client.call('workspaces_update', { params, body: { name: 'renamed' } })
      expect((await client.call('workspaces_get', { params })).data).toMatchObject({
        name: 'renamed',
        agent_allowed_cidrs: changed.agent_allowed_cidrs,
      })
    })

    test('a slug is taken within its organization only', async () => {
      const [a, b] = [await organization('org-a'), await organization('org-b')]
      await workspace(a.id, 'prod')
      expect(await codeOf(workspace(a.id, 'prod'))).toBe('CONFLICT')
      expect((await workspace(b.id, 'prod')).slug).toBe('prod')
    })

    test('an organization that is not there', async () => {
      const missing = newId()
      expect(await codeOf(workspace(missing, 'x'))).toBe('NOT_FOUND')
      expect(await codeOf(client.call('workspaces_list', { query: { organization_id: missing } }))).toBe(
        'NOT_FOUND',
      )
    })

    test('a name is taken within its organization only, and stays one’s own', async () => {
      const [a, b] = [await organization('names-a'), await organization('names-b')]
      const make = (organization_id: string, slug: string) =>
        client.call('workspaces_create', { body: { organization_id, name: 'Production', slug } })
      const { data: made } = await make(a.id, 'one')
      const taken = (await make(a.id, 'two').catch(refused => refused)) as ApiError
      expect(taken).toMatchObject({ code: 'CONFLICT', details: [{ field: 'name' }] })
      expect((await make(b.id, 'one')).data.name).toBe('Production')
      const other = await workspace(a.id, 'other')
      const rename = (id: string, body: { name?: string; slug?: string }) =>
        codeOf(client.call('workspaces_update', { params: { id }, body }))
      expect(await rename(other.id, { name: 'Production' })).toBe('CONFLICT')
      expect(await rename(made.id, { name: 'Production', slug: 'renamed' })).toMatchObject({ succeeded: {} })
    })

    test('rename', async () => {
      const { id: organization_id } = await organization('renaming')
      const made = await workspace(organization_id, 'old')
      const body = { slug: 'new', name: 'New' }
      const { data } = await client.call('workspaces_update', { params: { id: made.id }, body })
      expect(data).toEqual({ ...made, ...body })
      expect((await client.call('workspaces_get', { params: { id: made.id } })).data).toEqual(data)
    })
  })

  describe('the order of plans', () => {
    test('generations and release numbers never repeat, however many plan at once', async () => {
      const { id } = await workspace((await organization('plans')).id, 'plans')
      const orders = await Promise.all(
        Array.from({ length: 20 }, () => app.database.write(tx => tenancy.nextGeneration(tx, id))),
      )
      expect(orders.map(one => one.generation).sort((a, b) => a - b)).toEqual(
        Array.from({ length: 20 }, (_, index) => index + 1),
      )
      expect(new Set(orders.map(one => one.epoch))).toEqual(new Set([1]))
      const numbers = [1, 2].map(() => app.database.write(tx => tenancy.nextReleaseNumber(tx, id)))
      expect(await Promise.all(numbers)).toEqual([1, 2])
    })

    test('what is rolled back gives its number back', async () => {
      const { id } = await workspace((await organization('rolled-back')).id, 'w')
      const failing = app.database.write(async tx => {
        await tenancy.nextGeneration(tx, id)
        throw new Error('rolled back')
      })
      expect(failing).rejects.toThrow('rolled back')
      await failing.catch(() => {})
      expect((await app.database.write(tx => tenancy.nextGeneration(tx, id))).generation).toBe(1)
    })

    test('a workspace that is not there', async () => {
      const missing = newId()
      const write = (work: (typeof tenancy)['lockWorkspace']) =>
        codeOf(app.database.write(tx => work(tx, missing)))
      expect(await write(tenancy.lockWorkspace)).toBe('NOT_FOUND')
      expect(await codeOf(app.database.write(tx => tenancy.nextGeneration(tx, missing)))).toBe('NOT_FOUND')
      expect(await codeOf(tenancy.workspaceOf(app.database.read, missing))).toBe('NOT_FOUND')
    })

    test('locking a workspace changes nothing in it', async () => {
      const made = await workspace((await organization('locking')).id, 'w')
      expect(await app.database.write(tx => tenancy.lockWorkspace(tx, made.id))).toEqual(made)
    })
  })
})
