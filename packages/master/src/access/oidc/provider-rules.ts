import {
  ApiError,
  type GroupMapping,
  type IdentityProvider,
  LIMITS,
  type LoginError,
  type ProviderKind,
} from '@nxmesh/contract'
import type { RoleSet } from '../access-rules.ts'
import { isSameRole } from '../people-rules.ts'
import type { Place } from '../roles-store.ts'
import type { ProviderRow } from './providers-store.ts'
import type { ProviderConfig } from './relying-party.ts'

/** A role by a group, as it is stored. */
export interface StoredMapping extends Place {
  readonly group: string
  readonly role_id: string
}

export const mappingsOf = (row: ProviderRow): StoredMapping[] => JSON.parse(row.group_mappings_json)

/** The roles that somebody in these groups has, each once. */
export function mappedRoles(mappings: readonly StoredMapping[], groups: readonly string[]): StoredMapping[] {
  const mapped = new Set(mappings.map(one => one.group))
  const held = new Set(groups.filter(one => mapped.has(one)).slice(0, LIMITS.groups_per_login))
  const found: StoredMapping[] = []
  for (const one of mappings)
    if (held.has(one.group) && !found.some(other => isSameRole(one, other))) found.push(one)
  return found
}

const DEFAULT_SCOPES = ['openid', 'profile', 'email']
const GITHUB_SCOPES = ['read:user', 'user:email']

/** Name and e-mail; and the groups, where the kind has a scope for them. */
export function defaultScopes(kind: ProviderKind, wants_groups: boolean): string[] {
  if (kind !== 'github') return DEFAULT_SCOPES
  return wants_groups ? [...GITHUB_SCOPES, 'read:org'] : GITHUB_SCOPES
}

export const kindOf = (row: ProviderRow): ProviderKind => row.kind as ProviderKind

export const configOf = (row: ProviderRow, client_secret: string | null): ProviderConfig => ({
  kind: kindOf(row),
  issuer: row.issuer,
  client_id: row.client_id,
  client_secret,
  scopes: JSON.parse(row.scopes_json),
  groups_claim: row.groups_claim,
  wants_groups: mappingsOf(row).length > 0,
})

/** What the audit log tells of a provider. */
export const auditedOf = (row: ProviderRow) => ({
  name: row.name,
  kind: kindOf(row),
  issuer: row.issuer,
  client_id: row.client_id,
  has_client_secret: row.sealed_client_secret !== null,
  scopes: JSON.parse(row.scopes_json),
  groups_claim: row.groups_claim,
  enabled: row.enabled === 1,
  allow_sign_up: row.allow_sign_up === 1,
  group_mappings: mappingsOf(row),
})

export const providerOf = (
  row: ProviderRow,
  roles: ReadonlyMap<string, RoleSet>,
  redirect_uri: string,
): IdentityProvider => ({
  id: row.id,
  ...auditedOf(row),
  group_mappings: mappingsOf(row).map(
    (one): GroupMapping => ({ ...one, role_name: roles.get(one.role_id)?.name ?? '' }),
  ),
  redirect_uri,
  created_at: row.created_at,
  updated_at: row.updated_at,
})

export const noProvider = () => new ApiError('NOT_FOUND', 'There is no such identity provider')
export const noIdentity = () => new ApiError('NOT_FOUND', 'There is no such identity')

/** A log-in that ends badly: the word is for the person, the reason for the audit log. */
export class LoginRefused extends Error {
  override readonly name = 'LoginRefused'
  readonly word: LoginError
  readonly reason: string
  constructor(word: LoginError, reason: string) {
    super(reason)
    this.word = word
    this.reason = reason
  }
}

/** A path of ours with the error's word. */
export function withError(path: string, word: LoginError): string {
  const url = new URL(path, 'https://here.invalid')
  url.searchParams.set('error', word)
  return url.pathname + url.search + url.hash
}
