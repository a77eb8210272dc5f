import { randomBytes } from 'node:crypto'
import { ApiError, type BootstrapToken } from '@nxmesh/contract'
import type { Access, Caller } from '../access/caller.ts'
import { hashToken } from '../access/tokens.ts'
import type { AuditLog } from '../audit/audit.ts'
import type { Database } from '../database/database.ts'
import { sliceOf } from '../http/page.ts'
import type { Tenancy } from '../tenancy/tenancy.ts'
import type { BootstrapTokens, TokenInput } from './agents.ts'
import { AGENT_AREA_LIMITS } from './agents-limits.ts'
import { type JoinTarget, joinCommand, noAgent, tokenInfoOf } from './agents-rules.ts'
import { sortedJson } from './agents-service.ts'
import {
  agentById,
  countTokens,
  deleteDeadTokens,
  deleteToken,
  insertToken,
  listTokens,
  type TokenRow,
  tokenIn,
} from './agents-store.ts'

export interface TokensDeps {
  readonly db: Database
  readonly audit: AuditLog
  readonly access: Access
  readonly tenancy: Pick<Tenancy, 'lockWorkspace'>
  readonly joinTarget: () => JoinTarget
  readonly now: () => Date
  readonly newId: () => string
}

const PREFIX = 'nxb_'
const HOUR_MS = 3_600_000

export function makeBootstrapTokens(deps: TokensDeps): BootstrapTokens {
  const { db, audit, access } = deps

  const make = async (
    caller: Caller,
    bound: { workspace_id: string; agent_id: string | null },
    input: TokenInput,
  ): Promise<BootstrapToken> => {
    const { workspace_id } = bound
    const absent = bound.agent_id === null ? undefined : noAgent
    await access.require(caller, 'agent:write', { type: 'workspace', workspace_id }, absent)
    const token = PREFIX + randomBytes(32).toString('base64url')
    const now = deps.now()
    return await db.write(async tx => {
      await deps.tenancy.lockWorkspace(tx, bound.workspace_id)
      if (bound.agent_id !== null && !(await agentById(tx, bound.agent_id))) throw noAgent()
      await deleteDeadTokens(tx, bound.workspace_id, now.toISOString())
      if ((await countTokens(tx, [bound.workspace_id])) >= AGENT_AREA_LIMITS.bootstrap_tokens_per_workspace)
        throw new ApiError(
          'LIMIT_REACHED',
          `The workspace has ${AGENT_AREA_LIMITS.bootstrap_tokens_per_workspace} bootstrap tokens that still work`,
        )
      const row: TokenRow = {
        ...bound,
        id: deps.newId(),
        token_hash: hashToken(token),
        max_uses: input.max_uses,
        uses: 0,
        expires_at: new Date(now.getTime() + input.expires_in_h * HOUR_MS).toISOString(),
        created_by_type: caller.principal.type,
        created_by_id: caller.principal.id,
        created_at: now.toISOString(),
        labels_json: sortedJson(input.labels ?? {}),
      }
      await insertToken(tx, row)
      await audit.append(tx, caller, { ...eventOf('create', row), after: publicOf(row) })
      const join_command = joinCommand(deps.joinTarget(), token, input.pin_server_key ?? false)
      return { ...tokenInfoOf(row), token, join_command }
    })
  }

  return {
    forWorkspace: (caller, workspace_id, input) => make(caller, { workspace_id, agent_id: null }, input),
    async forAgent(caller, agent_id, input) {
      const agent = await agentById(db.read, agent_id)
      if (!agent) throw noAgent()
      return await make(caller, { workspace_id: agent.workspace_id, agent_id }, input)
    },

    async list(caller, workspace_id, query) {
      await access.require(caller, 'agent:write', { type: 'workspace', workspace_id })
      const [rows, total] = await Promise.all([
        listTokens(db.read, workspace_id, sliceOf(query)),
        countTokens(db.read, [workspace_id]),
      ])
      return { items: rows.map(tokenInfoOf), total }
    },

    async revoke(caller, workspace_id, token_id) {
      await access.require(caller, 'agent:write', { type: 'workspace', workspace_id })
      await db.write(async tx => {
        const row = await tokenIn(tx, workspace_id, token_id)
        if (!row) throw new ApiError('NOT_FOUND', 'There is no such bootstrap token')
        await deleteToken(tx, token_id)
        await audit.append(tx, caller, { ...eventOf('revoke', row), before: publicOf(row) })
      })
    },
  }
}

const eventOf = (action: string, row: TokenRow) => ({
  action: `bootstrap_token.${action}`,
  object_type: 'bootstrap_token',
  object_id: row.id,
  workspace_id: row.workspace_id,
})
const publicOf = (row: TokenRow) => {
  const { agent_id, labels, max_uses, uses, expires_at } = tokenInfoOf(row)
  return { agent_id, labels, max_uses, uses, expires_at }
}
