import { afterAll, beforeAll, expect, test } from 'bun:test'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { makeClient } from '@nxmesh/contract/client'
import { makeLog } from '@nxmesh/master/log'
import { runProgram } from '../support/processes.ts'
import { makeTestCertificates, shownSerial, type TestCertificates } from '../support/test-certificates.ts'
import { until } from '../support/until.ts'
import { allConnected, type Fleet, startFleet } from './fleet.ts'

/** The operator's certificate is renewed under a master with connected agents. */

let given: TestCertificates
let fleet: Fleet
const logged: string[] = []
beforeAll(async () => {
  given = await makeTestCertificates()
  given.put(await given.make())
  const log = makeLog('info', { write: (line: string) => void logged.push(line) })
  fleet = await startFleet({ flags: given.flags, overrides: { log, certificate_look_ms: 20 } })
})
afterAll(async () => {
  await fleet.stop()
  given.remove()
})

const shown = (ca_pem = given.ca_pem) => shownSerial(fleet.master.port, ca_pem)
const isShown = (serial: string, ca_pem?: string) =>
  until(`the certificate ${serial}`, async () => (await shown(ca_pem)) === serial)
const refusals = () => logged.filter(line => line.includes('is not taken'))
const renew = async () => {
  const pair = await given.make()
  given.put(pair)
  await isShown(pair.serial)
}

test('agents stay connected and are served over three renewals, new connections see the new certificate', async () => {
  const agents = await fleet.addAgents(3)
  await allConnected(agents)
  const begun = await beginRequest()
  for (let n = 1; n <= 3; n++) {
    await renew()
    const body = {
      workspace_id: fleet.workspace_id,
      name: `after ${n}`,
      server_name: `after-${n}.test`,
      listen_port: 80,
      locations: [{ path: '/', root: '/srv' }],
    }
    await fleet.client.call('virtual_hosts_create', { body })
    await until(`what was changed after renewal ${n}`, () =>
      agents.every(agent => [...agent.orders.served().values()].join().includes(`after-${n}.test`)),
    )
  }
  expect(agents.map(agent => [agent.link().connected, agent.wire.connections()])).toEqual([
    [true, 1],
    [true, 1],
    [true, 1],
  ])
  expect(await begun.end()).toContain('HTTP/1.1 401')
  const [late] = await fleet.addAgents(1)
  if (late) await allConnected([late])
  const rows = await until('the audit rows', async () => {
    const found = await fleet.audit('server_certificate.reload')
    return found.length === 3 && found
  })
  const serials = rows.map(row => (row.after as { serial_number: string }).serial_number.toUpperCase())
  expect(new Set(serials).size).toBe(3)
  expect(serials[0]).toBe(await shown())
  expect(rows[0]).toMatchObject({ principal: { type: 'system', id: null }, door: 'system', result: 'ok' })
}, 60_000)

/** A request whose head is sent and whose body is not, on a connection that was opened with the present certificate. */
async function beginRequest() {
  const socket = connect({ host: '127.0.0.1', port: fleet.master.port, ca: given.ca_pem })
  let text = ''
  socket.on('data', part => {
    text += part
  })
  const closed = new Promise<void>(resolve => socket.on('close', () => resolve()))
  socket.on('error', () => undefined)
  await new Promise(resolve => socket.once('secureConnect', resolve))
  const head =
    'POST /api/v1/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close'
  const body = JSON.stringify({ email: 'nobody@example.com', password: 'a long password' })
  socket.write(`${head}\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 5)}`)
  return {
    isClosed: () => socket.closed,
    async end() {
      socket.write(body.slice(5))
      await closed
      return text
    },
  }
}

test('a pair that does not fit is not taken and said once; the next good one is', async () => {
  const before = await shown()
  const [one, other] = [await given.make(), await given.make()]
  const broken = [
    { ...one, key_pem: other.key_pem },
    { ...one, chain_pem: one.chain_pem.slice(0, 300) },
    { ...one, chain_pem: one.chain_pem.slice(0, -100) },
    { ...one, key_pem: '' },
  ]
  for (const [n, pair] of broken.entries()) {
    given.put(pair)
    await until('the refusal', () => refusals().length === n + 1)
  }
  // It is looked at again and again, and said once.
  await fleet.master.reloadCertificate()
  await fleet.master.reloadCertificate()
  expect(refusals().length).toBe(broken.length)
  expect(refusals()[0]).toContain('is not the key')
  expect(logged.join('')).not.toContain('PRIVATE KEY')
  expect(await shown()).toBe(before)
  await renew()
})

test('a certificate of another CA is taken with a warning, and join commands carry its fingerprint', async () => {
  const agents = fleet.agents
  const another = await makeTestCertificates()
  const pair = await another.make()
  given.put(pair)
  await isShown(pair.serial, another.ca_pem)
  const { fingerprint256 } = new X509Certificate(another.ca_pem)
  const fingerprint = fingerprint256.replaceAll(':', '').toLowerCase()
  expect(fleet.master.ca_fingerprint).toBe(fingerprint)
  expect(fleet.master.ca_pem.trim()).toBe(another.ca_pem.trim())
  expect(logged.some(line => line.includes('another CA'))).toBe(true)
  const joined = await fleet.register(await joinToken(another.ca_pem), 'later')
  expect(joined.ca_pem.trim()).toBe(another.ca_pem.trim())
  expect(agents.every(agent => agent.link().connected)).toBe(true)
  given.put(await given.make())
  await until('the first CA again', () => shown().catch(() => false))
  another.remove()
})

/** By a client that trusts the new CA. */
async function joinToken(ca_pem: string): Promise<string> {
  const login = { email: 'owner@example.com', password: 'a long password for tests' }
  const base = { base_url: fleet.master.url, ca: ca_pem }
  const { data } = await makeClient(base).call('login', { body: login })
  const made = await makeClient({ ...base, token: data.token }).call('workspace_tokens_create', {
    params: { id: fleet.workspace_id },
    body: { max_uses: 1 },
  })
  expect(made.data.join_command).toContain(`--ca-fingerprint ${fleet.master.ca_fingerprint}`)
  return made.data.token
}

test('when the master stops, the sockets of every certificate end', async () => {
  const begun = await beginRequest()
  await renew()
  const { port } = fleet.master
  await fleet.stopMaster()
  await until('the end of a half-sent request', begun.isClosed, { deadline_ms: 1_000 })
  await until('every agent to notice', () => fleet.agents.every(agent => !agent.link().connected))
  expect(await shownSerial(port, given.ca_pem).catch(error => error.code)).toBe('ECONNREFUSED')
  await fleet.startMasterAgain()
  await allConnected(fleet.agents)
})

test('SIGHUP makes a running master look, and does not end it', async () => {
  const first = await given.make()
  given.put(first)
  const data_dir = mkdtempSync(join(tmpdir(), 'nxmesh-hup-'))
  const settings = Object.entries({ 'data-dir': data_dir, listen: '127.0.0.1:0', ...given.flags })
  const master = runProgram('nxmesh', [
    'master',
    'run',
    ...settings.flatMap(([key, value]) => [`--${key}`, value]),
  ])
  const url = await until('the greeting', () => /URL +(https:\S+)/.exec(master.output())?.[1])
  const port = Number(new URL(url).port)
  await until('the first certificate', async () => (await shownSerial(port, given.ca_pem)) === first.serial)
  const second = await given.make()
  given.put(second)
  master.signal('SIGHUP')
  await until('the second', async () => (await shownSerial(port, given.ca_pem)) === second.serial)
  expect(master.hasExited()).toBe(false)
  await master.stop()
  rmSync(data_dir, { recursive: true })
}, 30_000)
