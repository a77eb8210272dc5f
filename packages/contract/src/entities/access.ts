import { z } from 'zod'
import { PERMISSIONS } from '../permissions.ts'
import { email, id, name, password, secretToken, time } from '../values.ts'
import { Principal } from './common.ts'

export const User = z.object({
  id,
  email: z.string(),
  name: z.string(),
  role: z.enum(['owner']),
  created_at: time,
})
export type User = z.infer<typeof User>

export const SetupRequest = z.strictObject({
  setup_token: secretToken,
  email,
  password,
  name: name.optional(),
})
/** Login takes any password that could ever have been set, so that the length policy tells a guesser nothing. */
export const LoginRequest = z.strictObject({ email, password: z.string().min(1).max(256) })
export const Session = z.object({
  token: z.string(),
  token_type: z.literal('Bearer'),
  expires_at: time,
  user: User,
})
export type Session = z.infer<typeof Session>

export const Me = z.object({
  principal: Principal,
  name: z.string(),
  email: z.string().nullable(),
  permissions: z.array(z.enum(PERMISSIONS)),
})
export type Me = z.infer<typeof Me>

export const ApiKey = z.object({
  id,
  name: z.string(),
  prefix: z.string().describe('The first characters of the key, to tell keys apart'),
  created_at: time,
  expires_at: time.nullable(),
  last_used_at: time.nullable(),
})
export type ApiKey = z.infer<typeof ApiKey>
export const ApiKeyCreated = ApiKey.extend({ key: z.string().describe('Shown once, stored hashed') })
export const ApiKeyCreate = z.strictObject({
  name,
  expires_at: z.iso.datetime().max(40).nullable().optional(),
})
