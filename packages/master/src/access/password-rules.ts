import { ApiError } from '@nxmesh/contract'
import { MASTER_LIMITS } from '../limits.ts'

let common: Promise<ReadonlySet<string>> | null = null

/** The list of a password estimator; read when the first password is set, since a start need not spend the time. */
const commonPasswords = () => {
  common ??= import('@zxcvbn-ts/language-common').then(
    ({ dictionary }) => new Set(dictionary['passwords-common'] as readonly string[]),
  )
  return common
}

/**
 * The policy for new passwords (NIST SP 800-63B section 3.1.1.2): length, which the contract asks, and nothing that guessers
 * try first: name and e-mail are what people use who think of nothing else. Throws VALIDATION_ERROR for the field.
 */
export async function requireGoodPassword(
  password: string,
  { name, email }: { readonly name: string; readonly email: string },
  field = 'password',
): Promise<void> {
  const problem = await problemOf(password, [name, email, email.split('@')[0] ?? ''])
  if (problem === null) return
  throw new ApiError('VALIDATION_ERROR', 'This password is too easy to guess', {
    details: [{ field, message: problem }],
  })
}

async function problemOf(password: string, personal: readonly string[]): Promise<string | null> {
  const lower = password.toLowerCase()
  // One character over and over falls at once.
  const { password_different_chars_min } = MASTER_LIMITS
  if (new Set(lower).size < password_different_chars_min)
    return `must have at least ${password_different_chars_min} different characters`
  const words = personal.map(one => one.toLowerCase()).filter(one => one.length > 3)
  if (words.some(word => withoutEnds(lower) === withoutEnds(word)))
    return 'must be more than your name or e-mail'
  const known = await commonPasswords()
  const listed = [lower, withoutEnds(lower), halfOf(lower)].some(one => one.length > 3 && known.has(one))
  return listed ? 'is one of the passwords that guessers try first' : null
}

/** `password2026!` → `password`: what people put around a word when they are made to. */
const withoutEnds = (text: string): string => text.replace(/^[\d\W_]+|[\d\W_]+$/g, '')
/** `secretsecret` → `secret`. */
const halfOf = (text: string): string => {
  const half = text.slice(0, text.length / 2)
  return half + half === text ? half : ''
}
