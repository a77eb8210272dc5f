import type { AgentMessageOf } from '@nxmesh/contract'
import { keyProved } from '@nxmesh/contract/channel/signing'
import { KEY_ROTATION_PROTOCOL } from '@nxmesh/contract/channel/version'
import type { Logger } from 'pino'
import { nobody } from '../access/nobody.ts'
import type { AuditLog } from '../audit/audit.ts'
import type { Channel, ChannelListener } from '../channel/channel.ts'
import type { Database } from '../database/database.ts'
import { faultPoint } from '../faults.ts'
import type { AgentKeyRing } from './agent-keys-service.ts'
import { type AgentKeyRow, keyById, liveKeysOf } from './agent-keys-store.ts'
import { keyIsLive } from './agents-rules.ts'
import { agentById } from './agents-store.ts'

export interface KeyRotationDeps {
  readonly db: Database
  readonly audit: AuditLog
  readonly keys: AgentKeyRing
  readonly channel: Channel
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  readonly now: () => Date
  readonly newId: () => string
}

/**
 * Gives agents new session keys over their running connections: a stored candidate is offered, the agent keeps it and proves
 * that, and only then it becomes the primary key. A kill at any step leaves both ends with a key that they share; what was
 * begun is taken up at the next connection. docs/decisions/0012-agent-keys.md tells what each one leaves.
 */
export interface KeyRotation {
  readonly listener: ChannelListener
  /** Whether the agent can be offered a key now. */
  canOffer(agent_id: string): boolean
  /** Sends a candidate that is committed. False when the agent is not connected, or speaks a protocol without rotation. */
  offer(agent_id: string, candidate: AgentKeyRow): Promise<boolean>
}

export function makeKeyRotation(deps: KeyRotationDeps): KeyRotation {
  const { db, keys, channel, log } = deps

  const linkOf = (agent_id: string) => {
    const link = channel.linkOf(agent_id)
    return link !== null && link.protocol >= KEY_ROTATION_PROTOCOL ? link : null
  }
  const offer = async (agent_id: string, candidate: AgentKeyRow): Promise<boolean> => {
    faultPoint('key_candidate_stored')
    if (!linkOf(agent_id)) return false
    const session_key = Buffer.from(await keys.open(candidate)).toString('base64url')
    // Another connection may have come meanwhile, which does not know the message.
    if (!linkOf(agent_id)) return false
    const sent = channel.send(agent_id, { type: 'key_offer', key_id: candidate.id, session_key })
    faultPoint('key_offer_sent')
    return sent
  }
  const tellPrimary = (agent_id: string, key_id: string) =>
    void (linkOf(agent_id) && channel.send(agent_id, { type: 'key_promoted', key_id }))

  /** The proof is there: what the agent keeps is from now on what it is known by. */
  const promote = async (agent_id: string, key_id: string): Promise<void> => {
    const promotion = await db.write(async tx => {
      const agent = await agentById(tx, agent_id)
      const done = agent ? await keys.promote(tx, agent_id, key_id) : ({ outcome: 'not_live' } as const)
      if (!agent || done.outcome !== 'promoted') return done
      const principal = { type: 'agent', id: agent_id } as const
      const who = { principal, name: agent.name, door: 'channel', ip_address: null } as const
      await deps.audit.append(tx, nobody({ ...who, request_id: deps.newId() }), {
        action: 'agent.key_rotate',
        object_type: 'agent',
        object_id: agent_id,
        workspace_id: agent.workspace_id,
        before: { key_id: done.previous_key_id },
        after: { key_id, previous_ends_at: done.ends_at },
      })
      return done
    })
    keys.forget(agent_id)
    faultPoint('key_promoted')
    if (promotion.outcome === 'not_live')
      return log.warn({ agent_id, key_id }, 'An agent proved a session key that is not offered any more')
    if (promotion.outcome === 'promoted') log.info({ agent_id, key_id }, 'Session key rotated')
    tellPrimary(agent_id, key_id)
  }

  const accepted = async (agent_id: string, { key_id, proof }: AgentMessageOf<'key_accepted'>) => {
    const link = linkOf(agent_id)
    const key = await keyById(db.read, key_id)
    if (!link || key?.agent_id !== agent_id || !keyIsLive(key, deps.now())) return
    const { server_nonce } = link
    // One that comes from a connection before this one proves nothing here: this one was offered the key again.
    if (keyProved(await keys.open(key), { agent_id, key_id, server_nonce }, proof))
      await promote(agent_id, key_id)
    else log.warn({ agent_id, key_id }, 'The proof of a new session key is wrong; the old one goes on')
  }

  return {
    offer,
    canOffer: agent_id => linkOf(agent_id) !== null,
    listener: {
      async connected(agent_id) {
        const link = linkOf(agent_id)
        if (!link) return
        const live = await liveKeysOf(db.read, agent_id)
        const candidate = live.find(one => one.status === 'candidate')
        // The upgrade was signed with it and the hello sealed with what is derived from it.
        if (candidate?.id === link.key_id) return await promote(agent_id, candidate.id)
        const primary = live.find(one => one.status === 'primary')
        if (primary) tellPrimary(agent_id, primary.id)
        if (candidate && keyIsLive(candidate, deps.now())) await offer(agent_id, candidate)
      },
      async message(agent_id, message) {
        if (message.type === 'key_accepted') await accepted(agent_id, message)
      },
      async disconnected() {},
    },
  }
}
