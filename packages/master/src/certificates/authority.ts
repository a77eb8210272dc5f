import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Database } from '../database/database.ts'
import { writeFileDurably } from '../files.ts'
import { MASTER_LIMITS } from '../limits.ts'
import type { Secrets } from '../secrets/secrets.ts'
import { coveredNames } from './certificate-rules.ts'
import { insertCa, type StoredCa, storedCa } from './certificates-store.ts'
import { loadMaker } from './load-maker.ts'
import type { MadeCertificate } from './make-certificate.ts'

const DAY_MS = 86_400_000
const CA_KEY_IDENTITY = 'instance_facts/ca_key_sealed'
const SERVER_KEY_IDENTITY = 'tls/server-key'

/** What the listener serves with, and what agents check it by. */
export interface ServerIdentity {
  /** The server's certificate and those above it. */
  readonly chain_pem: string
  readonly key_pem: string
  /** What agents trust from their join on. */
  readonly ca_pem: string
  /** SHA-256 of the CA certificate's DER, lower-case hex. */
  readonly ca_fingerprint: string
  /** SHA-256 of the SubjectPublicKeyInfo of the server's certificate (RFC 7469 section 2.4), `sha256/<base64>`. */
  readonly server_key_pin: string
  readonly not_after: Date
  readonly made_by: 'private_ca' | 'operator'
}

export interface AuthorityDeps {
  readonly db: Database
  readonly secrets: Secrets
  readonly now: () => Date
  /** Certificate and sealed key of this master's listener lie in `tls/` below. */
  readonly data_dir: string
}

/** Certificates that cannot be served: the message names the file and the reason. */
export class CertificateError extends Error {
  override readonly name = 'CertificateError'
}

/**
 * The private CA, made at the first start, and a server certificate by it for `names` (host names and addresses), kept
 * until it nears its end, `names` changes or it does not fit the CA.
 */
export async function openAuthority(deps: AuthorityDeps, names: readonly string[]): Promise<ServerIdentity> {
  const ca = (await storedCa(deps.db.read)) ?? (await makeStoredCa(deps))
  const folder = join(deps.data_dir, 'tls')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const kept = await readServer(deps, folder)
  const server =
    kept && fits(kept, deps, ca, names)
      ? kept
      : await makeServer(deps, folder, ca, names, kept?.key_pem ?? null)
  publish(join(folder, 'ca.pem'), ca.certificate_pem)
  return {
    chain_pem: `${server.certificate_pem.trim()}\n${ca.certificate_pem.trim()}\n`,
    key_pem: server.key_pem,
    ca_pem: ca.certificate_pem,
    ca_fingerprint: fingerprint(new X509Certificate(ca.certificate_pem)),
    server_key_pin: keyPin(new X509Certificate(server.certificate_pem)),
    not_after: new X509Certificate(server.certificate_pem).validToDate,
    made_by: 'private_ca',
  }
}

/** For people and programs that shall trust the master. */
function publish(file: string, ca_pem: string): void {
  if (!existsSync(file) || readFileSync(file, 'utf8') !== ca_pem) writeFileDurably(file, ca_pem, 0o644)
}

/** SHA-256 of the DER, lower-case hex. */
export const fingerprint = (certificate: X509Certificate): string =>
  createHash('sha256').update(certificate.raw).digest('hex')

/** See `ServerIdentity.server_key_pin`. */
export function keyPin(certificate: X509Certificate): string {
  const spki = certificate.publicKey.export({ type: 'spki', format: 'der' })
  return `sha256/${createHash('sha256').update(spki).digest('base64')}`
}

async function makeStoredCa(deps: AuthorityDeps): Promise<StoredCa> {
  const { makeCa } = await loadMaker()
  const made = await makeCa(deps.now())
  const ca = {
    certificate_pem: made.certificate_pem,
    sealed_key: deps.secrets.seal(Buffer.from(made.key_pem), CA_KEY_IDENTITY),
  }
  return await deps.db.write(async tx => {
    // Another master of this database may have been quicker.
    const present = await storedCa(tx)
    if (present) return present
    await insertCa(tx, ca)
    return ca
  })
}

async function makeServer(
  deps: AuthorityDeps,
  folder: string,
  ca: StoredCa,
  names: readonly string[],
  kept_key_pem: string | null,
): Promise<MadeCertificate> {
  const { makeServerCertificate } = await loadMaker()
  const opened = await deps.secrets.open(ca.sealed_key, CA_KEY_IDENTITY, { purpose: 'certificate_authority' })
  const key_pem = Buffer.from(opened).toString()
  const made = await makeServerCertificate(
    { certificate_pem: ca.certificate_pem, key_pem },
    names,
    deps.now(),
    // Agents may pin it: a new certificate is no reason for a new key.
    kept_key_pem,
  )
  // One file, so that certificate and key always fit each other.
  const kept = {
    certificate_pem: made.certificate_pem,
    sealed_key: deps.secrets.seal(Buffer.from(made.key_pem), SERVER_KEY_IDENTITY),
  }
  writeFileDurably(join(folder, 'server.json'), JSON.stringify(kept))
  return made
}

/** The kept certificate and its key; null when there is none. A damaged file is no error: both are made anew. */
async function readServer(deps: AuthorityDeps, folder: string): Promise<MadeCertificate | null> {
  const file = join(folder, 'server.json')
  if (!existsSync(file)) return null
  try {
    const kept: { certificate_pem: string; sealed_key: string } = JSON.parse(readFileSync(file, 'utf8'))
    const purpose = 'server_certificate'
    const opened = await deps.secrets.open(kept.sealed_key, SERVER_KEY_IDENTITY, { purpose })
    const key_pem = Buffer.from(opened).toString()
    if (!new X509Certificate(kept.certificate_pem).checkPrivateKey(createPrivateKey(key_pem))) return null
    return { certificate_pem: kept.certificate_pem, key_pem }
  } catch {
    return null
  }
}

/** Whether it can be served as it is. */
function fits(kept: MadeCertificate, deps: AuthorityDeps, ca: StoredCa, names: readonly string[]): boolean {
  const certificate = new X509Certificate(kept.certificate_pem)
  return (
    certificate.verify(new X509Certificate(ca.certificate_pem).publicKey) &&
    certificate.validToDate.getTime() - deps.now().getTime() >
      MASTER_LIMITS.server_certificate_renew_days * DAY_MS &&
    coveredNames(certificate.subjectAltName ?? '', names)
  )
}
