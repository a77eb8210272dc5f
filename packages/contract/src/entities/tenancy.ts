import { z } from 'zod'
import { id, name, slug, time } from '../values.ts'

export const Organization = z.object({
  id,
  name: z.string(),
  slug: z.string(),
  created_at: time,
  settings: z.object({}).describe('OrganizationSettings; empty in this version'),
})
export type Organization = z.infer<typeof Organization>
export const OrganizationCreate = z.strictObject({ name, slug })
export const OrganizationPatch = z.strictObject({ name: name.optional(), slug: slug.optional() })

export const DeployMode = z.enum(['automatic', 'manual'])

export const Workspace = z.object({
  id,
  organization_id: id,
  name: z.string(),
  slug: z.string(),
  deploy_mode: DeployMode,
  created_at: time,
})
export type Workspace = z.infer<typeof Workspace>
/** `deploy_mode: manual` comes with drafts; until then only `automatic` is accepted. */
export const WorkspaceCreate = z.strictObject({ organization_id: id, name, slug })
export const WorkspaceCreateNested = z.strictObject({ name, slug })
export const WorkspacePatch = z.strictObject({ name: name.optional(), slug: slug.optional() })
