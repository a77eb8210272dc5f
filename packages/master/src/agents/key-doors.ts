import { type Agent, ApiError, type Permission } from '@nxmesh/contract'
import type { Access, Caller } from '../access/caller.ts'
import type { AuditLog } from '../audit/audit.ts'
import type { Channel } from '../channel/channel.ts'
import type { Database } from '../database/database.ts'
import { sliceOf } from '../http/page.ts'
import type { AgentKeyRing } from './agent-keys-service.ts'
import { countKeys, keysOf } from './agent-keys-store.ts'
import type { AgentKeyDoors } from './agents.ts'
import { keyOf, noAgent } from './agents-rules.ts'
import { type AgentRow, agentById } from './agents-store.ts'
import type { KeyRotation } from './key-rotation.ts'

export interface KeyDoorsDeps {
  readonly db: Database
  readonly audit: AuditLog
  readonly access: Access
  readonly keys: AgentKeyRing
  readonly channel: Channel
  readonly rotation: KeyRotation
  /** As the list shows it, to whoever has just changed it. */
  readonly read: (ids: readonly string[]) => Promise<readonly Agent[]>
  readonly now: () => Date
}

const eventOf = (action: string, row: AgentRow) => ({
  action: `agent.${action}`,
  object_type: 'agent',
  object_id: row.id,
  workspace_id: row.workspace_id,
})

export function makeKeyDoors(deps: KeyDoorsDeps): AgentKeyDoors {
  const { db, audit, access, keys, channel, rotation } = deps

  const rowFor = async (caller: Caller, permission: Permission, id: string): Promise<AgentRow> => {
    const row = await agentById(db.read, id)
    if (!row) throw noAgent()
    await access.require(caller, permission, { type: 'workspace', workspace_id: row.workspace_id }, noAgent)
    return row
  }

  return {
    async list(caller, id, query) {
      await rowFor(caller, 'agent:read', id)
      const [rows, total] = await Promise.all([keysOf(db.read, id, sliceOf(query)), countKeys(db.read, id)])
      return { items: rows.map(row => keyOf(row, deps.now())), total }
    },

    async rotate(caller, id) {
      const row = await rowFor(caller, 'agent:write', id)
      if (channel.isOnline(id) && !rotation.canOffer(id)) throw tooOld()
      const candidate = await db.write(async tx => {
        const made = await keys.candidate(tx, id)
        if (!made) throw noKey()
        await audit.append(tx, caller, { ...eventOf('key_rotate_request', row), after: { key_id: made.id } })
        return made
      })
      return { agent_id: id, key_id: candidate.id, offered: await rotation.offer(id, candidate) }
    },

    async revoke(caller, id) {
      const row = await rowFor(caller, 'agent:write', id)
      await db.write(async tx => {
        if (!(await agentById(tx, id))) throw noAgent()
        await keys.endAll(tx, id)
        await audit.append(tx, caller, eventOf('revoke_keys', row))
      })
      keys.forget(id)
      channel.cut(id, 'the keys of the agent were revoked')
      const [agent] = await deps.read([id])
      if (!agent) throw noAgent()
      return agent
    },
  }
}

const noKey = () =>
  new ApiError('CONFLICT', 'The agent has no session key to replace; it must register first')
const tooOld = () =>
  new ApiError('CONFLICT', 'The agent is of a version that takes no new key over its connection; update it')
