import type { AgentKeys, AgentOrigins } from './agent-keys.ts'
import { type Claim, claimSigned, protocolServed, type RefusalReason, timestampFresh } from './claim.ts'
import type { Nonces } from './nonces.ts'

export type Verdict =
  | { readonly ok: true; readonly session_key: Uint8Array; readonly workspace_id: string }
  | { readonly ok: false; readonly reason: RefusalReason; readonly workspace_id: string | null }

/** The checks of a signed upgrade, in their order; the nonce is remembered only behind a valid signature. */
export async function authenticate(
  claim: Claim,
  ip_address: string | null,
  deps: { keys: AgentKeys; origins: AgentOrigins; nonces: Nonces; now: () => Date },
): Promise<Verdict> {
  const refuse = (reason: RefusalReason, workspace_id: string | null): Verdict => ({
    ok: false,
    reason,
    workspace_id,
  })
  if (!protocolServed(claim.protocol)) return refuse('protocol_not_served', null)
  const found = await deps.keys.find(claim.agent_id, claim.key_id)
  if (found.state === 'unknown_agent') return refuse('unknown_agent', null)
  const { workspace_id } = found
  if (found.state === 'key_not_live') return refuse('key_not_live', workspace_id)
  if (!timestampFresh(claim.timestamp, deps.now().getTime())) return refuse('stale_timestamp', workspace_id)
  if (deps.nonces.seen(claim.agent_id, claim.nonce)) return refuse('replayed_nonce', workspace_id)
  if (!claimSigned(claim, found.session_key)) return refuse('bad_signature', workspace_id)
  if (!(await deps.origins.admits(workspace_id, ip_address)))
    return refuse('address_not_allowed', workspace_id)
  if (!deps.nonces.remember(claim.agent_id, claim.nonce)) return refuse('too_many_nonces', workspace_id)
  return { ok: true, session_key: found.session_key, workspace_id }
}
