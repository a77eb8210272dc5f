import { ApiError, type ErrorDetail, type Kind, LIMITS } from '@nxmesh/contract'
import type { Queryable } from '../database/database.ts'
import { called, type NamedResource } from './config-rules.ts'
import { claimHolders, existing, namesOf, type ReferenceRow, usersOf } from './config-store.ts'
import type { AgentMention, Claim, ConfigKind, Reference } from './kinds/kind.ts'
import { nameClaim } from './kinds/kind.ts'
import { CONFIG_KINDS } from './kinds/registry.ts'

/** Checks of one change against the rest of its workspace. Each runs in the transaction of the change. */

/** The resource that a change is about. `id` is new for a creation. */
export interface Subject {
  readonly kind: ConfigKind
  readonly workspace_id: string
  readonly id: string
}

/** Throws `CONFLICT` naming both sides when another resource of the workspace has what this one wants. */
export async function requireClaims(q: Queryable, subject: Subject, claims: readonly Claim[]): Promise<void> {
  const keys = claims.map(claim => claim.key)
  const held = await claimHolders(q, subject.workspace_id, keys)
  const foreign = held.filter(one => one.resource_id !== subject.id)
  if (foreign.length === 0) return
  const holders = await namesOf(
    q,
    foreign.map(one => one.resource_id),
  )
  const details = foreign.flatMap(one => {
    const claim = claims.find(wanted => wanted.key === one.claim)
    const holder = holders.find(named => named.id === one.resource_id)
    return claim && holder ? [{ field: claim.field, message: taken(claim, holder) }] : []
  })
  throw new ApiError(
    'CONFLICT',
    `This ${subject.kind.noun} cannot be: ${details[0]?.message ?? 'it is taken'}.`,
    {
      details: details.slice(0, LIMITS.error_details),
    },
  )
}

const taken = (claim: Claim, holder: NamedResource) =>
  `${claim.text} belongs to the ${called(CONFIG_KINDS[holder.kind].noun, holder.name, holder.id)}`

/** Throws `VALIDATION_ERROR` naming the fields that point to what is not in the workspace. */
export async function requireTargets(
  q: Queryable,
  subject: Subject,
  references: readonly Reference[],
): Promise<void> {
  const details = [
    ...(await missingResources(q, subject, references)),
    ...(await portsOnAliases(q, subject, references)),
  ]
  if (details.length > 0)
    throw new ApiError('VALIDATION_ERROR', `This ${subject.kind.noun} points to what is not there`, {
      details,
    })
}

async function missingResources(
  q: Queryable,
  subject: Subject,
  references: readonly Reference[],
): Promise<ErrorDetail[]> {
  const details: ErrorDetail[] = []
  const pointers = references.filter(one => one.type === 'resource')
  for (const kind of new Set(pointers.map(one => one.kind))) {
    const wanted = pointers.filter(one => one.kind === kind)
    const there = await existing(q, subject.workspace_id, kind, [...new Set(wanted.map(one => one.id))])
    for (const one of wanted.filter(pointer => !there.has(pointer.id)))
      details.push({
        field: one.field,
        message: `There is no ${CONFIG_KINDS[kind].noun} ${one.id} in this workspace`,
      })
  }
  return details
}

/** Agents of a workspace, as far as configuration looks at them. */
export type AgentsOf = (workspace_id: string) => Promise<readonly { readonly id: string }[]>

/**
 * Throws `VALIDATION_ERROR` naming the fields that newly name an agent that is not in the workspace. One that was named
 * before may have been deleted since: it selects nobody.
 */
export async function requireAgents(
  agentsOf: AgentsOf,
  subject: Subject,
  named: { before: readonly AgentMention[]; after: readonly AgentMention[] },
): Promise<void> {
  const known = new Set(named.before.map(one => one.id))
  const fresh = named.after.filter(one => !known.has(one.id))
  if (fresh.length === 0) return
  const there = new Set((await agentsOf(subject.workspace_id)).map(agent => agent.id))
  const details = fresh
    .filter(one => !there.has(one.id))
    .map(one => ({ field: one.field, message: `There is no agent ${one.id} in this workspace` }))
  if (details.length > 0)
    throw new ApiError('VALIDATION_ERROR', `This ${subject.kind.noun} names agents that are not there`, {
      details: details.slice(0, LIMITS.error_details),
    })
}

/** nginx refuses a port behind the name of an upstream ("upstream may not have port"). */
async function portsOnAliases(
  q: Queryable,
  subject: Subject,
  references: readonly Reference[],
): Promise<ErrorDetail[]> {
  const hosts = references.filter(one => one.type === 'host').filter(one => one.with_port)
  const keys = hosts.map(one => nameClaim('upstream', '', one.host).key)
  const held = new Set(
    (await claimHolders(q, subject.workspace_id, [...new Set(keys)])).map(one => one.claim),
  )
  return hosts
    .filter((_, index) => held.has(keys[index] ?? ''))
    .map(one => ({
      field: one.field,
      message: `${one.host} is an upstream of this workspace: leave the port out, its servers have their own`,
    }))
}

/** The rows by which a reference is found from the other side. */
export function referenceRows(workspace_id: string, references: readonly Reference[]): ReferenceRow[] {
  const rows = new Map<string, ReferenceRow>()
  for (const one of references) {
    const row: ReferenceRow =
      one.type === 'resource'
        ? { to_kind: one.kind, to_id: one.id }
        : { to_kind: one.with_port ? 'host_port' : 'host', to_id: hostKey(workspace_id, one.host) }
    rows.set(`${row.to_kind} ${row.to_id}`, row)
  }
  return [...rows.values()]
}

const hostKey = (workspace_id: string, host: string) => `${workspace_id}/${host}`

/** Throws `IN_USE` with the users in `details` when something points to the subject by id or by an alias. */
export async function requireUnused(
  q: Queryable,
  subject: Subject,
  aliases: readonly string[],
): Promise<void> {
  const targets: ReferenceRow[] = [{ to_kind: subject.kind.kind, to_id: subject.id }]
  for (const alias of aliases) targets.push({ to_kind: 'host', to_id: hostKey(subject.workspace_id, alias) })
  const users = await namesOf(q, await usersOf(q, targets, LIMITS.error_details))
  if (users.length === 0) return
  throw new ApiError('IN_USE', `This ${subject.kind.noun} is used by ${listed(users)}.`, {
    details: users.map(userDetail),
  })
}

/** Throws `CONFLICT` when an alias that goes away is in use, or when a new one changes what a host with a port means. */
export async function requireAliasesFree(
  q: Queryable,
  subject: Subject,
  change: { before: readonly string[]; after: readonly string[] },
): Promise<void> {
  const gone = change.before.filter(alias => !change.after.includes(alias))
  const come = change.after.filter(alias => !change.before.includes(alias))
  const inUse = async (to_kind: ReferenceRow['to_kind'], aliases: readonly string[]) => {
    const targets = aliases.map(alias => ({ to_kind, to_id: hostKey(subject.workspace_id, alias) }))
    return await namesOf(q, await usersOf(q, targets, LIMITS.error_details))
  }
  refuse(await inUse('host', gone), users => `The name is used in proxy_pass by ${users}.`)
  refuse(
    await inUse('host_port', come),
    users =>
      `The name is the host of a proxy_pass with a port in ${users}, which nginx refuses for an upstream.`,
  )
}

function refuse(users: readonly NamedResource[], message: (users: string) => string): void {
  if (users.length > 0)
    throw new ApiError('CONFLICT', message(listed(users)), { details: users.map(userDetail) })
}

const NAMED_AT_MOST = 5

function listed(users: readonly NamedResource[]): string {
  const names = users
    .slice(0, NAMED_AT_MOST)
    .map(one => called(CONFIG_KINDS[one.kind].noun, one.name, one.id))
  const more = users.length - names.length
  return names.join(', ') + (more > 0 ? ` and ${more} more` : '')
}

const userDetail = (user: NamedResource): ErrorDetail => ({
  field: `${pathOf(user.kind)}/${user.id}`,
  message: called(CONFIG_KINDS[user.kind].noun, user.name, user.id),
})

const pathOf = (kind: Kind) => `${kind.replaceAll('_', '-')}s`
