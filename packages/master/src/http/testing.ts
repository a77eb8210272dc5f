import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ApiError, BASE_PATH, type Client, ENDPOINTS, makeClient } from '@nxmesh/contract'
import pino from 'pino'
import { makeAccess } from '../access/access-service.ts'
import { type AccessDeps, makeAccessArea } from '../access/make-access.ts'
import type { Standings } from '../access/standing.ts'
import { openTestAudit } from '../audit/testing.ts'
import type { Database } from '../database/database.ts'
import { openDatabase } from '../database/open-database.ts'
import { newId } from '../ids.ts'
import type { Secrets } from '../secrets/secrets.ts'
import { openTestSecrets } from '../secrets/testing.ts'
import { makeTenancyArea } from '../tenancy/make-tenancy.ts'
import { makePlaces } from '../tenancy/places.ts'
import type { TenantContents } from '../tenancy/tenancy.ts'
import { makeTenancy } from '../tenancy/tenancy-service.ts'
import type { WorkspacesDeps } from '../tenancy/workspaces-service.ts'
import type { Connection } from './connection.ts'
import { type HttpDeps, makeHttpApp } from './make-http-app.ts'
import type { Routes } from './routing.ts'

export interface TestClock {
  now: () => Date
  advance(ms: number): void
}

export interface TestApp {
  readonly database: Database
  readonly clock: TestClock
  readonly setup_token: string
  readonly secrets: Secrets
  readonly standings: Standings
  /** What was logged, as JSON lines. */
  readonly logged: string[]
  /** Requests that asked for the idle timeout to be lifted. */
  held: number
  fetch(path: string, init?: RequestInit, connection?: Partial<Connection>): Promise<Response>
  /** A request as a listener gives it. */
  raw(request: Request): Promise<Response>
  client(token?: string, connection?: Partial<Connection>): Client
  /** A client of the owner, made by the set-up. */
  owner(): Promise<{ client: Client; token: string; organization_id: string; workspace_id: string }>
}

export interface TestOptions {
  readonly database?: Database
  readonly routes?: Partial<Routes>
  readonly contents?: readonly TenantContents[]
  readonly originsChanged?: WorkspacesDeps['originsChanged']
  readonly rates?: HttpDeps['rates']
  /** How identity providers are asked; the default is the plain fetch, which reaches loopback. */
  readonly outgoing?: AccessDeps['outgoing']
  readonly provider_endpoints?: AccessDeps['provider_endpoints']
  readonly body_ms?: HttpDeps['body_ms']
}

export const OWNER = { email: 'owner@example.com', password: 'correct horse battery' } as const
export const ORIGIN = 'https://master.test:8443'

/** The real application over real services on a real database; routes of areas that a test does not give answer NOT_FOUND. */
export async function openTestApp(options: TestOptions = {}): Promise<TestApp> {
  const database = options.database ?? (await openTemporary())
  const clock = makeClock()
  const logged: string[] = []
  const log = pino({}, { write: (line: string) => void logged.push(line) })
  const common = {
    database,
    audit: openTestAudit(database, clock.now),
    log,
    now: clock.now,
    newId,
  }
  const places = makePlaces(database)
  const secrets = await openTestSecrets(database)
  const area = makeAccessArea({
    ...common,
    secrets,
    places,
    access: makeAccess(places),
    tenancy: makeTenancy(common),
    masterUrl: () => ORIGIN,
    outgoing: options.outgoing ?? { fetch: (url, init) => fetch(url, init as RequestInit) },
    ...(options.provider_endpoints ? { provider_endpoints: options.provider_endpoints } : {}),
  })
  const tenancy = makeTenancyArea({
    ...common,
    access: makeAccess(places),
    own: area.bindings.own,
    places,
    contents: options.contents ?? [area.contents],
    originsChanged: options.originsChanged ?? (() => {}),
  })
  const http = makeHttpApp({
    ...common,
    routes: { ...noRoutes(), ...area.routes, ...tenancy.routes, ...options.routes },
    authenticator: area.authenticator,
    secrets,
    ready: async () => true,
    version: 'test',
    ...(options.rates ? { rates: options.rates } : {}),
    ...(options.body_ms ? { body_ms: options.body_ms } : {}),
  })
  const app: TestApp = {
    database,
    clock,
    logged,
    setup_token: (await area.setup.issueToken()) ?? '',
    secrets,
    standings: area.standings,
    held: 0,
    fetch(path, init = {}, connection = {}) {
      const url = path.startsWith('https:') ? path : ORIGIN + path
      const request = new Request(url, init)
      if (!request.headers.has('host')) request.headers.set('host', new URL(url).host)
      const hold = () => {
        app.held++
      }
      return http.fetch(request, { ip_address: '192.0.2.1', tls: true, hold, ...connection })
    },
    raw: request => http.fetch(request, { ip_address: '192.0.2.1', tls: false, hold: () => undefined }),
    client: (token, connection) =>
      makeClient({
        base_url: ORIGIN,
        fetch: (url, init) => app.fetch(url, init, connection),
        ...(token === undefined ? {} : { token }),
      }),
    async owner() {
      const body = { setup_token: app.setup_token, ...OWNER }
      const { data } = await app.client().call('setup', { body })
      const client = app.client(data.token)
      const [workspace] = (await client.call('workspaces_list')).data
      const { id: workspace_id = '', organization_id = '' } = workspace ?? {}
      return { client, token: data.token, organization_id, workspace_id }
    },
  }
  return app
}

export const api = (path: string): string => BASE_PATH + path

/** What a caller with a token sends; both are asked for at each request, because a test may change them. */
export function requests(app: () => TestApp, token: () => string) {
  const headers = (more: Record<string, string> = {}) => ({ authorization: `Bearer ${token()}`, ...more })
  return {
    headers,
    get: (path: string, more: Record<string, string> = {}) =>
      app().fetch(api(path), { headers: headers(more) }),
    post: (
      path: string,
      body: string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>,
      more: Record<string, string> = {},
    ) =>
      app().fetch(api(path), {
        method: 'POST',
        body,
        headers: headers({ 'content-type': 'application/json', ...more }),
      }),
  }
}

/** The error that a response carries, its status and the fields that it names. */
export async function refusal(response: Response | Promise<Response>) {
  const answer = await response
  const { error } = (await answer.json()) as {
    error: {
      code: string
      message: string
      details: { field: string; message: string }[]
      request_id: string
    }
  }
  return { ...error, status: answer.status, fields: error.details.map(one => one.field) }
}

/** The code of the error that a promise ends with; what it gave instead, when it did not fail. */
export async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    return { succeeded: await promise }
  } catch (error) {
    return error instanceof ApiError ? error.code : error
  }
}

function makeClock(): TestClock {
  let now_ms = Date.parse('2026-11-23T12:00:00.000Z')
  return {
    now: () => new Date(now_ms),
    advance: ms => {
      now_ms += ms
    },
  }
}

function noRoutes(): Routes {
  const none = async () => {
    throw new ApiError('NOT_FOUND', 'This area is not part of the test')
  }
  return Object.fromEntries(Object.keys(ENDPOINTS).map(id => [id, none])) as unknown as Routes
}

const temporary: { database: Database; dir: string }[] = []

async function openTemporary(): Promise<Database> {
  const dir = mkdtempSync(join(tmpdir(), 'nxmesh-http-'))
  const database = await openDatabase(`sqlite:${join(dir, 'master.db')}`, () => {})
  temporary.push({ database, dir })
  return database
}

/** For the `afterAll` of each file that opens a test app: files that share a process share this module as well. */
export async function closeTestApps(): Promise<void> {
  for (const { database, dir } of temporary.splice(0)) {
    await database.close()
    rmSync(dir, { recursive: true, force: true })
  }
}
