import { createHash } from 'node:crypto'
import { ApiError, LIMITS, type Principal } from '@nxmesh/contract'
import type { Logger } from 'pino'
import type { Database } from '../database/database.ts'
import type { Secrets } from '../secrets/secrets.ts'
import type { Answer } from './answer.ts'
import {
  findKey,
  type IdempotencyRow,
  insertKey,
  keepAnswer,
  removeKey,
  removeKeysBefore,
} from './idempotency-store.ts'

export interface Idempotency {
  /**
   * Runs `work` (which must not throw) once for a principal's key: the same request again gets the same answer, another request under the key is
   * IDEMPOTENCY_CONFLICT, and so is one that comes while the first still runs.
   */
  once(who: Principal, key: string, request_hash: string, work: () => Promise<Answer>): Promise<Answer>
}

export interface IdempotencyDeps {
  readonly database: Database
  readonly secrets: Secrets
  readonly log: Logger
  readonly now: () => Date
}

const KEEP_MS = LIMITS.idempotency_keep_h * 3_600_000

/**
 * Answers are kept sealed, because some show a token once or set a cookie. An answer of 500 and above is not kept: nothing was changed,
 * and the caller shall try again. A key that this process did not begin and that has no answer belongs to a master that
 * died on the way: the request runs again, and what it would make twice is caught by the names, which are unique.
 */
export function makeIdempotency({ database, secrets, log, now }: IdempotencyDeps): Idempotency {
  const running = new Set<string>()
  let swept_ms = 0

  const begin = (row: IdempotencyRow) =>
    database.write(async tx => {
      const oldest = new Date(now().getTime() - KEEP_MS).toISOString()
      if (now().getTime() - swept_ms > KEEP_MS / 24) {
        swept_ms = now().getTime()
        await removeKeysBefore(tx, oldest)
      }
      const known = await findKey(tx, row)
      if (known && known.created_at >= oldest) {
        if (known.request_hash !== row.request_hash)
          throw conflict('This Idempotency-Key was used for another request')
        if (known.status !== null) return { ...known, status: known.status }
      }
      if (known) await removeKey(tx, row)
      await insertKey(tx, row)
      return null
    })

  const keep = (row: IdempotencyRow, answer: Answer) =>
    database.write(async tx => {
      if (answer.status >= 500) return await removeKey(tx, row)
      const body = answer.body === null ? null : secrets.seal(Buffer.from(answer.body), identityOf(row))
      const headers = secrets.seal(Buffer.from(JSON.stringify(answer.headers)), headersIdentityOf(row))
      await keepAnswer(tx, row, { status: answer.status, body, headers_json: headers })
    })

  const first = async (row: IdempotencyRow, work: () => Promise<Answer>): Promise<Answer> => {
    const kept = await begin(row)
    if (kept) return await reopened(secrets, row, kept)
    const answer = await work()
    // The work is done whether or not its answer can be kept.
    await keep(row, answer).catch(error =>
      log.error({ err: error }, 'The answer of an Idempotency-Key was not kept'),
    )
    return answer
  }

  return {
    async once(who, key, request_hash, work) {
      if (!/^[\x21-\x7e]+$/.test(key) || key.length > LIMITS.idempotency_key_chars)
        throw new ApiError(
          'MALFORMED_REQUEST',
          `Idempotency-Key must be 1 to ${LIMITS.idempotency_key_chars} visible ASCII characters`,
        )
      const row = {
        principal_id: `${who.type}:${who.id}`,
        idempotency_key: key,
        request_hash,
        created_at: now().toISOString(),
      }
      const identity = identityOf(row)
      if (running.has(identity)) throw conflict('The first request with this Idempotency-Key still runs')
      running.add(identity)
      try {
        return await first(row, work)
      } finally {
        running.delete(identity)
      }
    },
  }
}

/** What makes two requests the same one. `path`: with query. */
export function requestHash(method: string, path: string, body: Uint8Array): string {
  return createHash('sha256').update(`${method} ${path}\n`).update(body).digest('hex')
}

const identityOf = (row: IdempotencyRow) => `idempotency_keys/${row.principal_id}/${row.idempotency_key}`
/** Two of these never meet: an idempotency key holds no blank. */
const headersIdentityOf = (row: IdempotencyRow) => `${identityOf(row)} headers`

async function reopened(
  secrets: Secrets,
  row: IdempotencyRow,
  kept: { status: number; body: string | null; headers_json: string | null },
): Promise<Answer> {
  const open = async (sealed: string, identity: string) =>
    Buffer.from(await secrets.open(sealed, identity, { purpose: 'idempotent_answer' })).toString()
  const kept_headers = kept.headers_json ?? '{}'
  // Those of a master before this one are not sealed; a day later there are none.
  const plain = kept_headers.startsWith('{')
  const json = plain ? kept_headers : await open(kept_headers, headersIdentityOf(row))
  const headers = JSON.parse(json) as Record<string, string>
  const body = kept.body === null ? null : await open(kept.body, identityOf(row))
  return {
    status: kept.status,
    body,
    headers: { ...headers, 'idempotent-replayed': 'true' },
  }
}

const conflict = (message: string) => new ApiError('IDEMPOTENCY_CONFLICT', message)
