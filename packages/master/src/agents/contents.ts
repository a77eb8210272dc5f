import type { Channel } from '../channel/channel.ts'
import { afterCommit } from '../database/after-commit.ts'
import type { TenantContents } from '../tenancy/tenancy.ts'
import type { AgentKeyRing } from './agent-keys-service.ts'
import type { AgentPositions } from './agents.ts'
import { agentIdsIn, countTokens, deleteSomeAgents, deleteTokensIn } from './agents-store.ts'
import type { Directory } from './directory.ts'
import type { PresenceKeeper } from './presence.ts'

export interface AgentContentsDeps {
  readonly channel: Channel
  readonly directory: Directory
  readonly keys: Pick<AgentKeyRing, 'forget'>
  readonly presence: Pick<PresenceKeeper, 'forget'>
  readonly deployments: Pick<AgentPositions, 'forget'>
}

/**
 * The agents and bootstrap tokens of tenants. With the workspace every key ends (the key ring asks for it), the tokens go at
 * once, and the connections are cut; thousands of rows follow in steps.
 */
export function agentContents(deps: AgentContentsDeps): TenantContents {
  const { channel, directory, keys, presence, deployments } = deps
  return {
    async count(db, { workspace_ids }) {
      const ids = await agentIdsIn(db, workspace_ids)
      const connected = ids.filter(id => channel.isOnline(id)).length
      return [
        { field: 'agents', count: ids.length, note: `${connected} of them connected` },
        { field: 'bootstrap_tokens', count: await countTokens(db, workspace_ids) },
      ]
    },

    async close(tx, { workspace_ids }) {
      await deleteTokensIn(tx, workspace_ids)
      const ids = await agentIdsIn(tx, workspace_ids)
      afterCommit(tx, () => {
        for (const workspace_id of workspace_ids) directory.forgetWorkspace(workspace_id)
        for (const id of ids) {
          keys.forget(id)
          presence.forget(id)
          channel.cut(id, 'its workspace was deleted')
        }
      })
    },

    async purge(tx, workspace_id, max_rows) {
      const ids = await deleteSomeAgents(tx, workspace_id, max_rows)
      await deployments.forget(tx, ids)
      return ids.length
    },
  }
}
