export const MASK = '********'

/** Names of what is a secret, lower-case with underscores. */
const NAMES = new Set([
  'api_key',
  'authorization',
  'certificate_key',
  'client_secret',
  'cookie',
  'credential',
  'credentials',
  'hmac_key',
  'key',
  'key_pem',
  'passphrase',
  'passwd',
  'password',
  'private_key',
  'private_key_pem',
  'proxy_authorization',
  'refresh_token',
  'secret',
  'secrets',
  'session_key',
  'set_cookie',
  'token',
])
const SUFFIXES = ['_credentials', '_key', '_key_pem', '_passphrase', '_password', '_secret', '_token']
/** They end like secrets and are none. */
const HARMLESS = new Set(['idempotency_key', 'public_key', 'public_key_pem', 'label_key', 'sort_key'])

/**
 * A copy of a JSON value in which every text, number, list or object under the name of a secret is a mask; null, true and
 * false say nothing and stay. A second net: those who write audit rows leave secrets out themselves.
 */
export function maskSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(maskSecrets)
  if (typeof value !== 'object' || value === null) return value
  if ('toJSON' in value && typeof value.toJSON === 'function') return maskSecrets(value.toJSON())
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [
      name,
      isSecret(value, name) ? masked(inner) : maskSecrets(inner),
    ]),
  )
}

const masked = (value: unknown) =>
  value === null || value === undefined || typeof value === 'boolean' ? value : MASK

function isSecret(owner: object, name: string): boolean {
  // A header or variable is written as two fields: `{ name: 'Authorization', value: '…' }`.
  if (name === 'value') return 'name' in owner && typeof owner.name === 'string' && named(owner.name)
  // The `key` of a label's condition says which label.
  if (name === 'key' && 'operator' in owner) return false
  return named(name)
}

function named(name: string): boolean {
  const word = name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replaceAll(/[-. ]/g, '_')
    .toLowerCase()
  return !HARMLESS.has(word) && (NAMES.has(word) || SUFFIXES.some(suffix => word.endsWith(suffix)))
}
