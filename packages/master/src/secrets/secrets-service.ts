import { MASTER_LIMITS } from '../limits.ts'
import { addDataKey } from './data-keys.ts'
import { decrypt, encrypt } from './envelope.ts'
import { loadOpeningKey } from './key-file.ts'
import { settleHome } from './key-home.ts'
import { type KeyRing, type KeyRingDeps, makeKeyRing } from './key-ring.ts'
import { masterKeyId } from './master-key.ts'
import { makeSecretReads, type SecretReads, theMaster } from './secret-reads.ts'
import { SecretDamagedError, type Secrets } from './secrets.ts'
import { dataKeys, nameMasterKey, overwriteReplaced } from './secrets-store.ts'

const FORMAT = 'v1'

export interface SecretsDeps extends KeyRingDeps {
  /** Another one for tests. */
  readonly reads?: SecretReads
}

export interface OpenedSecrets extends Secrets {
  /** Writes the audit rows that wait. */
  stop(): Promise<void>
}

/**
 * Loads the data keys, making the first one at the first start, and ends a rotation of the master key that was cut short.
 * Throws `MasterKeyError` when the master key is not to be had or is not the one that this database was sealed under.
 */
export async function openSecrets(deps: SecretsDeps): Promise<OpenedSecrets> {
  const { db, source } = deps
  const opened = await loadOpeningKey(source, () => dataKeys(db.read))
  const { master_key } = opened
  let { rows } = opened
  if (rows.length === 0) {
    // Another master of the same database may make the first key at the same moment: what the transaction sees decides.
    rows = await db.write(async tx => {
      const caller = theMaster('system', deps.newId())
      if ((await dataKeys(tx)).length === 0)
        await addDataKey(tx, master_key, { ...deps, caller, reason: 'first start' })
      return await dataKeys(tx)
    })
  }
  const ring = makeKeyRing(deps, { master_key, rows })
  const unnamed = rows.filter(row => row.master_key_id === null)
  if (unnamed.length > 0) {
    const id = masterKeyId(master_key)
    await db.write(async tx => {
      await overwriteReplaced(tx, db.engine)
      for (const row of unnamed) await nameMasterKey(tx, row, id)
    })
  }
  await settleHome(deps, source)
  const reads = deps.reads ?? makeSecretReads(deps)
  await ring.look()
  const looking = setInterval(() => void ring.look(), MASTER_LIMITS.data_keys_look_ms)
  looking.unref()
  return {
    ...makeSecrets(ring, reads),
    async stop() {
      clearInterval(looking)
      await reads.stop()
    },
  }
}

/** Sealed values are `v1.<data key id>.<base64url>`. */
function makeSecrets(ring: KeyRing, reads: SecretReads): Secrets {
  return {
    seal(plaintext, identity) {
      const { id, key } = ring.current()
      return `${FORMAT}.${id}.${encrypt(key, plaintext, identity)}`
    },
    async open(sealed, identity, reader) {
      const plaintext = await opened(ring, sealed, identity)
      if ('caller' in reader) await reads.record(reader, identity)
      else reads.note(reader.purpose, identity)
      return plaintext
    },
  }
}

async function opened(ring: KeyRing, sealed: string, identity: string): Promise<Uint8Array> {
  const [format, id = '', body = '', ...more] = sealed.split('.')
  if (format !== FORMAT || more.length > 0)
    throw new SecretDamagedError(identity, 'it is in an unknown format')
  const named = `its data key (${id.slice(0, 64)})`
  const key = await ring.find(id).catch((cause: unknown) => {
    throw new SecretDamagedError(identity, `${named} cannot be had`, cause)
  })
  if (!key) throw new SecretDamagedError(identity, `${named} is not here`)
  try {
    return decrypt(key, body, identity)
  } catch (cause) {
    throw new SecretDamagedError(identity, 'it was changed or moved', cause)
  }
}
