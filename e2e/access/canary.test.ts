import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BASE_PATH, ENDPOINTS } from '@nxmesh/contract'
import type { Endpoint } from '@nxmesh/contract/endpoints/endpoint'
import { loadConfig, type RunningMaster, startMaster } from '@nxmesh/master'
import { everyClass } from '@nxmesh/master/http/rate-limiter'
import { makeLog } from '@nxmesh/master/log'

setDefaultTimeout(120_000)

/**
 * Secrets that are known by their text are planted wherever one can be, right and wrong, and then looked for in every answer
 * but the one that hands it out, in the log at its lowest level, and in the files of the data folder.
 */

const logged: string[] = []
const answered: { what: string; text: string }[] = []
/** Each secret, and which of the answers may hold it. */
const secrets = new Map<string, { name: string; handed_out_by: string }>()
let dir: string
let master: RunningMaster
let base_url: string
let master_key: string

const canary = (name: string) => `canary-${name}-${'q7Xw'.repeat(4)}`
function plant(name: string, secret: string, handed_out_by = 'nothing'): string {
  secrets.set(secret, { name, handed_out_by })
  return secret
}

interface Call {
  readonly token?: string | undefined
  readonly cookie?: string | undefined
  readonly text?: string
  readonly body?: unknown
}

async function call(what: string, method: string, path: string, { token, cookie, text, body }: Call = {}) {
  const sent = text ?? (body === undefined ? undefined : JSON.stringify(body))
  const answer = await fetch(`${base_url}${path}`, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(cookie === undefined ? {} : { cookie: `nxmesh_refresh=${cookie}` }),
      ...(sent === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(sent === undefined ? {} : { body: sent }),
  })
  const got = await answer.text()
  const headers = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join('\n')
  answered.push({ what, text: `${headers}\n${got}` })
  const set = /nxmesh_refresh=([^;]*)/.exec(answer.headers.get('set-cookie') ?? '')?.[1]
  const data = got.startsWith('{') ? JSON.parse(got).data : undefined
  return { status: answer.status, data, refresh_token: set ?? '' }
}
const api = (what: string, method: string, path: string, more?: Call) =>
  call(what, method, BASE_PATH + path, more)

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'nxmesh-canary-'))
  const config = await loadConfig({
    flags: { 'data-dir': join(dir, 'data'), listen: '127.0.0.1:0', 'listen-plain': '127.0.0.1:0' },
  })
  const log = makeLog('trace', { write: (line: string) => void logged.push(line) })
  const NO_RATE = everyClass({ burst: 1e9, per_s: 1e9 })
  master = await startMaster(config, { log, rates: { address: NO_RATE } })
  base_url = master.plain_url ?? ''
  master_key = readFileSync(join(dir, 'data', 'master.key'), 'utf8').trim()
  await useEverything()
})
afterAll(async () => {
  await master.stop()
  rmSync(dir, { recursive: true, force: true })
})

async function useEverything(): Promise<void> {
  plant('the master key', master_key)
  const setup_token = plant('the setup token', master.setup_token ?? '')
  const password = plant('a password', canary('password'))
  const wrong = plant('a wrong password', canary('wrong'))
  const owner = { email: 'owner@example.com', password }
  await api('a wrong set-up', 'POST', '/setup', { body: { setup_token: canary('setup'), ...owner } })
  const made = await api('set-up', 'POST', '/setup', { body: { setup_token, ...owner } })
  const token = plant('an access token', made.data.token, 'set-up')
  plant('a refresh token', made.refresh_token, 'set-up')
  await api('a wrong log-in', 'POST', '/auth/login', { body: { ...owner, password: wrong } })
  const again = await api('log-in', 'POST', '/auth/login', { body: owner })
  plant('another access token', again.data.token, 'log-in')
  plant('another refresh token', again.refresh_token, 'log-in')
  const next = await api('refresh', 'POST', '/auth/refresh', { cookie: again.refresh_token })
  plant('a refreshed access token', next.data.token, 'refresh')
  plant('a rotated refresh token', next.refresh_token, 'refresh')
  await api('a refresh token used twice', 'POST', '/auth/refresh', { cookie: again.refresh_token })

  const [workspace] = (await api('workspaces', 'GET', '/workspaces', { token })).data
  const { id: workspace_id, organization_id } = workspace
  const key_body = { name: 'key', role: 'admin', organization_id }
  const key = (await api('making a key', 'POST', '/api-keys', { token, body: key_body })).data
  plant('an API key', key.key, 'making a key')
  const guest = { email: 'guest@example.com', role: 'operator', organization_id }
  const invited = (await api('inviting', 'POST', '/invitations', { token, body: guest })).data
  const invitation = plant('an invitation', invited.link.token, 'inviting')
  const guest_password = plant('a guest’s password', canary('guest'))
  const accept = { token: invitation, password: guest_password }
  const joined = await api('accepting', 'POST', '/auth/accept-invitation', { body: accept })
  plant('a guest’s access token', joined.data.token, 'accepting')
  plant('a guest’s refresh token', joined.refresh_token, 'accepting')
  await api('accepting twice', 'POST', '/auth/accept-invitation', { body: accept })
  const path = `/users/${joined.data.user.id}/reset-link`
  const link = (await api('making a reset link', 'POST', path, { token })).data
  plant('a reset link', link.token, 'making a reset link')
  const reset_password = plant('a reset password', canary('reset'))
  const reset = await api('resetting', 'POST', '/auth/reset-password', {
    body: { token: link.token, password: reset_password },
  })
  plant('an access token after the reset', reset.data.token, 'resetting')
  plant('a refresh token after the reset', reset.refresh_token, 'resetting')
  const change = {
    current_password: reset_password,
    new_password: plant('a new password', canary('changed')),
  }
  await api('changing the password', 'POST', '/me/password', { token: reset.data.token, body: change })
  const bootstrap = await api('making a bootstrap token', 'POST', `/workspaces/${workspace_id}/tokens`, {
    token,
    body: {},
  })
  const bootstrap_token = plant('a bootstrap token', bootstrap.data.token, 'making a bootstrap token')
  const register = { token: bootstrap_token, hostname: 'host', version: '1' }
  const agent = await api('registering', 'POST', '/agents/register', { body: register })
  plant('a session key', agent.data.session_key, 'registering')
  await api('registering twice', 'POST', '/agents/register', { body: register })

  const client_secret = plant('a client secret', canary('client'))
  const provider = { name: 'GitHub', kind: 'github', client_id: 'x', client_secret }
  await api('adding a provider', 'POST', '/identity-providers', { token, body: provider })

  await provokeErrors(token)
  await readEverything(token, { workspace_id, organization_id })
  await api('logging out', 'POST', '/auth/logout', { token: next.data.token, cookie: next.refresh_token })
}

/** A secret in the wrong place must not come back in the complaint about it. */
async function provokeErrors(token: string): Promise<void> {
  for (const secret of [...secrets.keys()]) {
    const quoted = JSON.stringify(secret)
    await api('half a document', 'POST', '/auth/login', { text: `{"email":"a@b.c","password":${quoted}` })
    await api('a key twice', 'POST', '/auth/login', { text: `{"password":${quoted},"password":${quoted}}` })
    await api('of another type', 'POST', '/auth/login', { body: { email: 'a@b.c', password: [secret] } })
    await api('as a token', 'GET', '/me', { token: secret })
    await api('as a cookie', 'POST', '/auth/refresh', { cookie: secret })
    await api('as a bootstrap token', 'POST', '/agents/register', {
      body: { token: secret, hostname: 'h', version: '1' },
    })
    await api('as an invitation', 'POST', '/auth/accept-invitation', {
      body: { token: secret, password: secret },
    })
  }
  await api('an error inside', 'GET', `/audit-log?page=${'9'.repeat(400)}`, { token })
}

async function readEverything(token: string, at: { workspace_id: string; organization_id: string }) {
  for (const [id, row] of Object.entries(ENDPOINTS) as [string, Endpoint][]) {
    if (row.method !== 'GET') continue
    const path = row.path.replace(
      '{id}',
      row.path.startsWith('/organizations') ? at.organization_id : at.workspace_id,
    )
    await api(`reading ${id}`, 'GET', path.replace(/\{\w+\}/, '1'), { token })
  }
  const { data } = await api('reading users', 'GET', '/users', { token })
  for (const one of data) {
    await api('reading a user', 'GET', `/users/${one.id}`, { token })
    await api('reading sessions', 'GET', `/users/${one.id}/sessions`, { token })
  }
  for (let page = 1; page <= 5; page++)
    await api('reading the audit log', 'GET', `/audit-log?per_page=200&page=${page}`, { token })
  for (const path of ['/healthz', '/readyz', '/metrics', '/api/v1/openapi.json', '/'])
    await call(`reading ${path}`, 'GET', path)
}

test('no answer holds a secret but the one that hands it out', () => {
  expect(answered.length).toBeGreaterThan(150)
  const found: string[] = []
  for (const { what, text } of answered)
    for (const [secret, { name, handed_out_by }] of secrets)
      if (what !== handed_out_by && text.includes(secret)) found.push(`${name} in the answer to ${what}`)
  expect(found).toEqual([])
})

test('no log line holds a secret', () => {
  expect(logged.length).toBeGreaterThan(0)
  const all = logged.join('\n')
  expect([...secrets].filter(([secret]) => all.includes(secret)).map(([, one]) => one.name)).toEqual([])
})

test('no file of the data folder holds a secret, apart from the master key’s own', () => {
  const files = readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .map(one => join(dir, one))
    .filter(one => statSync(one).isFile())
  expect(files.length).toBeGreaterThan(3)
  const found: string[] = []
  for (const file of files) {
    const bytes = readFileSync(file)
    for (const [secret, { name }] of secrets) {
      if (secret === master_key && file.endsWith('master.key')) continue
      if (bytes.includes(secret)) found.push(`${name} in ${file.slice(dir.length)}`)
    }
  }
  expect(found).toEqual([])
})

test('saw every secret that there is', () => {
  expect(secrets.size).toBeGreaterThan(20)
  for (const [secret, { name }] of secrets) if (secret.length < 16) throw new Error(`${name} is too short`)
})
