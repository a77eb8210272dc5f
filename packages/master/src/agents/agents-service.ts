import { type Agent, ApiError, LIMITS } from '@nxmesh/contract'
import type { Access, Caller, Scope } from '../access/caller.ts'
import type { AuditLog } from '../audit/audit.ts'
import type { Channel } from '../channel/channel.ts'
import type { Database, Queryable, Tx } from '../database/database.ts'
import { totalOf } from '../database/slice.ts'
import { sliceOf } from '../http/page.ts'
import type { Tenancy } from '../tenancy/tenancy.ts'
import type { AgentKeyRing } from './agent-keys-service.ts'
import type { AgentPositions, Agents } from './agents.ts'
import { agentOf, NO_CONFIG, nameTaken, noAgent, type Presence } from './agents-rules.ts'
import {
  type AgentRow,
  agentById,
  agentByName,
  countAgents,
  deleteAgent,
  insertAgent,
  listAgents,
  updateAgent,
} from './agents-store.ts'
import type { Directory } from './directory.ts'

export interface AgentsDeps {
  readonly db: Database
  readonly audit: AuditLog
  readonly access: Access
  readonly tenancy: Pick<Tenancy, 'lockWorkspace'>
  readonly channel: Channel
  readonly keys: AgentKeyRing
  readonly directory: Directory
  readonly presenceOf: (agent_id: string) => Presence
  readonly forgetPresence: (agent_id: string) => void
  readonly deployments: AgentPositions
  readonly now: () => Date
  readonly newId: () => string
}

const scopeOf = (workspace_id: string): Scope => ({ type: 'workspace', workspace_id })
const eventOf = (action: string, row: AgentRow) => ({
  action: `agent.${action}`,
  object_type: 'agent',
  object_id: row.id,
  workspace_id: row.workspace_id,
})
const publicOf = (row: AgentRow) => ({ name: row.name, labels: JSON.parse(row.labels_json) })

export function makeAgents(deps: AgentsDeps): Agents {
  const { db, audit, access, channel, directory, deployments } = deps

  const entitiesOf = (rows: readonly AgentRow[]) => agentsOfRows(deps, rows)
  const entityOf = async (row: AgentRow): Promise<Agent> => {
    const [agent] = await entitiesOf([row])
    if (!agent) throw noAgent()
    return agent
  }
  const rowFor = async (caller: Caller, permission: 'agent:read' | 'agent:write', id: string) => {
    const row = await agentById(db.read, id)
    if (!row) throw noAgent()
    await access.require(caller, permission, scopeOf(row.workspace_id), noAgent)
    return row
  }

  /** With its workspace: of one that was deleted meanwhile nothing is changed. */
  const present = async (tx: Tx, id: string): Promise<AgentRow> => {
    const row = await agentById(tx, id)
    if (!row) throw noAgent()
    await deps.tenancy.lockWorkspace(tx, row.workspace_id)
    return row
  }

  return {
    async list(caller, { workspace_id, ...query }) {
      const workspace_ids = await access.workspaces(caller, 'agent:read', workspace_id)
      const slice = sliceOf(query)
      const rows = await listAgents(db.read, workspace_ids, slice)
      const total = await totalOf(slice, rows.length, () => countAgents(db.read, workspace_ids))
      return { items: await entitiesOf(rows), total }
    },

    get: async (caller, id) => await entityOf(await rowFor(caller, 'agent:read', id)),

    async create(caller, input) {
      await access.require(caller, 'agent:write', scopeOf(input.workspace_id))
      const row = await db.write(async tx => {
        await deps.tenancy.lockWorkspace(tx, input.workspace_id)
        await refuseFull(tx, input.workspace_id)
        if (await agentByName(tx, input.workspace_id, input.name)) throw nameTaken(input.name)
        const made = newAgent(deps, { ...input, hostname: '', ip_address: '', version: '' })
        await insertAgent(tx, made)
        await audit.append(tx, caller, { ...eventOf('create', made), after: publicOf(made) })
        return made
      })
      directory.put(row)
      return await entityOf(row)
    },

    async update(caller, id, change) {
      await rowFor(caller, 'agent:write', id)
      const { row, relabelled } = await db.write(async tx => {
        const before = await present(tx, id)
        const name = change.name ?? before.name
        const labels_json = change.labels ? sortedJson(change.labels) : before.labels_json
        if (name === before.name && labels_json === before.labels_json)
          return { row: before, relabelled: false }
        if (name !== before.name && (await agentByName(tx, before.workspace_id, name))) throw nameTaken(name)
        await updateAgent(tx, id, { name, labels_json })
        const after = { ...before, name, labels_json }
        const event = { ...eventOf('update', before), before: publicOf(before), after: publicOf(after) }
        await audit.append(tx, caller, event)
        return { row: after, relabelled: labels_json !== before.labels_json }
      })
      directory.put(row)
      if (relabelled) await deployments.labelsChanged(id)
      return await entityOf(row)
    },

    async remove(caller, id) {
      const row = await agentById(db.read, id)
      if (!row) throw noAgent()
      await access.require(caller, 'agent:delete', scopeOf(row.workspace_id), noAgent)
      await db.write(async tx => {
        const gone = await present(tx, id)
        await deleteAgent(tx, id)
        await deployments.forget(tx, [id])
        await audit.append(tx, caller, { ...eventOf('delete', gone), before: publicOf(gone) })
      })
      deps.keys.forget(id)
      directory.remove(row)
      deps.forgetPresence(id)
      channel.cut(id, 'the agent was deregistered')
    },

    async liftHold(caller, id) {
      const row = await rowFor(caller, 'agent:write', id)
      const config = (await deployments.positions([id])).get(id) ?? NO_CONFIG
      if (!config.hold) throw new ApiError('CONFLICT', 'The agent is not on hold')
      if (!channel.isOnline(id)) throw notConnected()
      await db.write(tx => audit.append(tx, caller, { ...eventOf('lift_hold', row), before: config.hold }))
      if (!channel.send(id, { type: 'lift_hold' })) throw notConnected()
      return await entityOf(row)
    },
  }
}

/** Rows as people see them. */
export async function agentsOfRows(
  { deployments, presenceOf }: Pick<AgentsDeps, 'deployments' | 'presenceOf'>,
  rows: readonly AgentRow[],
): Promise<Agent[]> {
  const configs = await deployments.positions(rows.map(row => row.id))
  return rows.map(row => agentOf(row, presenceOf(row.id), configs.get(row.id) ?? NO_CONFIG))
}

const notConnected = () =>
  new ApiError('CONFLICT', 'The agent is not connected; its hold can be lifted when it is back')

/** Sorted, so that equal labels are equal text. */
export const sortedJson = (labels: Readonly<Record<string, string>>): string =>
  JSON.stringify(Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))))

export async function refuseFull(tx: Queryable, workspace_id: string): Promise<void> {
  if ((await countAgents(tx, [workspace_id])) >= LIMITS.agents_per_workspace)
    throw new ApiError('LIMIT_REACHED', `The workspace has ${LIMITS.agents_per_workspace} agents already`)
}

export function newAgent(
  deps: { now: () => Date; newId: () => string },
  input: {
    workspace_id: string
    name: string
    labels: Readonly<Record<string, string>>
    deployment_mode: string
    hostname: string
    ip_address: string
    version: string
  },
): AgentRow {
  const { labels, ...same } = input
  return {
    ...same,
    id: deps.newId(),
    state: 'pending',
    state_reason: null,
    last_seen_at: null,
    labels_json: sortedJson(labels),
    facts_json: null,
    created_at: deps.now().toISOString(),
  }
}
