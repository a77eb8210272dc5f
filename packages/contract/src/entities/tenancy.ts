import { z } from 'zod'
import { LIMITS } from '../limits.ts'
import { cidr, id, name, slug, time } from '../values.ts'

/** Which workspace may be read from which others of the same organization. */
const CrossWorkspaceRead = z.strictObject({
  workspace_id: id.describe('The workspace that may be read'),
  readable_from: z
    .array(id)
    .max(LIMITS.cross_workspace_readers)
    .describe(
      'Who may read in one of these may read in it: agents, configuration, certificates, logs, metrics',
    ),
})
export const OrganizationSettings = z.strictObject({
  cross_workspace_reads: z
    .array(CrossWorkspaceRead)
    .max(LIMITS.cross_workspace_reads)
    .default([])
    .describe('Empty: the workspaces are isolated from each other'),
})
export type OrganizationSettings = z.infer<typeof OrganizationSettings>
/** Of a change: what is left out stays. */
const OrganizationSettingsPatch = z.strictObject({
  cross_workspace_reads: OrganizationSettings.shape.cross_workspace_reads.unwrap().optional(),
})

export const Organization = z.object({
  id,
  name: z.string(),
  slug: z.string(),
  created_at: time,
  settings: OrganizationSettings,
})
export type Organization = z.infer<typeof Organization>
export const OrganizationCreate = z.strictObject({ name, slug, settings: OrganizationSettings.optional() })
export const OrganizationPatch = z.strictObject({
  name: name.optional(),
  slug: slug.optional(),
  settings: OrganizationSettingsPatch.optional(),
})
export type OrganizationPatch = z.infer<typeof OrganizationPatch>

export const DeployMode = z.enum(['automatic', 'manual'])

const allowed_cidrs = z
  .array(cidr)
  .max(LIMITS.allowed_cidrs)
  .nullable()
  .describe('From where agents may register and connect. null: from everywhere, []: from nowhere')

export const Workspace = z.object({
  id,
  organization_id: id,
  name: z.string(),
  slug: z.string(),
  deploy_mode: DeployMode,
  agent_allowed_cidrs: z.array(z.string()).nullable(),
  created_at: time,
})
export type Workspace = z.infer<typeof Workspace>
/** `deploy_mode: manual` comes with drafts; until then only `automatic` is accepted. */
export const WorkspaceCreateNested = z.strictObject({
  name,
  slug,
  agent_allowed_cidrs: allowed_cidrs.optional(),
})
export const WorkspaceCreate = WorkspaceCreateNested.extend({ organization_id: id })
export const WorkspacePatch = WorkspaceCreateNested.partial()
