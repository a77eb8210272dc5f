import { ApiError, type ApiKey, LIMITS } from '@nxmesh/contract'
import type { AuditLog } from '../audit/audit.ts'
import { afterCommit } from '../database/after-commit.ts'
import type { Database } from '../database/database.ts'
import { type PageOf, sliceOf } from '../http/page.ts'
import type { Places } from './access-service.ts'
import {
  type ApiKeyRow,
  apiKeyById,
  countApiKeys,
  countApiKeysOf,
  deleteApiKey,
  insertApiKey,
  listApiKeys,
} from './api-keys-store.ts'
import type { Authenticator } from './authenticator.ts'
import type { Access, Caller } from './caller.ts'
import { rolesBehind } from './grants.ts'
import { apiKeyOf, noApiKey, scopeOf } from './people-rules.ts'
import { type PlaceQuery, reachFor } from './reach-for.ts'
import { requireGivable, type Wanted } from './role-places.ts'
import { hashToken, newToken, TOKEN_PREFIX } from './tokens.ts'

export interface ApiKeyInput extends Wanted {
  readonly name: string
  /** RFC 3339; null or absent: it does not expire. */
  readonly expires_at?: string | null | undefined
}

export interface ApiKeys {
  list(caller: Caller, query: PlaceQuery): Promise<PageOf<ApiKey>>
  /** The key is in the answer and nowhere else. It cannot have more than whoever makes it. */
  create(caller: Caller, input: ApiKeyInput): Promise<ApiKey & { key: string }>
  /** The key ends at once. Throws NOT_FOUND. */
  remove(caller: Caller, id: string): Promise<void>
}

export interface ApiKeysDeps {
  readonly database: Database
  readonly audit: AuditLog
  readonly access: Access
  readonly places: Places
  readonly authenticator: Authenticator
  readonly now: () => Date
  readonly newId: () => string
}

const PREFIX_CHARS = TOKEN_PREFIX.api_key.length + 8
const eventOf = (action: string, row: ApiKeyRow) => ({
  action: `api_key.${action}`,
  object_type: 'api_key',
  object_id: row.id,
  organization_id: row.organization_id,
  workspace_id: row.workspace_id,
})

export function makeApiKeys(deps: ApiKeysDeps): ApiKeys {
  const { database, audit, access, authenticator, now, newId } = deps

  return {
    async list(caller, query) {
      const reach = await reachFor(access, caller, 'api_key:read', query)
      const rows = await listApiKeys(database.read, reach, sliceOf(query))
      const roles = await rolesBehind(
        database.read,
        rows.map(row => row.role_id),
      )
      return {
        items: rows.map(row => apiKeyOf(row, roles)),
        total: await countApiKeys(database.read, reach),
      }
    },

    async create(caller, input) {
      const expires_at = expiryOf(input.expires_at ?? null, now())
      const key = newToken('api_key')
      return await database.write(async tx => {
        const role = await requireGivable(deps, tx, caller, 'api_key:write', input)
        // For each organization: one must not use up what the others need.
        if ((await countApiKeysOf(tx, input.organization_id)) >= LIMITS.api_keys)
          throw new ApiError('LIMIT_REACHED', `There are ${LIMITS.api_keys} API keys there already`)
        const row: ApiKeyRow = {
          id: newId(),
          name: input.name,
          prefix: key.slice(0, PREFIX_CHARS),
          key_hash: hashToken(key),
          role_id: role.role_id,
          organization_id: input.organization_id,
          workspace_id: input.workspace_id,
          created_by_type: caller.principal.type,
          created_by_id: caller.principal.id,
          created_at: now().toISOString(),
          expires_at,
          last_used_at: null,
        }
        await insertApiKey(tx, row)
        const after = apiKeyOf(row, new Map([[role.role_id, role]]))
        await audit.append(tx, caller, { ...eventOf('create', row), after })
        return { ...after, key }
      })
    },

    async remove(caller, id) {
      await database.write(async tx => {
        const row = await apiKeyById(tx, id)
        if (!row) throw noApiKey()
        await access.require(caller, 'api_key:delete', scopeOf(row), noApiKey)
        await deleteApiKey(tx, id)
        const before = apiKeyOf(row, await rolesBehind(tx, [row.role_id]))
        await audit.append(tx, caller, { ...eventOf('delete', row), before })
        afterCommit(tx, () => authenticator.forget([id]))
      })
    },
  }
}

function expiryOf(expires_at: string | null, now: Date): string | null {
  if (expires_at === null) return null
  const days = (Date.parse(expires_at) - now.getTime()) / 86_400_000
  if (days > 0 && days <= LIMITS.api_key_max_days) return new Date(expires_at).toISOString()
  throw new ApiError('VALIDATION_ERROR', 'The API key cannot expire then', {
    details: [
      { field: 'expires_at', message: `must lie in the future, at most ${LIMITS.api_key_max_days} days` },
    ],
  })
}
