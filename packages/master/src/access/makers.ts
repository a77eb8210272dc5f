import type { Queryable } from '../database/database.ts'
import { unionOf } from './access-rules.ts'
import { apiKeyById } from './api-keys-store.ts'
import type { Caller } from './caller.ts'
import { grantsIn, grantsOfUser } from './grants.ts'
import { userById } from './users-store.ts'

export interface MadeBy {
  readonly created_by_type: string | null
  readonly created_by_id: string | null
}

/**
 * Whoever made a link, with what they may do now; null when they are out. A link is worth what its maker may still give, or
 * it would be a way to keep what was taken away.
 */
export async function makerNow(db: Queryable, made: MadeBy, now: Date, used: Caller): Promise<Caller | null> {
  const { created_by_type: type, created_by_id: id } = made
  if (id === null) return null
  if (type === 'user') {
    const user = await userById(db, id)
    if (user?.status !== 'active') return null
    return standIn(used, { type, id }, user.name, await grantsOfUser(db, id))
  }
  const key = type === 'api_key' ? await apiKeyById(db, id) : undefined
  if (!key || (key.expires_at !== null && Date.parse(key.expires_at) <= now.getTime())) return null
  return standIn(used, { type: 'api_key', id }, key.name, await grantsIn(db, [key]))
}

const standIn = (
  used: Caller,
  principal: Caller['principal'],
  name: string,
  grants: Caller['grants'],
): Caller => ({
  ...used,
  principal,
  name,
  email: null,
  grants,
  permissions: unionOf(grants),
  session_id: null,
})
