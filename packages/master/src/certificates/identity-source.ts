import { createHash } from 'node:crypto'
import { MASTER_LIMITS } from '../limits.ts'
import { type AuthorityDeps, openAuthority, type ServerIdentity } from './authority.ts'
import { type CertificateFiles, givenIdentity, readGiven } from './given-identity.ts'

/** Where the listener's certificate comes from. */
export interface IdentitySource {
  readonly look_ms: number
  /** Others write it, perhaps in several steps: what is new is judged when it is found a second time. */
  readonly written_by_others: boolean
  /** Throws `CertificateError` when there is nothing to judge. */
  look(): Promise<FoundIdentity>
}

export interface FoundIdentity {
  /** The same for the same content. */
  readonly key: string
  /** Throws `CertificateError` when the content cannot be served. */
  identity(): ServerIdentity
}

export const givenSource = (files: CertificateFiles, now: () => Date): IdentitySource => ({
  look_ms: MASTER_LIMITS.certificate_look_ms,
  written_by_others: true,
  async look() {
    const texts = await readGiven(files)
    return {
      key: keyOf(texts.chain_pem, texts.key_pem),
      identity: () => givenIdentity(files, texts, now()),
    }
  },
})

/** Our own CA: looking renews the certificate when its end is near. */
export const authoritySource = (deps: AuthorityDeps, names: readonly string[]): IdentitySource => ({
  look_ms: MASTER_LIMITS.own_certificate_look_ms,
  written_by_others: false,
  async look() {
    const identity = await openAuthority(deps, names)
    return { key: keyOf(identity.chain_pem, identity.key_pem), identity: () => identity }
  },
})

const keyOf = (...texts: string[]) => createHash('sha256').update(texts.join('\0')).digest('hex')
