import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { MASTER_LIMITS } from '../limits.ts'
import { CertificateError, fingerprint, keyPin, type ServerIdentity } from './authority.ts'

export interface CertificateFiles {
  readonly certificate_file: string
  readonly key_file: string
}

/** What lay in the two files when they were read. */
export interface GivenTexts {
  readonly chain_pem: string
  readonly key_pem: string
}

export async function readGiven(files: CertificateFiles): Promise<GivenTexts> {
  return { chain_pem: await readPem(files.certificate_file), key_pem: await readPem(files.key_file) }
}

async function readPem(file: string): Promise<string> {
  try {
    const text = await readFile(file, 'utf8')
    if (text.length > MASTER_LIMITS.certificate_file_bytes) throw new Error('it is too large')
    return text
  } catch (cause) {
    throw new CertificateError(`${file} cannot be read: ${(cause as Error).message}`, { cause })
  }
}

/** A chain and key that the operator gave. Agents pin the last certificate of the chain. Throws `CertificateError`. */
export function givenIdentity(files: CertificateFiles, texts: GivenTexts, now: Date): ServerIdentity {
  const { certificate_file, key_file } = files
  const blocks = certificateBlocks(certificate_file, texts.chain_pem)
  const chain = blocks.map(block => parsed(certificate_file, block))
  const [leaf, last] = [chain[0] as X509Certificate, chain.at(-1) as X509Certificate]
  if (!keyFits(leaf, texts.key_pem, key_file))
    throw new CertificateError(`${key_file} is not the key of the first certificate in ${certificate_file}.`)
  if (leaf.validToDate <= now)
    throw new CertificateError(
      `The certificate in ${certificate_file} ended at ${leaf.validToDate.toISOString()}.`,
    )
  if (leaf.validFromDate > now)
    throw new CertificateError(
      `The certificate in ${certificate_file} is not valid before ${leaf.validFromDate.toISOString()}.`,
    )
  return {
    ...texts,
    ca_pem: `${blocks.at(-1)}\n`,
    ca_fingerprint: fingerprint(last),
    server_key_pin: keyPin(leaf),
    not_after: leaf.validToDate,
    made_by: 'operator',
  }
}

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/** Every certificate of the file. One that is half there is an error: the one before it would be taken for the last. */
function certificateBlocks(file: string, chain_pem: string): string[] {
  const blocks = chain_pem.match(BLOCK) ?? []
  if (blocks.length === 0) throw new CertificateError(`${file} holds no readable certificate: there is none`)
  if (blocks.length !== chain_pem.split('-----BEGIN ').length - 1)
    throw new CertificateError(`${file} holds something that is no whole certificate after the first one.`)
  return blocks
}

function parsed(file: string, pem: string): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch (cause) {
    throw new CertificateError(`${file} holds no readable certificate: ${(cause as Error).message}`, {
      cause,
    })
  }
}

function keyFits(leaf: X509Certificate, key_pem: string, file: string): boolean {
  try {
    return leaf.checkPrivateKey(createPrivateKey(key_pem))
  } catch (cause) {
    throw new CertificateError(`${file} holds no readable private key: ${(cause as Error).message}`, {
      cause,
    })
  }
}
