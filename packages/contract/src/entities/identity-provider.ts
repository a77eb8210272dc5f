import { z } from 'zod'
import { LIMITS } from '../limits.ts'
import { id, issuerUrl, localPath, name, text, time } from '../values.ts'
import { ScopeInput, ScopeOutput } from './roles.ts'

/** `google` and `github` are known places; `oidc` is any other issuer with a discovery document. */
export const ProviderKind = z.enum(['oidc', 'google', 'github'])
export type ProviderKind = z.infer<typeof ProviderKind>

const group = text(LIMITS.group_chars)

/** Whoever logs in and is in the group has the role, until a log-in after which they are not. */
export const GroupMapping = ScopeOutput.extend({ group: z.string() })
export type GroupMapping = z.infer<typeof GroupMapping>
export const GroupMappingInput = ScopeInput.extend({ group })
export type GroupMappingInput = z.infer<typeof GroupMappingInput>

/** Who tells the master who somebody is. It belongs to the instance: it speaks for people of every organization. */
export const IdentityProvider = z.object({
  id,
  name: z.string(),
  kind: ProviderKind,
  issuer: z.string(),
  client_id: z.string(),
  has_client_secret: z.boolean().describe('False: a public client. The secret itself is never shown'),
  scopes: z.array(z.string()),
  groups_claim: z.string(),
  enabled: z.boolean(),
  allow_sign_up: z.boolean(),
  group_mappings: z.array(GroupMapping),
  redirect_uri: z.string().describe('What to register at the provider'),
  created_at: time,
  updated_at: time,
})
export type IdentityProvider = z.infer<typeof IdentityProvider>

/** RFC 6749 section 3.3. */
const scope = z
  .string()
  .min(1)
  .max(LIMITS.scope_chars)
  .regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, 'must be visible ASCII without spaces, quotes and backslashes')
const scopes = z
  .array(scope)
  .min(1)
  .max(LIMITS.scopes)
  .refine(all => new Set(all).size === all.length, 'must not name one twice')
/** RFC 6749 appendix A: visible ASCII. */
const visible = (max_chars: number) =>
  z
    .string()
    .min(1)
    .max(max_chars)
    .regex(/^[\x20-\x7e]+$/, 'must be visible ASCII')
const groups_claim = visible(LIMITS.claim_chars)
const group_mappings = z.array(GroupMappingInput).max(LIMITS.group_mappings)

export const IdentityProviderCreate = z.strictObject({
  name,
  kind: ProviderKind,
  issuer: issuerUrl.optional().describe('For `oidc`, and only there: the other kinds have theirs'),
  client_id: visible(LIMITS.client_id_chars),
  client_secret: visible(LIMITS.client_secret_chars)
    .nullable()
    .default(null)
    .describe('Null: a public client'),
  scopes: scopes.optional().describe('Without it: what the kind needs for name, e-mail and groups'),
  groups_claim: groups_claim.default('groups').describe('Where the ID token or the userinfo lists groups'),
  enabled: z.boolean().default(true),
  allow_sign_up: z
    .boolean()
    .default(true)
    .describe('False: only those get in whose identity was linked to an account before'),
  group_mappings: group_mappings.default([]),
})
export type IdentityProviderCreate = z.infer<typeof IdentityProviderCreate>

/** Kind and issuer stay: what identities are bound to. */
export const IdentityProviderPatch = z.strictObject({
  name: name.optional(),
  client_id: visible(LIMITS.client_id_chars).optional(),
  client_secret: visible(LIMITS.client_secret_chars).nullable().optional().describe('Null takes it away'),
  scopes: scopes.optional(),
  groups_claim: groups_claim.optional(),
  enabled: z.boolean().optional(),
  allow_sign_up: z.boolean().optional(),
  group_mappings: group_mappings.optional(),
})
export type IdentityProviderPatch = z.infer<typeof IdentityProviderPatch>

/** What the log-in page shows. */
export const LoginProvider = z.object({ id, name: z.string(), kind: ProviderKind })
export type LoginProvider = z.infer<typeof LoginProvider>

/** How a log-in at a provider can end badly: `/login?error=<word>`. Everything else stands in the audit log. */
export const LOGIN_ERRORS = {
  access_denied: 'You, or the provider, said no',
  login_expired: 'The log-in took too long, or was finished before: begin again',
  other_browser: 'The log-in was begun in another browser',
  provider_unavailable: 'The provider does not take log-ins now',
  provider_failed: 'What the provider answered was not accepted',
  no_account: 'Nobody has an account for this identity, and the provider makes none',
  account_disabled: 'The account is disabled',
  identity_taken: 'This identity belongs to another account',
  limit_reached: 'There is no room for another account or identity',
  rate_limited: 'Too many attempts: wait a little',
} as const
export type LoginError = keyof typeof LOGIN_ERRORS

/** Where the browser goes afterwards: a path of this master. */
export const LoginStart = z.object({ return_to: localPath.default('/') })

/** What the provider sends along (RFC 6749 section 4.1.2, RFC 9207); what else there is, is left out as the RFC says. */
export const LoginCallback = z.object({
  code: z.string().max(LIMITS.authorization_code_chars).optional(),
  state: z.string().max(LIMITS.token_chars).optional(),
  iss: z.string().max(LIMITS.url_chars).optional(),
  error: z.string().max(LIMITS.name_chars).optional(),
})
export type LoginCallback = z.infer<typeof LoginCallback>

/** Somebody at a provider, bound to an account here. */
export const Identity = z.object({
  id,
  provider_id: id.nullable().describe('Null: the provider was deleted'),
  provider_name: z.string().nullable(),
  issuer: z.string(),
  subject: z.string(),
  created_at: time,
  last_login_at: time.nullable(),
})
export type Identity = z.infer<typeof Identity>
export const IdentityLink = z.strictObject({ provider_id: id, return_to: localPath.default('/') })
export const IdentityLinkStarted = z.object({
  url: z.string().describe('Send this browser there; it comes back to `return_to`'),
})
