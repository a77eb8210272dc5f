import {
  ApiError,
  type GroupMappingInput,
  type IdentityProvider,
  type IdentityProviderCreate,
  type IdentityProviderPatch,
  LIMITS,
  type LoginProvider,
} from '@nxmesh/contract'
import type { AuditLog } from '../../audit/audit.ts'
import { afterCommit } from '../../database/after-commit.ts'
import type { Database } from '../../database/database.ts'
import { type PageOf, sliceOf } from '../../http/page.ts'
import type { Places } from '../access-service.ts'
import type { Authenticator } from '../authenticator.ts'
import type { Access, Caller } from '../caller.ts'
import { rolesBehind } from '../grants.ts'
import { invalid, isSameRole } from '../people-rules.ts'
import { requireGivable } from '../role-places.ts'
import { deleteSessionsOfProvider } from '../sessions-store.ts'
import type { GroupRoles } from './group-roles.ts'
import { leaveProvider } from './identities-store.ts'
import type { ProviderEndpoints } from './provider-endpoints.ts'
import {
  auditedOf,
  configOf,
  defaultScopes,
  kindOf,
  mappingsOf,
  noProvider,
  providerOf,
  type StoredMapping,
} from './provider-rules.ts'
import type { ProviderSecrets } from './provider-secrets.ts'
import {
  deleteProvider,
  insertProvider,
  listProviders,
  type ProviderRow,
  providerById,
  providerByName,
  updateProvider,
} from './providers-store.ts'
import { ProviderError, type RelyingParty } from './relying-party.ts'

interface PageOnly {
  readonly page: number
  readonly per_page: number
}

/** Identity providers, for those who keep the instance. */
export interface IdentityProviders {
  list(caller: Caller, query: PageOnly): Promise<PageOf<IdentityProvider>>
  get(caller: Caller, id: string): Promise<IdentityProvider>
  /** Throws VALIDATION_ERROR on `issuer` when it is enabled and cannot be used. */
  create(caller: Caller, input: IdentityProviderCreate): Promise<IdentityProvider>
  update(caller: Caller, id: string, change: IdentityProviderPatch): Promise<IdentityProvider>
  /** With the sessions and roles that came from it. Throws CONFLICT where nobody would keep an organization any more. */
  remove(caller: Caller, id: string): Promise<void>
  /** The enabled ones, for everybody. */
  forLogin(query: PageOnly): Promise<PageOf<LoginProvider>>
}

export interface ProvidersDeps {
  readonly database: Database
  readonly audit: AuditLog
  readonly access: Access
  readonly places: Places
  readonly authenticator: Authenticator
  readonly group_roles: GroupRoles
  readonly party: RelyingParty
  readonly provider_secrets: ProviderSecrets
  readonly endpoints: ProviderEndpoints
  readonly redirectUri: () => string
  readonly now: () => Date
  readonly newId: () => string
}

const INSTANCE = { type: 'instance' } as const
const eventOf = (action: string, id: string) => ({
  action: `identity_provider.${action}`,
  object_type: 'identity_provider',
  object_id: id,
})

export function makeIdentityProviders(deps: ProvidersDeps): IdentityProviders {
  const { database, audit, access, authenticator, group_roles, provider_secrets } = deps

  const shown = async (rows: readonly ProviderRow[]): Promise<IdentityProvider[]> => {
    const ids = rows.flatMap(row => mappingsOf(row).map(one => one.role_id))
    const roles = await rolesBehind(database.read, ids)
    return rows.map(row => providerOf(row, roles, deps.redirectUri()))
  }
  const show = async (row: ProviderRow): Promise<IdentityProvider> => {
    const [one] = await shown([row])
    if (!one) throw noProvider()
    return one
  }

  /** Nobody maps a group to more than they may give; what was mapped before was checked then. */
  const checkMappings = async (
    caller: Caller,
    wanted: readonly GroupMappingInput[],
    before: readonly StoredMapping[],
  ): Promise<StoredMapping[]> => {
    const checked: StoredMapping[] = []
    for (const [at, { group, role, organization_id, workspace_id }] of wanted.entries()) {
      const mapping = { group, role_id: role, organization_id, workspace_id }
      const same = (one: StoredMapping) => one.group === group && isSameRole(one, mapping)
      if (checked.some(same)) throw invalid(`group_mappings.${at}`, 'is there twice')
      if (!before.some(same)) await requireMappable(deps, caller, { role, organization_id, workspace_id }, at)
      checked.push(mapping)
    }
    return checked
  }

  const requireUsable = async (row: ProviderRow, client_secret: string | null) => {
    try {
      await deps.party.check(configOf(row, client_secret))
    } catch (error) {
      if (error instanceof ProviderError) throw invalid('issuer', `cannot be used. ${error.message}`)
      throw error
    }
  }

  const requireFree = (found: ProviderRow | undefined, id: string) => {
    if (found && found.id !== id)
      throw new ApiError('CONFLICT', `There is an identity provider ${found.name} already`)
  }

  return {
    async list(caller, query) {
      await access.require(caller, 'identity_provider:read', INSTANCE)
      const { rows, total } = await listProviders(database.read, sliceOf(query), 'all')
      return { items: await shown(rows), total }
    },
    async get(caller, id) {
      await access.require(caller, 'identity_provider:read', INSTANCE)
      const row = await providerById(database.read, id)
      if (!row) throw noProvider()
      return await show(row)
    },
    async forLogin(query) {
      const { rows, total } = await listProviders(database.read, sliceOf(query), 'enabled')
      return { items: rows.map(row => ({ id: row.id, name: row.name, kind: kindOf(row) })), total }
    },

    async create(caller, input) {
      await access.require(caller, 'identity_provider:write', INSTANCE)
      const id = deps.newId()
      const mappings = await checkMappings(caller, input.group_mappings, [])
      const at = deps.now().toISOString()
      const row: ProviderRow = {
        id,
        name: input.name,
        kind: input.kind,
        issuer: issuerFor(input, deps.endpoints),
        client_id: input.client_id,
        sealed_client_secret: provider_secrets.seal(id, input.client_secret),
        scopes_json: JSON.stringify(input.scopes ?? defaultScopes(input.kind, mappings.length > 0)),
        groups_claim: input.groups_claim,
        enabled: Number(input.enabled),
        allow_sign_up: Number(input.allow_sign_up),
        group_mappings_json: JSON.stringify(mappings),
        created_at: at,
        updated_at: at,
      }
      if (input.enabled) await requireUsable(row, input.client_secret)
      await database.write(async tx => {
        requireFree(await providerByName(tx, row.name), id)
        if ((await listProviders(tx, { limit: 1, offset: 0 }, 'all')).total >= LIMITS.identity_providers)
          throw new ApiError(
            'LIMIT_REACHED',
            `There are ${LIMITS.identity_providers} identity providers already`,
          )
        await insertProvider(tx, row)
        await audit.append(tx, caller, { ...eventOf('create', id), after: auditedOf(row) })
      })
      return await show(row)
    },

    async update(caller, id, change) {
      await access.require(caller, 'identity_provider:write', INSTANCE)
      const before = await providerById(database.read, id)
      if (!before) throw noProvider()
      const mappings =
        change.group_mappings && (await checkMappings(caller, change.group_mappings, mappingsOf(before)))
      const changed = (row: ProviderRow): ProviderRow => ({
        ...row,
        name: change.name ?? row.name,
        client_id: change.client_id ?? row.client_id,
        sealed_client_secret:
          change.client_secret === undefined
            ? row.sealed_client_secret
            : provider_secrets.seal(id, change.client_secret),
        scopes_json: change.scopes ? JSON.stringify(change.scopes) : row.scopes_json,
        groups_claim: change.groups_claim ?? row.groups_claim,
        enabled: Number(change.enabled ?? row.enabled === 1),
        allow_sign_up: Number(change.allow_sign_up ?? row.allow_sign_up === 1),
        group_mappings_json: mappings ? JSON.stringify(mappings) : row.group_mappings_json,
        updated_at: deps.now().toISOString(),
      })
      if (change.enabled && before.enabled === 0) await requireUsable(changed(before), null)
      const after = await database.write(async tx => {
        const row = await providerById(tx, id)
        if (!row) throw noProvider()
        const next = changed(row)
        requireFree(await providerByName(tx, next.name), id)
        await updateProvider(tx, next)
        const kept = mappingsOf(next)
        const stays = (one: StoredMapping | Parameters<typeof isSameRole>[0]) =>
          kept.some(map => isSameRole(map, one))
        const roles_ended = mappings ? await group_roles.end(tx, caller, { provider_id: id, stays }) : 0
        const secret_changed = change.client_secret !== undefined
        await audit.append(tx, caller, {
          ...eventOf('update', id),
          before: auditedOf(row),
          after: { ...auditedOf(next), client_secret_changed: secret_changed, roles_ended },
        })
        return next
      })
      return await show(after)
    },

    async remove(caller, id) {
      await access.require(caller, 'identity_provider:delete', INSTANCE)
      await database.write(async tx => {
        const row = await providerById(tx, id)
        if (!row) throw noProvider()
        const roles_ended = await group_roles.end(tx, caller, { provider_id: id })
        const sessions = await deleteSessionsOfProvider(tx, id)
        await leaveProvider(tx, id)
        await deleteProvider(tx, id)
        const after = { sessions_ended: sessions.length, roles_ended }
        await audit.append(tx, caller, { ...eventOf('delete', id), before: auditedOf(row), after })
        afterCommit(tx, () => authenticator.forget(sessions))
      })
    },
  }
}

function issuerFor({ kind, issuer }: IdentityProviderCreate, endpoints: ProviderEndpoints): string {
  if (kind === 'oidc') {
    if (issuer === undefined) throw invalid('issuer', 'is needed for the kind oidc')
    return issuer
  }
  if (issuer !== undefined) throw invalid('issuer', `must be left out: the kind ${kind} has its own`)
  return kind === 'google' ? endpoints.google_issuer : endpoints.github.issuer
}

/** As any role that is given; what is wrong is told with the place of the mapping in the list. */
async function requireMappable(
  deps: Pick<ProvidersDeps, 'access' | 'places' | 'database'>,
  caller: Caller,
  wanted: Omit<GroupMappingInput, 'group'>,
  at: number,
): Promise<void> {
  try {
    await requireGivable(deps, deps.database.read, caller, 'user:write', wanted)
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    const details = error.details.map(one => ({ ...one, field: `group_mappings.${at}.${one.field}` }))
    throw new ApiError(error.code, `group_mappings.${at}: ${error.message}`, { details })
  }
}
