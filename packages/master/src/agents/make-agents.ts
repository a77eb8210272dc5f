import type { Agent } from '@nxmesh/contract'
import type { Logger } from 'pino'
import type { Places } from '../access/access-service.ts'
import type { Access } from '../access/caller.ts'
import type { AuditLog } from '../audit/audit.ts'
import type { Channel, ChannelListener } from '../channel/channel.ts'
import { makeRefusals } from '../channel/refusals.ts'
import type { Database } from '../database/database.ts'
import type { Tenancy, TenantContents } from '../tenancy/tenancy.ts'
import type { AgentKeyRing } from './agent-keys-service.ts'
import type {
  AgentDirectory,
  AgentKeyDoors,
  AgentPositions,
  Agents,
  BootstrapTokens,
  Registration,
} from './agents.ts'
import { type AgentRoutes, agentRoutes } from './agents-routes.ts'
import type { JoinTarget } from './agents-rules.ts'
import { agentsOfRows, makeAgents } from './agents-service.ts'
import { agentsByIds } from './agents-store.ts'
import { agentContents } from './contents.ts'
import { type AgentChanged, makeDirectory } from './directory.ts'
import { makeKeyDoors } from './key-doors.ts'
import { makeKeyRotation } from './key-rotation.ts'
import { type KeySweep, makeKeySweep } from './key-sweep.ts'
import { makePresence } from './presence.ts'
import { makeRegistration } from './registration-service.ts'
import { makeBootstrapTokens } from './tokens-service.ts'

export interface AgentsAreaDeps {
  readonly db: Database
  readonly audit: AuditLog
  readonly access: Access
  readonly places: Pick<Places, 'placeOf'>
  readonly tenancy: Pick<Tenancy, 'lockWorkspace' | 'workspaceOf'>
  /** Made before the channel, which needs them: `makeAgentKeys`. */
  readonly keys: AgentKeyRing
  readonly channel: Channel
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  readonly now: () => Date
  readonly newId: () => string
  readonly joinTarget: () => JoinTarget
  /** Session keys older than this are replaced. */
  readonly key_max_age_ms: number
  /** Told of each agent that was made, changed or deleted, came or went. */
  readonly changed?: AgentChanged
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
    readonly keys: AgentKeyDoors
    readonly key_sweep: KeySweep
    /** As the list shows them; ids of nothing are left out. Asks nobody: whoever shows them does. */
    readonly read: (ids: readonly string[]) => Promise<Agent[]>
    readonly routes: AgentRoutes
  }
  /** From here on aged session keys are replaced. */
  start(): void
  /** Writes what is not written yet. */
  stop(): Promise<void>
}

export function makeAgentsArea(deps: AgentsAreaDeps): AgentsArea {
  const { channel } = deps
  const isOnline = (agent_id: string) => channel.isOnline(agent_id)
  const directory = makeDirectory({ ...deps, isOnline })
  const presence = makePresence({ ...deps, directory, isOnline })
  const rotation = makeKeyRotation(deps)
  const key_sweep = makeKeySweep({ ...deps, rotation, max_age_ms: deps.key_max_age_ms })
  return {
    directory,
    listener: inTurn(presence.listener, rotation.listener),
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
      const read = async (ids: readonly string[]) =>
        await agentsOfRows(
          { deployments, presenceOf: presence.presenceOf },
          await agentsByIds(deps.db.read, ids),
        )
      const doors = { agents, tokens, registration, keys: makeKeyDoors({ ...deps, rotation, read }) }
      return { ...doors, key_sweep, read, contents, routes: agentRoutes(doors) }
    },
    start: key_sweep.start,
    async stop() {
      await key_sweep.stop()
      await presence.stop()
    },
  }
}

/** One listener after the other. */
const inTurn = (first: ChannelListener, second: ChannelListener): ChannelListener => ({
  async connected(...what) {
    await first.connected(...what)
    await second.connected(...what)
  },
  async message(...what) {
    await first.message(...what)
    await second.message(...what)
  },
  async disconnected(agent_id) {
    await first.disconnected(agent_id)
    await second.disconnected(agent_id)
  },
})
