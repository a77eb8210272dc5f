import { z } from 'zod'
import { PERMISSIONS, ROLE_IDS, type RoleName } from '../permissions.ts'
import { id, name, time } from '../values.ts'

export const Role = z.object({
  id,
  organization_id: id.nullable().describe('Null: a built-in role, the same everywhere'),
  name: z.string(),
  built_in: z.boolean(),
  permissions: z.array(z.enum(PERMISSIONS)),
  created_at: time.nullable(),
})
export type Role = z.infer<typeof Role>

const permissions = z
  .array(z.enum(PERMISSIONS))
  .min(1)
  .max(PERMISSIONS.length)
  .refine(all => new Set(all).size === all.length, 'must not name one twice')
export const RoleCreate = z.strictObject({ organization_id: id, name, permissions })
export const RolePatch = z.strictObject({ name: name.optional(), permissions: permissions.optional() })

const ROLE_NAMES = Object.keys(ROLE_IDS) as [RoleName, ...RoleName[]]

/** The name of a built-in role, or the id of any role; comes out as the id. */
export const roleRef = z
  .union([z.enum(ROLE_NAMES).transform(one => ROLE_IDS[one]), id])
  .describe('The name of a built-in role, or the id of a role')

/** One role in one place. */
export const ScopeInput = z.strictObject({
  role: roleRef,
  organization_id: id.nullable().describe('Null: the whole instance, for the role instance_admin'),
  workspace_id: id.nullable().default(null).describe('Null: the whole organization'),
})
export const ScopeOutput = z.object({
  role_id: id,
  role_name: z.string(),
  organization_id: id.nullable(),
  workspace_id: id.nullable(),
})

export const RoleBinding = ScopeOutput.extend({
  id,
  user_id: id,
  user_email: z.string(),
  provider_id: id
    .nullable()
    .describe('Set: it follows the groups that this identity provider tells at each log-in'),
  created_at: time,
})
export type RoleBinding = z.infer<typeof RoleBinding>
export const RoleBindingCreate = ScopeInput.extend({ user_id: id })
