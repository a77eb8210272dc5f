import type { RoleName, Session } from '@nxmesh/contract'
import { type Client, makeClient } from '@nxmesh/contract/client'
import { type Fleet, startFleet } from '../fleet/fleet.ts'

/** A whole master with an organization of three workspaces: whoever may read in A may read in C, and nobody from A in B. */
export interface EventsWorld {
  readonly fleet: Fleet
  readonly organization_id: string
  readonly a: string
  readonly b: string
  readonly c: string
  /** An API key with a role in a workspace; null: in the whole organization. */
  key(role: RoleName, workspace_id: string | null): Promise<{ id: string; key: string }>
  /** A user with a role in a workspace, logged in as a browser. */
  user(email: string, role: RoleName, workspace_id: string): Promise<LoggedIn>
  refresh(user: LoggedIn): Promise<LoggedIn>
  /** The client of a token. */
  client(token: string): Client
  /** A change in a workspace: a deployment and an audit row come of it. */
  change(workspace_id: string): Promise<string>
  /** Moves the master's clock. */
  advance(ms: number): void
  stop(): Promise<void>
}

export interface LoggedIn {
  readonly session: Session
  readonly cookie: string
}

export async function startEventsWorld(): Promise<EventsWorld> {
  let ahead_ms = 0
  const fleet = await startFleet({
    flags: { 'listen-plain': '127.0.0.1:0' },
    now: () => new Date(Date.now() + ahead_ms),
  })
  const { client } = fleet
  const body = { name: 'Tenants', slug: 'tenants' }
  const organization_id = (await client.call('organizations_create', { body })).data.id
  const workspace = async (slug: string) => {
    const input = { organization_id, name: slug, slug }
    return (await client.call('workspaces_create', { body: input })).data.id
  }
  const [a, b, c] = [await workspace('a'), await workspace('b'), await workspace('c')]
  await shareReads(fleet, organization_id, c, a)

  const post = async (path: string, value: unknown, headers: Record<string, string> = {}) => {
    const response = await fetch(`${fleet.master.url}/api/v1${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      ...(value === undefined ? {} : { body: JSON.stringify(value) }),
      tls: { ca: fleet.master.ca_pem },
    })
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    const { data } = (await response.json()) as { data: Session }
    return { session: data, cookie: response.headers.get('set-cookie')?.split(';')[0] ?? '' }
  }
  let names = 0
  return {
    fleet,
    organization_id,
    a,
    b,
    c,
    async key(role, workspace_id) {
      const input = { name: `key ${++names}`, role, organization_id, workspace_id }
      return (await client.call('api_keys_create', { body: input })).data
    },
    async user(email, role, workspace_id) {
      const input = { email, role, organization_id, workspace_id }
      const { token } = (await client.call('invitations_create', { body: input })).data.link
      return await post('/auth/accept-invitation', {
        token,
        name: email,
        password: 'a long password for tests',
      })
    },
    refresh: user => post('/auth/refresh', undefined, { cookie: user.cookie }),
    client: token => makeClient({ base_url: fleet.master.url, ca: fleet.master.ca_pem, token }),
    async change(workspace_id) {
      const name = `pool-${++names}`
      const input = { workspace_id, name, servers: [{ address: '127.0.0.1:9' }] }
      return (await client.call('upstreams_create', { body: input })).data.id
    },
    advance(ms) {
      ahead_ms += ms
    },
    stop: () => fleet.stop(),
  }
}

/** The setting `cross_workspace_reads`; the master starts again, because it keeps in memory what it read. */
async function shareReads(fleet: Fleet, organization_id: string, shown: string, to: string): Promise<void> {
  const settings_json = JSON.stringify({
    cross_workspace_reads: [{ workspace_id: shown, readable_from: [to] }],
  })
  await fleet.master.services.db.write(async tx => {
    await tx.updateTable('organizations').set({ settings_json }).where('id', '=', organization_id).execute()
  })
  await fleet.stopMaster()
  await fleet.startMasterAgain()
}
