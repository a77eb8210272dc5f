import { ApiError, type ApiKey, LIMITS } from '@nxmesh/contract'
import type { AuditLog } from '../audit/audit.ts'
import type { Database, Tx } from '../database/database.ts'
import { type PageOf, sliceOf } from '../http/page.ts'
import {
  type ApiKeyRow,
  apiKeyById,
  countApiKeys,
  deleteApiKey,
  insertApiKey,
  listApiKeys,
} from './access-store.ts'
import type { Authenticator } from './authenticator.ts'
import type { Access, Caller } from './caller.ts'
import { hashToken, newToken, TOKEN_PREFIX } from './tokens.ts'

export interface ApiKeyInput {
  readonly name: string
  /** RFC 3339; null or absent: it does not expire. */
  readonly expires_at?: string | null | undefined
}

export interface ApiKeys {
  list(caller: Caller, query: { page: number; per_page: number }): Promise<PageOf<ApiKey>>
  /** The key is in the answer and nowhere else. It has its owner's permissions. */
  create(caller: Caller, input: ApiKeyInput): Promise<ApiKey & { key: string }>
  /** The key ends at once. Throws NOT_FOUND. */
  remove(caller: Caller, id: string): Promise<void>
}

export interface ApiKeysDeps {
  readonly database: Database
  readonly audit: AuditLog
  readonly access: Access
  readonly authenticator: Authenticator
  readonly now: () => Date
  readonly newId: () => string
}

const INSTANCE = { type: 'instance' } as const
const PREFIX_CHARS = TOKEN_PREFIX.api_key.length + 8

export function makeApiKeys(deps: ApiKeysDeps): ApiKeys {
  const { database, audit, access, authenticator, now, newId } = deps

  return {
    async list(caller, query) {
      await access.require(caller, 'api_key:read', INSTANCE)
      const [rows, total] = await Promise.all([
        listApiKeys(database.read, sliceOf(query)),
        countApiKeys(database.read),
      ])
      return { items: rows.map(apiKeyOf), total }
    },

    async create(caller, input) {
      await access.require(caller, 'api_key:write', INSTANCE)
      const expires_at = expiryOf(input.expires_at ?? null, now())
      const key = newToken('api_key')
      return await database.write(async tx => {
        if ((await countApiKeys(tx)) >= LIMITS.api_keys)
          throw new ApiError('LIMIT_REACHED', `There are ${LIMITS.api_keys} API keys already`)
        const row: ApiKeyRow = {
          id: newId(),
          user_id: await ownerOf(tx, caller),
          name: input.name,
          prefix: key.slice(0, PREFIX_CHARS),
          key_hash: hashToken(key),
          created_at: now().toISOString(),
          expires_at,
          last_used_at: null,
        }
        await insertApiKey(tx, row)
        const after = apiKeyOf(row)
        await audit.append(tx, caller, {
          action: 'api_key.create',
          object_type: 'api_key',
          object_id: row.id,
          after,
        })
        return { ...after, key }
      })
    },

    async remove(caller, id) {
      await access.require(caller, 'api_key:delete', INSTANCE)
      await database.write(async tx => {
        const row = await apiKeyById(tx, id)
        if (!row) throw new ApiError('NOT_FOUND', 'There is no such API key')
        await deleteApiKey(tx, id)
        const before = apiKeyOf(row)
        await audit.append(tx, caller, {
          action: 'api_key.delete',
          object_type: 'api_key',
          object_id: id,
          before,
        })
      })
      authenticator.forget(id)
    },
  }
}

/** The user whose permissions a new key gets: the caller, or the owner of the key that calls. */
async function ownerOf(tx: Tx, { principal }: Caller): Promise<string> {
  if (principal.type === 'user' && principal.id !== null) return principal.id
  const key =
    principal.type === 'api_key' && principal.id !== null ? await apiKeyById(tx, principal.id) : undefined
  if (!key) throw new ApiError('FORBIDDEN', 'Only users and API keys can make API keys')
  return key.user_id
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

const apiKeyOf = ({ id, name, prefix, created_at, expires_at, last_used_at }: ApiKeyRow): ApiKey => ({
  id,
  name,
  prefix,
  created_at,
  expires_at,
  last_used_at,
})
