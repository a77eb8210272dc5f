import { afterAll, beforeEach, expect, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { createHash, X509Certificate } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import type { Database } from '../database/database.ts'
import { forEachEngine } from '../database/testing.ts'
import type { Secrets } from '../secrets/secrets.ts'
import { openTestSecrets } from '../secrets/testing.ts'
import { openAuthority, type ServerIdentity } from './authority.ts'
import { serverNames } from './certificate-rules.ts'
import { givenIdentity, readGiven } from './given-identity.ts'
import { loadMaker } from './load-maker.ts'

const root = mkdtempSync(join(tmpdir(), 'nxmesh-ca-'))
afterAll(() => rmSync(root, { recursive: true }))

const NAMES = ['localhost', '127.0.0.1', '::1', 'master.example']
const DAY_MS = 86_400_000

/** The names under which a client that trusts the CA accepts the server. */
function acceptedUnder(identity: ServerIdentity, servername: string): Promise<boolean> {
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    tls: { cert: identity.chain_pem, key: identity.key_pem },
    fetch: () => new Response('ok'),
  })
  return new Promise(resolve => {
    const socket = connect({ port: server.port ?? 0, host: '127.0.0.1', ca: identity.ca_pem, servername })
    const end = (ok: boolean) => {
      socket.destroy()
      server.stop(true)
      resolve(ok)
    }
    socket.on('secureConnect', () => end(socket.authorized && socket.getProtocol() === 'TLSv1.3'))
    socket.on('error', () => end(false))
  })
}

/** The pin as the documents of others compute it. */
function pinByOpenssl(chain_pem: string): string {
  const key = spawnSync('openssl', ['x509', '-pubkey', '-noout'], { input: chain_pem }).stdout
  const der = spawnSync('openssl', ['pkey', '-pubin', '-outform', 'DER'], { input: key }).stdout
  return `sha256/${createHash('sha256').update(der).digest('base64')}`
}

forEachEngine((_engine, open) => {
  let db: Database
  let secrets: Secrets
  let data_dir: string
  beforeEach(async () => {
    db = await open()
    secrets = await openTestSecrets(db)
    data_dir = mkdtempSync(join(root, 'data-'))
  })
  const authority = (names = NAMES, days_later = 0) =>
    openAuthority({ db, secrets, data_dir, now: () => new Date(Date.now() + days_later * DAY_MS) }, names)

  test('a client that trusts the CA reaches the master under each of its names, and under no other', async () => {
    const identity = await authority()
    expect(await acceptedUnder(identity, 'localhost')).toBe(true)
    expect(await acceptedUnder(identity, 'master.example')).toBe(true)
    expect(await acceptedUnder(identity, 'other.example')).toBe(false)
  })

  test('the fingerprint is that of the CA, which is also in the chain that the server presents', async () => {
    const identity = await authority()
    const der = new X509Certificate(identity.ca_pem).raw
    expect(identity.ca_fingerprint).toBe(createHash('sha256').update(der).digest('hex'))
    expect(identity.chain_pem).toContain(identity.ca_pem.trim())
    expect(new X509Certificate(identity.ca_pem).ca).toBe(true)
    expect(new X509Certificate(identity.chain_pem).ca).toBe(false)
  })

  test('a restart keeps CA and certificate', async () => {
    expect(await authority()).toEqual(await authority())
  })

  test('the certificate is renewed before its end, for new names, and after damage; the CA stays', async () => {
    const first = await authority()
    const renewed = await authority(NAMES, 310)
    const renamed = await authority([...NAMES, '10.0.0.1'])
    writeFileSync(join(data_dir, 'tls', 'server.json'), '{"certificate_pem": "')
    const mended = await authority()
    const chains = [first, renewed, renamed, mended].map(one => one.chain_pem)
    expect(new Set(chains).size).toBe(4)
    expect(new Set([first, renewed, renamed, mended].map(one => one.ca_fingerprint)).size).toBe(1)
    expect(renewed.not_after.getTime()).toBeGreaterThan(Date.now() + 600 * DAY_MS)
    expect(new X509Certificate(renamed.chain_pem).checkIP('10.0.0.1')).toBe('10.0.0.1')
    // Agents may pin the key: it stays as long as it is there.
    expect(renewed.server_key_pin).toBe(first.server_key_pin)
    expect(renamed.server_key_pin).toBe(first.server_key_pin)
    expect(mended.server_key_pin).not.toBe(first.server_key_pin)
    expect(first.server_key_pin).toBe(pinByOpenssl(first.chain_pem))
  })

  test('no private key lies readable on the disk or in the database', async () => {
    const { key_pem } = await authority()
    const folder = join(data_dir, 'tls')
    for (const name of readdirSync(folder)) {
      const text = readFileSync(join(folder, name), 'utf8')
      expect(text).not.toContain('PRIVATE KEY')
      expect(text).not.toContain(key_pem.split('\n')[1])
      if (name !== 'ca.pem') expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600)
    }
    const facts = await db.read.selectFrom('instance_facts').select('value').execute()
    expect(JSON.stringify(facts)).not.toContain('PRIVATE KEY')
  })

  test('a certificate of the operator’s own is served, one with another key is refused by name', async () => {
    const identity = await authority()
    const other = await (await loadMaker()).makeCa(new Date())
    const files = { certificate_file: join(data_dir, 'c.pem'), key_file: join(data_dir, 'k.pem') }
    writeFileSync(files.certificate_file, identity.chain_pem)
    writeFileSync(files.key_file, identity.key_pem)
    const read = async (days_later = 0) =>
      givenIdentity(files, await readGiven(files), new Date(Date.now() + days_later * DAY_MS))
    const given = await read()
    expect(given).toMatchObject({ ca_fingerprint: identity.ca_fingerprint, made_by: 'operator' })
    expect(await acceptedUnder(given, 'localhost')).toBe(true)
    await expect(read(400)).rejects.toThrow('ended at')
    await expect(read(-3)).rejects.toThrow('not valid before')
    // Its end is not written yet: the leaf would be taken for what agents pin.
    writeFileSync(files.certificate_file, identity.chain_pem.slice(0, -40))
    await expect(read()).rejects.toThrow('no whole certificate')
    writeFileSync(files.certificate_file, identity.chain_pem)
    writeFileSync(files.key_file, other.key_pem)
    await expect(read()).rejects.toThrow('k.pem is not the key')
    writeFileSync(files.key_file, 'nonsense')
    await expect(read()).rejects.toThrow('no readable private key')
    writeFileSync(files.certificate_file, 'nonsense')
    await expect(read()).rejects.toThrow('no readable certificate')
    rmSync(files.certificate_file)
    await expect(read()).rejects.toThrow('cannot be read')
  })
})

test('the certificate covers every name under which the master may be reached, once', () => {
  const by = {
    hostname: 'Host',
    listen_host: '10.0.0.1',
    public_url: 'https://[2001:db8::1]:1',
    server_names: ['localhost'],
  }
  expect(serverNames(by)).toEqual(['localhost', '127.0.0.1', '::1', 'host', '10.0.0.1', '2001:db8::1'])
  expect(serverNames({ ...by, listen_host: '0.0.0.0', public_url: null })).toHaveLength(4)
})
