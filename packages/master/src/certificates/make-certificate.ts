import { createPublicKey, randomBytes } from 'node:crypto'
import { isIP } from 'node:net'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509'
import { MASTER_LIMITS } from '../limits.ts'

/** Loaded by load-maker.ts, only when a certificate must be made: the library costs more than 100 ms. */

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const DAY_MS = 86_400_000
/** Clocks of new machines are often a little behind. */
const BACKDATED_MS = DAY_MS

export interface MadeCertificate {
  readonly certificate_pem: string
  /** PKCS #8, PEM. */
  readonly key_pem: string
}

/** A private CA (RFC 5280): ECDSA P-256, signs certificates of servers and no further CA. */
export async function makeCa(now: Date): Promise<MadeCertificate> {
  const keys = await newKeys()
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: `CN=NxMesh CA ${randomBytes(4).toString('hex')}`,
    serialNumber: newSerial(),
    ...validity(now, MASTER_LIMITS.ca_valid_days),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { certificate_pem: certificate.toString('pem'), key_pem: await exported(keys) }
}

/** A server certificate by the CA for the given host names and addresses. `key_pem`: its key, null for a new one. */
export async function makeServerCertificate(
  ca: MadeCertificate,
  names: readonly string[],
  now: Date,
  key_pem: string | null = null,
): Promise<MadeCertificate> {
  const issuer = new X509Certificate(ca.certificate_pem)
  const keys = key_pem === null ? await newKeys() : await importedKeys(key_pem)
  const certificate = await X509CertificateGenerator.create({
    subject: 'CN=NxMesh master',
    issuer: issuer.subject,
    serialNumber: newSerial(),
    ...validity(now, MASTER_LIMITS.server_certificate_valid_days),
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: (await importedKeys(ca.key_pem)).privateKey,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension(names.map(value => ({ type: isIP(value) ? 'ip' : 'dns', value }))),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  })
  return { certificate_pem: certificate.toString('pem'), key_pem: await exported(keys) }
}

const validity = (now: Date, days: number) => ({
  notBefore: new Date(now.getTime() - BACKDATED_MS),
  notAfter: new Date(now.getTime() + days * DAY_MS),
})

/** 127 random bits, positive (RFC 5280, 4.1.2.2). */
function newSerial(): string {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes.toString('hex')
}

async function newKeys(): Promise<CryptoKeyPair> {
  return await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
}

async function exported(keys: CryptoKeyPair): Promise<string> {
  const der = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  return `-----BEGIN PRIVATE KEY-----\n${der.replaceAll(/.{64}/g, '$&\n').trimEnd()}\n-----END PRIVATE KEY-----\n`
}

async function importedKeys(key_pem: string): Promise<CryptoKeyPair> {
  const der = Buffer.from(key_pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64')
  const spki = createPublicKey(key_pem).export({ type: 'spki', format: 'der' })
  return {
    privateKey: await crypto.subtle.importKey('pkcs8', der, ALGORITHM, true, ['sign']),
    publicKey: await crypto.subtle.importKey('spki', spki, ALGORITHM, true, ['verify']),
  }
}
