import { z } from 'zod'
import { email, id, name, password, secretToken, time } from '../values.ts'
import { ScopeInput, ScopeOutput } from './roles.ts'

export const User = z.object({
  id,
  email: z.string(),
  name: z.string(),
  status: z.enum(['active', 'disabled']),
  has_password: z.boolean().describe('False: only an identity provider lets this person in'),
  created_at: time,
  last_login_at: time.nullable(),
})
export type User = z.infer<typeof User>

export const UserPatch = z.strictObject({
  name: name.optional(),
  status: z.enum(['active', 'disabled']).optional(),
  revoke_api_keys: z
    .boolean()
    .default(false)
    .describe('With `status: disabled`: the API keys that this person made end as well'),
})

export const UserDeleteQuery = z.strictObject({
  revoke_api_keys: z
    .enum(['true', 'false'])
    .default('false')
    .transform(text => text === 'true')
    .describe('The API keys that this person made end as well'),
})

/** An invitation to one role in one place; accepting it makes the account where there is none. */
export const Invitation = ScopeOutput.extend({
  id,
  email: z.string(),
  name: z.string().nullable(),
  created_at: time,
  expires_at: time,
})
export type Invitation = z.infer<typeof Invitation>
export const InvitationCreate = ScopeInput.extend({ email, name: name.optional() })

/** A one-time link: it is in this answer and nowhere else. */
export const Link = z.object({
  token: z.string(),
  url: z.string().describe('Opens the console; the token stands behind #, where no server log sees it'),
  expires_at: time,
})
export type Link = z.infer<typeof Link>
export const InvitationCreated = Invitation.extend({ link: Link })

/** Makes the account; whoever has one accepts as that, with the token alone. */
export const InvitationAccept = z.strictObject({ token: secretToken, name: name.optional(), password })
export const InvitationToken = z.strictObject({ token: secretToken })
export const PasswordReset = z.strictObject({ token: secretToken, password })
