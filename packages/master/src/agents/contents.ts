import type { Channel } from '../channel/channel.ts'
import { afterCommit } from '../database/after-commit.ts'
import type { TenantContents } from '../tenancy/tenancy.ts'
import type { AgentKeyRing } from './agent-keys-service.ts'
import { agentIdsIn, countTokens, deleteAgentsIn, deleteTokensIn } from './agents-store.ts'
import type { Directory } from './directory.ts'
import type { PresenceKeeper } from './presence.ts'

export interface AgentContentsDeps {
  readonly channel: Channel
  readonly directory: Directory
  readonly keys: Pick<AgentKeyRing, 'forget'>
  readonly presence: Pick<PresenceKeeper, 'forget'>
}

/** The agents and bootstrap tokens of tenants. All of them go at once, so that no key outlives the deletion. */
export function agentContents({ channel, directory, keys, presence }: AgentContentsDeps): TenantContents {
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
      const gone = await deleteAgentsIn(tx, workspace_ids)
      afterCommit(tx, () => {
        for (const agent of gone) {
          keys.forget(agent.id)
          directory.remove(agent)
          presence.forget(agent.id)
          channel.cut(agent.id, 'its workspace was deleted')
        }
        for (const workspace_id of workspace_ids) directory.forgetWorkspace(workspace_id)
      })
    },
  }
}
