import { type Agent, ApiError, type MasterMessage } from '@nxmesh/contract'
import pino from 'pino'
import { makeAccess } from '../access/access-service.ts'
import { callerWith } from '../access/testing.ts'
import { openTestAudit } from '../audit/testing.ts'
import type { Channel, ChannelLink } from '../channel/channel.ts'
import type { Database } from '../database/database.ts'
import { newId } from '../ids.ts'
import { openTestSecrets } from '../secrets/testing.ts'
import { makeTenancyArea } from '../tenancy/make-tenancy.ts'
import { makePlaces } from '../tenancy/places.ts'
import { makeTenancy } from '../tenancy/tenancy-service.ts'
import { makeAgentKeys } from './agent-keys-service.ts'
import { makeAgentsArea } from './make-agents.ts'

export const ada = callerWith()
export const GRACE_MS = 3_600_000
export const MAX_AGE_MS = 30 * 86_400_000

/** The area on a database, with a channel that only notes what goes through it. */
export async function openAgents(db: Database) {
  const clock = { ms: Date.parse('2026-11-01T00:00:00Z') }
  const now = () => new Date(clock.ms)
  const places = makePlaces(db)
  const common = { db, now, newId, places, access: makeAccess(places), log: pino({ level: 'silent' }) }
  const audit = openTestAudit(db, now)
  const tenancy = makeTenancy({ ...common, audit })
  await db.write(tx => tenancy.ensureFirst(tx, ada))
  const { id: workspace_id } = await db.read.selectFrom('workspaces').select('id').executeTakeFirstOrThrow()
  const keys = makeAgentKeys({ ...common, secrets: await openTestSecrets(db), grace_ms: GRACE_MS })
  const online = new Set<string>()
  const links = new Map<string, ChannelLink>()
  const cuts: string[] = []
  const sent: { agent_id: string; message: MasterMessage }[] = []
  const channel: Channel = {
    send: (agent_id, message) => online.has(agent_id) && sent.push({ agent_id, message }) > 0,
    isOnline: agent_id => online.has(agent_id),
    linkOf: agent_id => links.get(agent_id) ?? null,
    onlineAgents: () => online,
    cut: agent_id => void cuts.push(agent_id),
    cutOutside: () => {},
  }
  const joinTarget = () => ({
    master_url: 'https://master.test:8443',
    ca_fingerprint: 'ab'.repeat(32),
    server_key_pin: 'sha256/pin=',
  })
  const area = makeAgentsArea({
    ...common,
    audit,
    tenancy,
    keys,
    channel,
    joinTarget,
    key_max_age_ms: MAX_AGE_MS,
  })
  const relabelled: string[] = []
  const configs = new Map<string, Agent['config']>()
  const doors = area.open({
    positions: async () => configs,
    labelsChanged: id => void relabelled.push(id),
    forget: async () => {},
  })
  const auditRows = (action: string) =>
    db.read.selectFrom('audit_log').selectAll().where('action', '=', action).execute()
  const tenants = makeTenancyArea({
    ...common,
    database: db,
    audit,
    contents: [doors.contents],
    originsChanged: () => {},
    own: async () => {},
  })
  return {
    ...doors,
    /** The doors of tenancy, for what a workspace says about its agents. */
    tenancy_doors: tenants.routes,
    places,
    area,
    audit,
    // The ring itself; `doors.keys` are the doors to it.
    ring: keys,
    key_doors: doors.keys,
    online,
    links,
    sent,
    cuts,
    configs,
    relabelled,
    workspace_id,
    clock,
    auditRows,
    db,
  }
}
export type OpenedAgents = Awaited<ReturnType<typeof openAgents>>

export const HOST = { hostname: 'web-1', version: '0.1.0' }
export const ONCE = { expires_in_h: 24, max_uses: 1 }

/** `ok`, or the code of the error. */
export const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'ok',
    (error: unknown) => (error instanceof ApiError ? error.code : `${error}`),
  )

export const create = (on: OpenedAgents, name: string, labels = {}) =>
  on.agents.create(ada, { workspace_id: on.workspace_id, name, labels, deployment_mode: 'standalone' })
