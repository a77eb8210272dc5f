import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { EVENTS_CLOSE_CODES, EVENTS_PATH, LIMITS } from '@nxmesh/contract'
import { allConnected } from '../fleet/fleet.ts'
import { until } from '../support/until.ts'
import { type EventsWorld, startEventsWorld } from './events-world.ts'
import { bearer, openReader, type Reader, refusedUpgrade } from './reader.ts'

/** The events socket of a whole master, over TLS. */
let world: EventsWorld
let own_origin: string
let owner: string
let viewer_key: { id: string; key: string }
const open: Reader[] = []
beforeAll(async () => {
  world = await startEventsWorld()
  own_origin = new URL(world.fleet.master.url).origin
  owner = (await world.key('owner', null)).key
  viewer_key = await world.key('viewer', world.a)
}, 60_000)
afterAll(async () => {
  for (const reader of open) reader.close()
  await world.stop()
})

const reader = async (headers: Record<string, string> = {}) => {
  const opened = await openReader(world.fleet.master, headers)
  open.push(opened)
  return opened
}
const viewer = () => reader(bearer(viewer_key.key))
/** Within the promise of 5 s, with what a busy machine adds. */
const SOON_MS = LIMITS.events_check_ms + 3_000
const codeOf = async (response: Response) =>
  ((await response.json()) as { error: { code: string } }).error.code

describe('logging in', () => {
  test('works with an API key or an access token in the header', async () => {
    expect(await (await viewer()).next('welcome')).toMatchObject({
      principal: { type: 'api_key', id: viewer_key.id },
      expires_at: null,
    })
    const { session } = await world.user('header@example.com', 'viewer', world.a)
    const welcome = await (await reader(bearer(session.token))).next('welcome')
    expect(welcome).toMatchObject({
      principal: { type: 'user', id: session.user.id },
      expires_at: session.expires_at.replace(/\.\d+Z$/, '.000Z'),
    })
  })

  test('works with the cookie of the master’s own page, and the cookie works on', async () => {
    const user = await world.user('cookie@example.com', 'viewer', world.a)
    const opened = await reader({ cookie: user.cookie, origin: own_origin })
    expect((await opened.next('welcome')).principal.id).toBe(user.session.user.id)
    expect((await world.refresh(user)).session.session_id).toBe(user.session.session_id)
    // The one that was exchanged by it is none any more.
    await (await reader({ cookie: user.cookie, origin: own_origin })).next('hello')
  })

  test('works with a first message', async () => {
    const opened = await reader()
    expect(await opened.next('hello')).toMatchObject({ login_within_ms: LIMITS.events_login_ms })
    opened.say({ type: 'login', token: viewer_key.key })
    expect((await opened.next('welcome')).principal.id).toBe(viewer_key.id)
    expect(await opened.subscribe('agents')).toBe('subscribed')
  })

  test('works on the plain listener as well', async () => {
    const url = world.fleet.master.plain_url ?? ''
    const plain = await openReader({ url, ca_pem: '' }, bearer(viewer_key.key))
    open.push(plain)
    expect(await plain.subscribe('agents')).toBe('subscribed')
    const foreign = await refusedUpgrade({ url, ca_pem: '' }, { origin: 'http://evil.example' })
    expect(foreign.status).toBe(403)
  })

  test('a cookie counts for nothing without the browser’s word that the page is ours', async () => {
    const { cookie } = await world.user('rides@example.com', 'viewer', world.a)
    await (await reader({ cookie })).next('hello')
    await (await reader({ cookie, origin: own_origin.replace('https:', 'http:') })).next('hello')
  })

  test('a wrong token is refused: in the header with 401, in a message by the end of the socket', async () => {
    const token = `nxk_${'A'.repeat(43)}`
    const refused = await refusedUpgrade(world.fleet.master, bearer(token))
    expect([refused.status, await codeOf(refused)]).toEqual([401, 'UNAUTHENTICATED'])
    const opened = await reader()
    opened.say({ type: 'login', token })
    expect(await opened.closed()).toBe(EVENTS_CLOSE_CODES.login_refused)
  })

  test('nothing is answered before it, and who does not log in is sent away', async () => {
    const silent = await reader()
    const hasty = await reader()
    hasty.say({ type: 'subscribe', id: 'x', topic: 'agents' })
    expect(await hasty.closed()).toBe(EVENTS_CLOSE_CODES.violation)
    expect(hasty.received.at(-1)).toMatchObject({ type: 'error', error: { code: 'UNAUTHENTICATED' } })
    expect(await silent.closed(LIMITS.events_login_ms + 5_000)).toBe(EVENTS_CLOSE_CODES.silence)
  }, 30_000)
})

describe('pages of other sites', () => {
  test('cannot open a socket, whoever their visitor is', async () => {
    const { cookie } = await world.user('visitor@example.com', 'viewer', world.a)
    const port = new URL(own_origin).port
    for (const origin of [
      'https://evil.example',
      'null',
      `https://127.0.0.1.evil.example:${port}`,
      'https://127.0.0.1',
    ])
      for (const headers of [{}, { cookie }, bearer(viewer_key.key)]) {
        const refused = await refusedUpgrade(world.fleet.master, { ...headers, origin })
        expect([origin, refused.status, await codeOf(refused)]).toEqual([origin, 403, 'FORBIDDEN'])
      }
  })

  test('cannot post, not even as text', async () => {
    for (const type of ['application/json', 'text/plain']) {
      const response = await fetch(`${world.fleet.master.url}/api/v1/auth/logout`, {
        method: 'POST',
        headers: { ...bearer(owner), origin: 'https://evil.example', 'content-type': type },
        body: '{}',
        tls: { ca: world.fleet.master.ca_pem },
      })
      expect([response.status, await codeOf(response)]).toEqual([403, 'FORBIDDEN'])
    }
  })

  test('a plain request is told what this path is', async () => {
    const at = world.fleet.master.url + EVENTS_PATH
    const tls = { ca: world.fleet.master.ca_pem }
    expect((await fetch(at, { tls })).status).toBe(400)
    const posted = await fetch(at, { method: 'POST', tls })
    expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET'])
  })
})

describe('a viewer of one workspace', () => {
  test('sees its deployments and agents, those that it may read across, and nothing of others', async () => {
    const opened = await viewer()
    expect(await opened.subscribe('deployments')).toBe('subscribed')
    expect(await opened.subscribe('agents')).toBe('subscribed')
    const agent = async (workspace_id: string, name: string) =>
      (await world.fleet.client.call('agents_create', { body: { workspace_id, name } })).data.id
    for (const place of [world.b, world.c, world.a]) {
      await world.change(place)
      await agent(place, 'web')
    }
    const seen = () =>
      [...opened.events('deployments'), ...opened.events('agents')].map(one => one.workspace_id)
    await until('events of A and C', () =>
      [world.a, world.c].every(place => seen().filter(one => one === place).length >= 2),
    )
    expect(seen()).not.toContain(world.b)
    const last = opened.events('agents').at(-1)
    expect(last?.agent).toMatchObject({ id: last?.agent_id, name: 'web', state: 'pending' })
    const states = () => opened.events('deployments').map(one => one.deployment.state)
    await until('the end of a deployment', () => states().includes('applied'))
  })

  test('may name a workspace that it reads; others do not exist for it', async () => {
    const opened = await viewer()
    const { a, b, c, organization_id } = world
    expect(await opened.subscribe('deployments', { workspace_id: a })).toBe('subscribed')
    expect(await opened.subscribe('agents', { workspace_id: c })).toBe('subscribed')
    expect(await opened.subscribe('deployments', { workspace_id: b })).toBe('NOT_FOUND')
    expect(await opened.subscribe('agents', { workspace_id: organization_id })).toBe('NOT_FOUND')
    expect(await opened.subscribe('agents', { organization_id })).toBe('FORBIDDEN')
    expect(await opened.subscribe('audit')).toBe('FORBIDDEN')
    expect(await opened.subscribe('audit', { workspace_id: a })).toBe('FORBIDDEN')
    await world.change(c)
    await world.change(a)
    await until('a deployment of A', () => opened.events('deployments').length > 0)
    expect(opened.events('deployments').every(one => one.workspace_id === a)).toBe(true)
  })

  test('is told each event once and numbered, and nothing after it unsubscribed', async () => {
    const opened = await viewer()
    await opened.subscribe('deployments')
    await opened.subscribe('deployments', { workspace_id: world.a })
    for (let n = 0; n < 3; n++) await world.change(world.a)
    await until(
      'the last of three deployments',
      () => opened.events('deployments').filter(one => one.deployment.finished_at !== null).length >= 1,
    )
    const numbers = opened.received.flatMap(one => ('sequence' in one ? [one.sequence] : []))
    expect(numbers).toEqual(numbers.map((_, at) => at + 1))
    for (const id of ['s1', 's2']) opened.say({ type: 'unsubscribe', id })
    await until('both answers', () => opened.received.filter(one => one.type === 'unsubscribed').length === 2)
    const other = await viewer()
    await other.subscribe('deployments')
    const before = opened.events('deployments').length
    await world.change(world.a)
    await until('the other one to hear of it', () => other.events('deployments').length > 0)
    expect(opened.events('deployments').length).toBe(before)
  })
})

test('workspaces that are made later belong to a subscription without a place', async () => {
  const opened = await reader(bearer(owner))
  await opened.subscribe('deployments', { organization_id: world.organization_id })
  await opened.subscribe('agents')
  const body = { organization_id: world.organization_id, name: 'later', slug: 'later' }
  const { id } = (await world.fleet.client.call('workspaces_create', { body })).data
  await world.change(id)
  await until('an event of the new workspace', () =>
    opened.events('deployments').some(one => one.workspace_id === id),
  )
})

test('an agent that comes, goes and is deleted is told as the list shows it', async () => {
  const { fleet } = world
  const opened = await reader(
    bearer(
      (
        await fleet.client.call('api_keys_create', {
          body: {
            name: 'default',
            role: 'viewer',
            organization_id: await organizationOf(fleet.workspace_id),
          },
        })
      ).data.key,
    ),
  )
  await opened.subscribe('agents', { workspace_id: fleet.workspace_id })
  const [agent] = await fleet.addAgents(1)
  if (!agent) throw new Error('no agent')
  await allConnected([agent])
  const last = () => opened.events('agents').at(-1)?.agent
  await until('the agent online', () => last()?.state === 'online')
  await agent.kill()
  await until('the agent offline', () => last()?.state === 'offline')
  await fleet.client.call('agents_delete', { params: { id: agent.id } })
  await until('the agent deleted', () => last() === null)
  expect(opened.events('agents').every(one => one.agent_id === agent.id)).toBe(true)
})
const organizationOf = async (id: string) =>
  (await world.fleet.client.call('workspaces_get', { params: { id } })).data.organization_id

test('the audit log is shown to those who may read it, as far as they may', async () => {
  const of_a = await reader(bearer((await world.key('admin', world.a)).key))
  const of_all = await reader(bearer(owner))
  const instance = await reader(bearer((await instanceKey()).key))
  expect(await of_a.subscribe('audit')).toBe('subscribed')
  expect(await of_all.subscribe('audit', { organization_id: world.organization_id })).toBe('subscribed')
  expect(await instance.subscribe('audit')).toBe('subscribed')
  expect(await of_a.subscribe('audit', { organization_id: world.organization_id })).toBe('FORBIDDEN')
  const in_b = await world.change(world.b)
  const in_a = await world.change(world.a)
  await instanceKey()
  const objects = (one: Reader) => one.events('audit').map(event => event.entry.object_id)
  await until('both changes', () => [in_a, in_b].every(id => objects(of_all).includes(id)))
  await until('the change in A', () => objects(of_a).includes(in_a))
  const made = (one: Reader) => one.events('audit').filter(event => event.entry.action === 'api_key.create')
  await until('what belongs to the instance', () => made(instance).length > 0)
  expect(objects(of_a)).not.toContain(in_b)
  expect(of_a.events('audit').every(event => event.workspace_id === world.a)).toBe(true)
  expect(made(of_all)).toEqual([])
  const [row] = (await world.fleet.client.call('audit_log_list', { query: { action: 'upstream.create' } }))
    .data
  expect(of_all.events('audit').find(event => event.entry.object_id === in_a)?.entry).toEqual(row as never)
})
const instanceKey = async () =>
  (
    await world.fleet.client.call('api_keys_create', {
      body: { name: 'instance', role: 'instance_admin', organization_id: null },
    })
  ).data

describe('a socket ends', () => {
  const { revoked, expired } = EVENTS_CLOSE_CODES
  const user = async (email: string) => {
    const logged_in = await world.user(email, 'viewer', world.a)
    const opened = [
      await reader(bearer(logged_in.session.token)),
      await reader({ cookie: logged_in.cookie, origin: own_origin }),
    ]
    for (const one of opened) await one.subscribe('deployments')
    return { ...logged_in, opened, id: logged_in.session.user.id }
  }
  const allEnd = async (opened: readonly Reader[]) =>
    await Promise.all(opened.map(one => one.closed(SOON_MS)))

  test('when its user is disabled', async () => {
    const { id, opened } = await user('disabled@example.com')
    await world.fleet.client.call('users_update', { params: { id }, body: { status: 'disabled' } })
    expect(await allEnd(opened)).toEqual([revoked, revoked])
  })

  test('when its session ends', async () => {
    const { session, opened } = await user('logged-out@example.com')
    await world.client(session.token).call('logout')
    expect(await allEnd(opened)).toEqual([revoked, revoked])
  })

  test('when its API key is revoked', async () => {
    const { id, key } = await world.key('viewer', world.a)
    const opened = await reader(bearer(key))
    await world.fleet.client.call('api_keys_delete', { params: { id } })
    expect(await allEnd([opened])).toEqual([revoked])
  })

  test('when a role is taken away, though another one stays; not when one is given', async () => {
    const { id, opened } = await user('less@example.com')
    const body = {
      user_id: id,
      role: 'viewer',
      organization_id: world.organization_id,
      workspace_id: world.b,
    } as const
    const binding = (await world.fleet.client.call('role_bindings_create', { body })).data
    await world.change(world.b)
    await until('events of the second workspace', () =>
      opened.every(one => one.events('deployments').some(event => event.workspace_id === world.b)),
    )
    await world.fleet.client.call('role_bindings_delete', { params: { id: binding.id } })
    expect(await allEnd(opened)).toEqual([revoked, revoked])
  })

  test('when the database alone says so, as another process would leave it', async () => {
    const { id, opened } = await user('elsewhere@example.com')
    const began_ms = performance.now()
    await world.fleet.master.services.db.write(async tx => {
      await tx.updateTable('users').set({ status: 'disabled' }).where('id', '=', id).execute()
    })
    expect(await allEnd(opened)).toEqual([revoked, revoked])
    console.log(`events: ended ${Math.round(performance.now() - began_ms)} ms after the database said so`)
  })

  test('when its access token ends, unless the next one came in time', async () => {
    const { session, cookie, opened } = await user('token@example.com')
    const [late, by_cookie] = opened
    const kept = await reader(bearer(session.token))
    const stranger = await reader(bearer(session.token))
    world.advance(LIMITS.access_token_s * 1_000 - 60_000)
    const next = await world.refresh({ session, cookie })
    kept.say({ type: 'login', token: next.session.token })
    await until('the second welcome', () => kept.received.filter(one => one.type === 'welcome').length === 2)
    stranger.say({ type: 'login', token: viewer_key.key })
    expect(await stranger.closed()).toBe(EVENTS_CLOSE_CODES.login_refused)
    world.advance(120_000)
    expect(await late?.closed(SOON_MS)).toBe(expired)
    expect(await kept.subscribe('agents')).toBe('subscribed')
    expect([kept.code(), by_cookie?.code()]).toEqual([null, null])
  })
})
