import { LIMITS } from '@nxmesh/contract'
import type { CryptoKey, JWK } from 'jose'
import type { AuditLog } from '../audit/audit.ts'
import type { Database, Tx } from '../database/database.ts'
import { MASTER_LIMITS } from '../limits.ts'
import type { Secrets } from '../secrets/secrets.ts'
import { systemCaller } from './nobody.ts'
import {
  deleteSigningKeysRetiredBefore,
  insertSigningKey,
  issuerOf,
  retireSigningKeys,
  type SigningKeyRow,
  signingKeys,
} from './signing-keys-store.ts'

const ALGORITHM = 'EdDSA'
const AUDIENCE = 'nxmesh'
const DAY_MS = 86_400_000

export interface Claims {
  readonly user_id: string
  readonly session_id: string
}
export interface VerifiedClaims extends Claims {
  readonly expires_ms: number
}

/** Access tokens: JWTs (RFC 7519) signed with Ed25519 (RFC 8037), good for LIMITS.access_token_s. */
export interface SigningKeys {
  sign(claims: Claims): Promise<{ token: string; expires_at: string }>
  /** Null for whatever this master did not sign, or not for this, or no longer. */
  verify(token: string): Promise<VerifiedClaims | null>
}

export interface SigningKeysDeps {
  readonly database: Database
  readonly secrets: Secrets
  readonly audit: AuditLog
  readonly now: () => Date
  readonly newId: () => string
}

interface Ring {
  readonly issuer: string
  readonly current: { readonly id: string; readonly key: CryptoKey; readonly rotate_ms: number }
  readonly public_keys: ReadonlyMap<string, CryptoKey>
  readonly loaded_ms: number
}

const identityOf = (id: string) => `signing_keys/${id}`
/** Loaded at the first log-in: a start need not spend the time. */
const jose = () => import('jose')

/**
 * The key that signs changes by itself after MASTER_LIMITS.signing_key_days; the one before verifies on until the last token
 * that it signed has ended.
 */
export function makeSigningKeys(deps: SigningKeysDeps): SigningKeys {
  const { database, now } = deps
  let ring: Promise<Ring> | null = null

  const load = async (): Promise<Ring> => {
    const at = now()
    const stale = (row: SigningKeyRow) =>
      at.getTime() - Date.parse(row.created_at) >= MASTER_LIMITS.signing_key_days * DAY_MS
    const rows = await signingKeys(database.read)
    const current = rows.findLast(row => row.retired_at === null)
    if (current && !stale(current)) return await ringOf(deps, rows, await issuer(deps))
    const made = await newKey(deps)
    const all = await database.write(async tx => {
      // Another master of this database may have been quicker.
      const present = (await signingKeys(tx)).findLast(row => row.retired_at === null && !stale(row))
      if (!present) await replace(tx, deps, made)
      return await signingKeys(tx)
    })
    return await ringOf(deps, all, await issuer(deps))
  }
  const reload = (): Promise<Ring> => {
    const loading: Promise<Ring> = load().catch(error => {
      if (ring === loading) ring = null
      throw error
    })
    ring = loading
    return loading
  }
  const fresh = async (): Promise<Ring> => {
    const known = await (ring ?? reload())
    return now().getTime() < known.current.rotate_ms ? known : await reload()
  }
  /** A key that is not known may be another master's newest: looked for, but not for every forger. */
  const keyFor = async (kid: string): Promise<{ key: CryptoKey; issuer: string } | null> => {
    let known = await fresh()
    const lately = now().getTime() - known.loaded_ms < MASTER_LIMITS.signing_keys_reload_ms
    if (!known.public_keys.has(kid) && !lately) known = await reload()
    const key = known.public_keys.get(kid)
    return key ? { key, issuer: known.issuer } : null
  }

  return {
    async sign({ user_id, session_id }) {
      const { issuer: iss, current } = await fresh()
      const { SignJWT } = await jose()
      const issued_s = Math.floor(now().getTime() / 1_000)
      const expires_s = issued_s + LIMITS.access_token_s
      const token = await new SignJWT({ sid: session_id })
        .setProtectedHeader({ alg: ALGORITHM, kid: current.id, typ: 'at+jwt' })
        .setIssuer(iss)
        .setAudience(AUDIENCE)
        .setSubject(user_id)
        // Two of one second are two.
        .setJti(deps.newId())
        .setIssuedAt(issued_s)
        .setExpirationTime(expires_s)
        .sign(current.key)
      return { token, expires_at: new Date(expires_s * 1_000).toISOString() }
    },

    async verify(token) {
      const { decodeProtectedHeader, jwtVerify } = await jose()
      try {
        const { kid } = decodeProtectedHeader(token)
        const known = typeof kid === 'string' ? await keyFor(kid) : null
        if (!known) return null
        const { payload } = await jwtVerify(token, known.key, {
          // The only one: the header's word about the algorithm counts for nothing.
          algorithms: [ALGORITHM],
          typ: 'at+jwt',
          issuer: known.issuer,
          audience: AUDIENCE,
          requiredClaims: ['sub', 'sid', 'exp', 'iat'],
          currentDate: now(),
        })
        const { sub, sid, exp } = payload
        if (typeof sub !== 'string' || typeof sid !== 'string' || exp === undefined) return null
        return { user_id: sub, session_id: sid, expires_ms: exp * 1_000 }
      } catch (error) {
        if (isRefusal(error)) return null
        throw error
      }
    },
  }
}

/** A token that is no good, or no token at all; what is wrong with the master itself is not taken for it. */
const isRefusal = (error: unknown): boolean =>
  error instanceof TypeError || String((error as { code?: unknown }).code).startsWith('ERR_J')

async function newKey({ now, newId, secrets }: SigningKeysDeps): Promise<SigningKeyRow> {
  const { exportJWK, generateKeyPair } = await jose()
  const { publicKey, privateKey } = await generateKeyPair(ALGORITHM, { crv: 'Ed25519', extractable: true })
  const id = newId()
  const secret = JSON.stringify(await exportJWK(privateKey))
  return {
    id,
    public_jwk_json: JSON.stringify(await exportJWK(publicKey)),
    sealed_key: secrets.seal(Buffer.from(secret), identityOf(id)),
    created_at: now().toISOString(),
    retired_at: null,
  }
}

async function replace(tx: Tx, { audit, now, newId }: SigningKeysDeps, made: SigningKeyRow): Promise<void> {
  const at_ms = now().getTime()
  // No token of a key lives longer than this after the key stopped to sign.
  const dead_ms = at_ms - 2 * LIMITS.access_token_s * 1_000
  await insertSigningKey(tx, made)
  await retireSigningKeys(tx, new Date(at_ms).toISOString(), made.id)
  await deleteSigningKeysRetiredBefore(tx, new Date(dead_ms).toISOString())
  await audit.append(tx, systemCaller(newId()), {
    action: 'signing_key.create',
    object_type: 'signing_key',
    object_id: made.id,
  })
}

const issuer = ({ database, newId }: SigningKeysDeps): Promise<string> =>
  database.write(tx => issuerOf(tx, `nxmesh:${newId()}`))

async function ringOf(deps: SigningKeysDeps, rows: readonly SigningKeyRow[], name: string): Promise<Ring> {
  const { importJWK } = await jose()
  const load = async (jwk: string) => (await importJWK(JSON.parse(jwk) as JWK, ALGORITHM)) as CryptoKey
  const current = rows.findLast(row => row.retired_at === null)
  if (!current) throw new Error('There is no key to sign tokens with.')
  const purpose = 'token_signing'
  const opened = await deps.secrets.open(current.sealed_key, identityOf(current.id), { purpose })
  const secret = Buffer.from(opened).toString()
  const public_keys = new Map<string, CryptoKey>()
  for (const row of rows) public_keys.set(row.id, await load(row.public_jwk_json))
  const created_ms = Date.parse(current.created_at)
  return {
    issuer: name,
    current: {
      id: current.id,
      key: await load(secret),
      rotate_ms: created_ms + MASTER_LIMITS.signing_key_days * DAY_MS,
    },
    public_keys,
    loaded_ms: deps.now().getTime(),
  }
}
