import { ApiError, type ErrorDetail, LIMITS, type OrganizationSettings } from '@nxmesh/contract'

/** Throws VALIDATION_ERROR with each field that names a workspace twice, by itself, or of nowhere in the organization. */
export function requireSound(
  { cross_workspace_reads }: OrganizationSettings,
  own: ReadonlySet<string>,
): void {
  const details: ErrorDetail[] = []
  const named = new Set<string>()
  for (const [at, { workspace_id, readable_from }] of cross_workspace_reads.entries()) {
    const path = `settings.cross_workspace_reads.${at}`
    const say = (field: string, message: string) => details.push({ field: `${path}.${field}`, message })
    if (!own.has(workspace_id)) say('workspace_id', NO_WORKSPACE)
    if (named.has(workspace_id)) say('workspace_id', 'is there twice')
    named.add(workspace_id)
    for (const [reader_at, reader] of readable_from.entries()) {
      const field = `readable_from.${reader_at}`
      if (reader === workspace_id) say(field, 'is the workspace itself')
      else if (!own.has(reader)) say(field, NO_WORKSPACE)
      if (readable_from.indexOf(reader) !== reader_at) say(field, 'is there twice')
    }
  }
  if (details.length === 0) return
  throw new ApiError('VALIDATION_ERROR', 'The settings name workspaces that cannot be meant', {
    details: details.slice(0, LIMITS.error_details),
  })
}

const NO_WORKSPACE = 'is no workspace of this organization'

/** The settings when these workspaces are gone; a rule that nobody can use goes as well. */
export function withoutWorkspaces(
  { cross_workspace_reads }: OrganizationSettings,
  gone: ReadonlySet<string>,
): OrganizationSettings {
  const left = cross_workspace_reads.flatMap(rule => {
    const readable_from = rule.readable_from.filter(one => !gone.has(one))
    const shrunk = readable_from.length < rule.readable_from.length
    if (gone.has(rule.workspace_id) || (shrunk && readable_from.length === 0)) return []
    return [{ ...rule, readable_from }]
  })
  return { cross_workspace_reads: left }
}
