import { ApiError, BASE_PATH, type Client, makeClient, ROLE_IDS, type RoleName } from '@nxmesh/contract'
import pino from 'pino'
import { makeAuditLog } from '../audit/audit-service.ts'
import { type Composed, compose } from '../compose.ts'
import type { Database } from '../database/database.ts'
import { makePublisher } from '../events/publish.ts'
import { everyClass } from '../http/rate-limiter.ts'
import { OWNER } from '../http/testing.ts'
import { newId } from '../ids.ts'
import { makeOutgoing } from '../outgoing/make-outgoing.ts'
import type { Secrets } from '../secrets/secrets.ts'
import { openTestSecrets } from '../secrets/testing.ts'
import { makeHomes } from './homes.ts'

const URL_OF_MASTER = 'https://master.test:8443'
const NO_RATE = everyClass({ burst: 1_000_000, per_s: 1_000_000 })
const PASSWORD = 'correct horse battery'

export interface Place {
  readonly organization_id: string | null
  readonly workspace_id: string | null
}

/** The whole master behind its REST doors, without listeners. */
export interface TestMaster {
  readonly db: Database
  /** Another master on the same data, after this one. */
  nextMaster(): Composed
  /** Of the one who set it up: administrator of the instance, owner of the first organization. */
  readonly admin: Client
  client(token: string): Client
  fetch(token: string, method: string, path: string, body?: unknown): Promise<Response>
  /** A new user with a role, made by an invitation. */
  invite(by: Client, role: RoleName, place: Place): Promise<User>
  stop(): Promise<void>
}

export interface User {
  readonly token: string
  readonly client: Client
}

function composeTest(db: Database, secrets: Secrets): Composed {
  const publisher = makePublisher()
  const now = () => new Date()
  return compose({
    db,
    secrets,
    publisher,
    audit: makeAuditLog({ db, now, newId, organizationOf: makeHomes(), appended: publisher.changes.audit }),
    log: pino({ level: 'silent' }),
    now,
    newId,
    masterUrl: () => URL_OF_MASTER,
    caFingerprint: () => 'ab'.repeat(32),
    serverKeyPin: () => 'sha256/pin=',
    outgoing: makeOutgoing({ allow: [] }),
    agent_keys: { max_age_days: 30, grace_s: 3_600 },
    ready: async () => true,
    rates: { principal: NO_RATE, address: NO_RATE },
  })
}

export async function openTestMaster(db: Database): Promise<TestMaster> {
  const secrets = await openTestSecrets(db)
  const parts = composeTest(db, secrets)
  const connection = { ip_address: '192.0.2.1', tls: true, hold: () => undefined }
  const send = (url: string, init?: RequestInit) => {
    const request = new Request(url, init)
    request.headers.set('host', new URL(url).host)
    // As over a wire: a body of unknown length takes the room of the largest.
    if (typeof init?.body === 'string')
      request.headers.set('content-length', String(Buffer.byteLength(init.body)))
    return parts.app.fetch(request, connection)
  }
  const clientOf = (token?: string) =>
    makeClient({ base_url: URL_OF_MASTER, fetch: send, ...(token === undefined ? {} : { token }) })
  const setup_token = (await parts.services.setup.issueToken()) ?? ''
  const { data } = await clientOf().call('setup', { body: { setup_token, ...OWNER } })
  let invited = 0
  return {
    db,
    nextMaster: () => composeTest(db, secrets),
    admin: clientOf(data.token),
    client: clientOf,
    fetch: (token, method, path, body) =>
      send(URL_OF_MASTER + BASE_PATH + path, {
        method,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
    async invite(by, role, place) {
      const email = `${role}-${++invited}@example.com`
      const body = { email, role: ROLE_IDS[role], ...place }
      const { data } = await by.call('invitations_create', { body })
      const accepted = { token: data.link.token, name: email, password: PASSWORD }
      const { token } = (await clientOf().call('accept_invitation', { body: accepted })).data
      return { token, client: clientOf(token) }
    },
    stop: () => parts.stop(),
  }
}

export const site = (workspace_id: string, name: string) => ({
  workspace_id,
  name,
  server_name: `${name}.example`,
  listen_port: 80,
  locations: [{ path: '/', root: '/srv' }],
})

/** One of everything that a workspace can hold. */
export async function fill(by: Client, workspace_id: string, name = 'one') {
  const pool = { workspace_id, name, servers: [{ address: '10.0.0.1:80' }] }
  const agent = (await by.call('agents_create', { body: { workspace_id, name } })).data
  const upstream = (await by.call('upstreams_create', { body: pool })).data
  const host = await by.call('virtual_hosts_create', { body: site(workspace_id, name) })
  const token = (await by.call('workspace_tokens_create', { params: { id: workspace_id }, body: {} })).data
  return { agent, upstream, host: host.data, token, deployment_id: host.meta.deployment_id ?? '' }
}
export type Filled = Awaited<ReturnType<typeof fill>>

/** The error that a call ends with; it must end with one. */
export async function errorOf(call: Promise<unknown>): Promise<ApiError> {
  const error = await call.then(
    () => new Error('it succeeded'),
    (refused: unknown) => refused,
  )
  if (error instanceof ApiError) return error
  throw error
}
