import { execFile } from 'node:child_process'
import { createHmac, randomBytes } from 'node:crypto'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { exposed, requirePrivate, writeFileDurably } from '../files.ts'
import { MASTER_LIMITS } from '../limits.ts'

const KEY_BYTES = 32
/** What a line of an environment file begins with. */
const VARIABLE = 'NXMESH_MASTER_KEY='

/** A rotation that may not or cannot be: nothing was changed. */
export class RotationError extends Error {
  override readonly name = 'RotationError'
}

/**
 * Names a key without telling anything of it: HMAC-SHA256 of a fixed text under the key, 128 bits in hex. The key is random
 * bytes, so it cannot be found by trying.
 */
export function masterKeyId(key: Uint8Array): string {
  return createHmac('sha256', key).update('nxmesh master key id').digest('hex').slice(0, 32)
}

export const newMasterKey = (): Uint8Array => randomBytes(KEY_BYTES)

/** Where the master key comes from; exactly one, in the order of this list. */
export interface MasterKeySource {
  /** The key itself, from the environment. */
  readonly value: string | null
  /** Run by `sh -c`; prints the key. */
  readonly command: string | null
  /** Holds the key alone, or a line `NXMESH_MASTER_KEY=<key>` as environment files do. */
  readonly file: string
  /** The file is the one in the data folder, which the master makes at its first start. */
  readonly may_create: boolean
}

/** A key that cannot be had: the master must not start. */
export class MasterKeyError extends Error {
  override readonly name = 'MasterKeyError'
}

/**
 * Reads the 32 bytes of the master key (base64, base64url or hex). `first_start` says that nothing was sealed yet; only then a
 * missing key file is made, because a new key for old secrets would open none of them.
 */
export async function loadMasterKey(source: MasterKeySource, first_start: boolean): Promise<Uint8Array> {
  if (source.value !== null) return decode(source.value, 'master_key')
  if (source.command !== null)
    return decode(await runCommand(source.command), 'the output of master_key_command')
  if (!existsSync(source.file)) {
    if (!source.may_create) throw new MasterKeyError(`The master key file ${source.file} does not exist.`)
    if (!first_start) {
      throw new MasterKeyError(
        `The master key file ${source.file} is missing, and the database holds secrets sealed under it. Put it back; a new key cannot open them.`,
      )
    }
    writeKeyFile(source.file, newMasterKey())
  }
  requireKeyMode(source)
  return decode(readKeyFile(source.file), source.file)
}

export function writeKeyFile(file: string, key: Uint8Array): void {
  writeFileDurably(file, `${Buffer.from(key).toString('base64url')}\n`)
}

/** Where the operator finds the setting that names the key. */
export function nameOfSource(source: MasterKeySource): string {
  if (source.value !== null) return 'master_key (NXMESH_MASTER_KEY)'
  return source.command !== null ? 'master_key_command' : `the master key file ${source.file}`
}

const WHAT = 'The master key file'

/**
 * The file in the data folder is its owner's alone. One that is given may be shared with a group for reading when it is
 * root's: so systemd's credentials and mounted secrets come. Throws `FileModeError`.
 */
function requireKeyMode({ file, may_create }: MasterKeySource): void {
  const { mode, uid } = statSync(file)
  const shared = !may_create && uid === 0 && (mode & 0o060) === 0o040
  if (!shared) requirePrivate(WHAT, file)
  else if ((mode & 0o006) !== 0) throw exposed(WHAT, file, mode, 0o440)
}

function readKeyFile(file: string): string {
  if (statSync(file).size > MASTER_LIMITS.key_file_bytes)
    throw new MasterKeyError(`${file} is too large to be a key.`)
  const text = readFileSync(file, 'utf8')
  const line = text.split('\n').find(one => one.trim().startsWith(VARIABLE))
  return line
    ? line
        .trim()
        .slice(VARIABLE.length)
        .replace(/^(["'])(.*)\1$/, '$2')
    : text
}

function runCommand(command: string): Promise<string> {
  const options = {
    encoding: 'utf8',
    timeout: MASTER_LIMITS.master_key_command_ms,
    maxBuffer: MASTER_LIMITS.key_file_bytes,
  } as const
  return new Promise((resolve, reject) => {
    const ran = execFile('sh', ['-c', command], options, (error, stdout, stderr) => {
      process.stderr.write(stderr)
      if (!error) return resolve(stdout)
      const { code, signal } = error
      const why = typeof code === 'number' ? `it ended with status ${code}` : (signal ?? error.message)
      reject(new MasterKeyError(`master_key_command gave no key: ${why}.`))
    })
    ran.stdin?.end()
  })
}

function decode(text: string, where: string): Uint8Array {
  const trimmed = text.trim()
  const bytes = /^[0-9a-f]{64}$/i.test(trimmed) ? Buffer.from(trimmed, 'hex') : Buffer.from(trimmed, 'base64')
  if (!/^[A-Za-z0-9+/_=-]+$/.test(trimmed) || bytes.byteLength !== KEY_BYTES) {
    throw new MasterKeyError(
      `${where} must be 32 random bytes in base64 or hex, e.g. from: openssl rand -base64 32`,
    )
  }
  return bytes
}
