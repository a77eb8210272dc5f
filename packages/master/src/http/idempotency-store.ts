import type { Tx } from '../database/database.ts'

export interface IdempotencyRow {
  readonly principal_id: string
  readonly idempotency_key: string
  readonly request_hash: string
  readonly created_at: string
}

type Name = Pick<IdempotencyRow, 'principal_id' | 'idempotency_key'>

export async function findKey(tx: Tx, name: Name) {
  return await tx
    .selectFrom('idempotency_keys')
    .selectAll()
    .where('principal_id', '=', name.principal_id)
    .where('idempotency_key', '=', name.idempotency_key)
    .executeTakeFirst()
}

export async function insertKey(tx: Tx, row: IdempotencyRow): Promise<void> {
  await tx
    .insertInto('idempotency_keys')
    .values({ ...row, status: null, body: null, headers_json: null })
    .execute()
}

export async function keepAnswer(
  tx: Tx,
  name: Name,
  answer: { status: number; body: string | null; headers_json: string },
): Promise<void> {
  await tx
    .updateTable('idempotency_keys')
    .set(answer)
    .where('principal_id', '=', name.principal_id)
    .where('idempotency_key', '=', name.idempotency_key)
    .execute()
}

export async function removeKey(tx: Tx, name: Name): Promise<void> {
  await tx
    .deleteFrom('idempotency_keys')
    .where('principal_id', '=', name.principal_id)
    .where('idempotency_key', '=', name.idempotency_key)
    .execute()
}

export async function removeKeysBefore(tx: Tx, created_at: string): Promise<void> {
  await tx.deleteFrom('idempotency_keys').where('created_at', '<', created_at).execute()
}
