import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { loadMaker } from '@nxmesh/master/certificates/load-maker'

/** A certificate authority of an operator, and the two files that a master is given. */
export interface TestCertificates {
  readonly flags: { readonly 'tls-certificate-file': string; readonly 'tls-key-file': string }
  readonly ca_pem: string
  /** Makes a certificate; nothing is written. */
  make(): Promise<MadePair>
  put(pair: MadePair): void
  putCertificate(pem: string): void
  remove(): void
}

export interface MadePair {
  readonly chain_pem: string
  readonly key_pem: string
  /** As OpenSSL writes it: hex in capitals. */
  readonly serial: string
}

export async function makeTestCertificates(): Promise<TestCertificates> {
  const { makeCa, makeServerCertificate } = await loadMaker()
  const folder = mkdtempSync(join(tmpdir(), 'nxmesh-given-'))
  const ca = await makeCa(new Date())
  const flags = {
    'tls-certificate-file': join(folder, 'chain.pem'),
    'tls-key-file': join(folder, 'key.pem'),
  }
  const putCertificate = (pem: string) => writeFileSync(flags['tls-certificate-file'], pem)
  return {
    flags,
    ca_pem: ca.certificate_pem,
    async make() {
      const { certificate_pem, key_pem } = await makeServerCertificate(ca, ['127.0.0.1'], new Date())
      const { serialNumber } = new X509Certificate(certificate_pem)
      return { chain_pem: `${certificate_pem}\n${ca.certificate_pem}\n`, key_pem, serial: serialNumber }
    },
    put(pair) {
      putCertificate(pair.chain_pem)
      writeFileSync(flags['tls-key-file'], pair.key_pem)
    },
    putCertificate,
    remove: () => rmSync(folder, { recursive: true }),
  }
}

/** The serial number of what a new connection is shown; it is verified. */
export function shownSerial(port: number, ca_pem: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, ca: ca_pem }, () => {
      resolve(socket.getPeerCertificate().serialNumber)
      socket.destroy()
    })
    socket.on('error', reject)
  })
}
