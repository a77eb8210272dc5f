import type { Queryable, Tx } from '../database/database.ts'

const CERTIFICATE = 'ca_certificate'
const KEY = 'ca_key_sealed'

export interface StoredCa {
  readonly certificate_pem: string
  readonly sealed_key: string
}

/** The private CA belongs to the installation, not to a machine: every master of one database has the same. */
export async function storedCa(db: Queryable): Promise<StoredCa | null> {
  const rows = await db
    .selectFrom('instance_facts')
    .selectAll()
    .where('key', 'in', [CERTIFICATE, KEY])
    .execute()
  const facts = new Map(rows.map(row => [row.key, row.value]))
  const certificate_pem = facts.get(CERTIFICATE)
  const sealed_key = facts.get(KEY)
  return certificate_pem !== undefined && sealed_key !== undefined ? { certificate_pem, sealed_key } : null
}

export async function insertCa(tx: Tx, ca: StoredCa): Promise<void> {
  await tx
    .insertInto('instance_facts')
    .values([
      { key: CERTIFICATE, value: ca.certificate_pem },
      { key: KEY, value: ca.sealed_key },
    ])
    .execute()
}
