import { ApiError, EVENT_TOPICS, type EventTopic } from '@nxmesh/contract'
import type { Access, Caller } from '../access/caller.ts'
import type { EventPlace, Subscription } from './events-rules.ts'

/** What `Access` says to a subscription and to an event: the one place where this door asks. */

/** Throws FORBIDDEN or NOT_FOUND as every door does. */
export async function requireSubscription(access: Access, caller: Caller, one: Subscription): Promise<void> {
  const permission = EVENT_TOPICS[one.topic]
  const { workspace_id, organization_id } = one
  if (workspace_id !== undefined)
    return await access.require(caller, permission, { type: 'workspace', workspace_id })
  if (organization_id !== undefined)
    return await access.require(caller, permission, { type: 'organization', organization_id })
  // Everywhere is wherever it holds; each event is asked for.
  if (!caller.permissions.has(permission))
    throw new ApiError('FORBIDDEN', `This needs the permission ${permission}`)
}

/** The organization and the instance count by themselves: a workspace may be gone when its end is told. */
export async function maySee(
  access: Access,
  caller: Caller,
  topic: EventTopic,
  { workspace_id, organization_id }: EventPlace,
): Promise<boolean> {
  const permission = EVENT_TOPICS[topic]
  if (workspace_id !== null && (await access.allows(caller, permission, { type: 'workspace', workspace_id })))
    return true
  if (
    organization_id !== null &&
    (await access.allows(caller, permission, { type: 'organization', organization_id }))
  )
    return true
  return await access.allows(caller, permission, { type: 'instance' })
}
