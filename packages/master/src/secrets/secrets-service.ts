import { randomBytes } from 'node:crypto'
import type { Database } from '../database/database.ts'
import { decrypt, encrypt } from './envelope.ts'
import { loadMasterKey, MasterKeyError, type MasterKeySource } from './master-key.ts'
import type { Secrets } from './secrets.ts'
import { type DataKeyRow, dataKeys, insertDataKey } from './secrets-store.ts'

const DATA_KEY_BYTES = 32
const FORMAT = 'v1'

export interface SecretsDeps {
  readonly db: Database
  readonly source: MasterKeySource
  readonly now: () => Date
  readonly newId: () => string
}

/**
 * Loads the data keys, making the first one at the first start. Throws `MasterKeyError` when the master key is not to be
 * had or is not the one that this database was sealed under.
 */
export async function openSecrets(deps: SecretsDeps): Promise<Secrets> {
  const rows = await dataKeys(deps.db.read)
  const master_key = loadMasterKey(deps.source, rows.length === 0)
  // Another master of the same database may make the first key at the same moment: what the transaction sees decides.
  const all =
    rows.length > 0
      ? rows
      : await deps.db.write(async tx => {
          const present = await dataKeys(tx)
          if (present.length > 0) return present
          const id = deps.newId()
          const wrapped_key = encrypt(master_key, randomBytes(DATA_KEY_BYTES), aad(id))
          await insertDataKey(tx, { id, wrapped_key, created_at: deps.now().toISOString() })
          return [{ id, wrapped_key, retired_at: null }]
        })
  return makeSecrets(new Map(all.map(row => [row.id, unwrap(master_key, row)])), currentKey(all))
}

const aad = (data_key_id: string) => `data_keys/${data_key_id}`

function unwrap(master_key: Uint8Array, row: DataKeyRow): Uint8Array {
  try {
    return decrypt(master_key, row.wrapped_key, aad(row.id))
  } catch (cause) {
    throw new MasterKeyError(
      'The master key is not the one that this database was sealed under. Configure the right one (master_key_file, NXMESH_MASTER_KEY or master_key_command).',
      { cause },
    )
  }
}

function currentKey(rows: readonly DataKeyRow[]): string {
  const current = rows.findLast(row => row.retired_at === null)
  if (!current) throw new Error('The database holds no data key in use; restore a backup.')
  return current.id
}

/** Sealed values are `v1.<data key id>.<base64url>`. */
function makeSecrets(keys: ReadonlyMap<string, Uint8Array>, current_id: string): Secrets {
  const keyOf = (id: string) => {
    const key = keys.get(id)
    if (!key) throw new Error(`A secret is sealed under a data key that is not here (${id}).`)
    return key
  }
  return {
    seal: (plaintext, identity) =>
      `${FORMAT}.${current_id}.${encrypt(keyOf(current_id), plaintext, identity)}`,
    open(sealed, identity) {
      const [format, id = '', body = ''] = sealed.split('.')
      if (format !== FORMAT) throw new Error(`The secret ${identity} is in an unknown format.`)
      try {
        return decrypt(keyOf(id), body, identity)
      } catch (cause) {
        throw new Error(`The secret ${identity} does not open: it was changed or moved.`, { cause })
      }
    },
  }
}
