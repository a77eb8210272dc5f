import { z } from 'zod'
import { LIMITS } from '../limits.ts'
import { PERMISSIONS } from '../permissions.ts'
import { email, id, name, password, secretToken, time } from '../values.ts'
import { Principal } from './common.ts'
import { User } from './people.ts'

export const SetupRequest = z.strictObject({
  setup_token: secretToken,
  email,
  password,
  name: name.optional(),
})
/** Any password that could ever have been set, so that the policy of today tells a guesser nothing. */
const anyPassword = z.string().min(1).max(LIMITS.password_max_chars)
export const LoginRequest = z.strictObject({ email, password: anyPassword })

/** What a log-in answers. The refresh token is in the cookie `nxmesh_refresh` and nowhere else. */
export const Session = z.object({
  token: z
    .string()
    .describe('A JWT for `Authorization: Bearer`, good for minutes; get the next with /auth/refresh'),
  token_type: z.literal('Bearer'),
  expires_at: time.describe('When the token ends'),
  session_id: id,
  session_expires_at: time.describe('When the session ends unless it is refreshed before'),
  user: User,
})
export type Session = z.infer<typeof Session>

export const LoggedOut = z.object({
  logout_url: z
    .string()
    .nullable()
    .describe('Where the identity provider ends its own session; null where there is none'),
})

export const MyGrant = z.object({
  organization_id: id.nullable().describe('Null: the whole instance'),
  workspace_id: id.nullable().describe('Null: the whole organization'),
  role_id: id,
  role_name: z.string().nullable().describe('Null: the role is being taken away'),
  permissions: z.array(z.enum(PERMISSIONS)),
})
export const Me = z.object({
  principal: Principal,
  name: z.string(),
  email: z.string().nullable(),
  session_id: id.nullable(),
  permissions: z.array(z.enum(PERMISSIONS)).describe('All that the grants permit somewhere'),
  grants: z.array(MyGrant).describe('What is permitted, and where'),
})
export type Me = z.infer<typeof Me>
export const MePatch = z.strictObject({ name })
export const PasswordChange = z.strictObject({ current_password: anyPassword, new_password: password })

/** One log-in of one person somewhere. */
export const SessionInfo = z.object({
  id,
  user_id: id,
  method: z.enum(['password', 'oidc', 'setup', 'invitation', 'reset']),
  created_at: time,
  refreshed_at: time,
  expires_at: time,
  ip_address: z.string().nullable(),
  user_agent: z.string().nullable(),
  current: z.boolean().describe('It is the session of this request'),
})
export type SessionInfo = z.infer<typeof SessionInfo>
