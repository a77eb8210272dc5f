import type { Logger } from 'pino'
import type { Places } from '../access/access-service.ts'
import type { Access } from '../access/caller.ts'
import type { AuditLog } from '../audit/audit.ts'
import type { Channel, ChannelListener } from '../channel/channel.ts'
import { makeRefusals } from '../channel/refusals.ts'
import type { Database } from '../database/database.ts'
import type { Tenancy, TenantContents } from '../tenancy/tenancy.ts'
import type { AgentKeyRing } from './agent-keys-service.ts'
import type { AgentDirectory, AgentPositions, Agents, BootstrapTokens, Registration } from './agents.ts'
import { type AgentRoutes, agentRoutes } from './agents-routes.ts'
import type { JoinTarget } from './agents-rules.ts'
import { makeAgents } from './agents-service.ts'
import { agentContents } from './contents.ts'
import { makeDirectory } from './directory.ts'
import { makePresence } from './presence.ts'
import { makeRegistration } from './registration-service.ts'
import { makeBootstrapTokens } from './tokens-service.ts'

export interface AgentsAreaDeps {
  readonly db: Database
  readonly audit: AuditLog
  readonly access: Access
  readonly places: Pick<Places, 'placeOf'>
  readonly tenancy: Pick<Tenancy, 'lockWorkspace'>
  /** Made before the channel, which needs them: `makeAgentKeys`. */
  readonly keys: AgentKeyRing
  readonly channel: Channel
  readonly log: Pick<Logger, 'warn' | 'error'>
  readonly now: () => Date
  readonly newId: () => string
  readonly joinTarget: () => JoinTarget
  readonly last_seen_every_ms?: number
}

export interface AgentsArea {
  readonly directory: AgentDirectory
  /** The first listener of the channel: others find the agent's new facts in the directory. */
  readonly listener: ChannelListener
  /** The doors, once deployments are there. */
  open(deployments: AgentPositions): {
    readonly agents: Agents
    readonly tokens: BootstrapTokens
    readonly registration: Registration
    readonly contents: TenantContents
    readonly routes: AgentRoutes
  }
  /** Writes what is not written yet. */
  stop(): Promise<void>
}

export function makeAgentsArea(deps: AgentsAreaDeps): AgentsArea {
  const { channel } = deps
  const isOnline = (agent_id: string) => channel.isOnline(agent_id)
  const directory = makeDirectory({ ...deps, isOnline })
  const presence = makePresence({ ...deps, directory, isOnline })
  return {
    directory,
    listener: presence.listener,
    open(deployments) {
      const agents = makeAgents({
        ...deps,
        directory,
        presenceOf: presence.presenceOf,
        forgetPresence: presence.forget,
        deployments,
      })
      const tokens = makeBootstrapTokens(deps)
      const registration = makeRegistration({ ...deps, directory, refusals: makeRefusals(deps) })
      const contents = agentContents({ ...deps, directory, presence, deployments })
      return { agents, tokens, registration, contents, routes: agentRoutes({ agents, tokens, registration }) }
    },
    stop: presence.stop,
  }
}
