import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { ask } from '../support/request.ts'
import { until } from '../support/until.ts'
import {
  type Credentials,
  type Demo,
  demoFolder,
  freePortBase,
  processesIn,
  removeDemoFolder,
  startDemo,
} from './demo.ts'

const START_MS = 90_000
const dir = demoFolder()
let base = 0
let first: Credentials
let demo: Demo

beforeAll(async () => {
  base = await freePortBase()
  demo = startDemo(dir, base)
  first = await demo.ready()
}, START_MS)
afterAll(async () => {
  demo.process.kill('SIGTERM')
  await demo.ended()
  removeDemoFolder(dir)
})

const nothingRuns = () => until('the end of every process', () => processesIn(dir).length === 0)

async function restart(): Promise<Credentials> {
  demo = startDemo(dir, base)
  return await demo.ready()
}

describe('npm start', () => {
  test('serves a sample site through a private nginx', async () => {
    expect(first.nginx_url).toBe(`http://127.0.0.1:${base + 88}`)
    const answer = await ask({ port: base + 88, host: '127.0.0.1' })
    expect(answer.status).toBe(200)
    expect(answer.body).toContain('Served by NxMesh')
  })

  test('leaves credentials that work, for nobody else to read', async () => {
    expect(statSync(join(dir, 'credentials.json')).mode & 0o777).toBe(0o600)
    expect(statSync(dir).mode & 0o777).toBe(0o700)
    const headers = { authorization: `Bearer ${first.api_key}` }
    const agent = await fetch(`${first.plain_url}/api/v1/agents/${first.agent_id}`, { headers })
    expect(((await agent.json()) as { data: { state: string } }).data.state).toBe('online')
    const login = await fetch(`${first.plain_url}/api/v1/auth/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email: first.email, password: first.password }),
    })
    expect(login.status).toBe(200)
  })

  test('shows URLs, login and a command to try', () => {
    for (const part of [first.url, first.plain_url, first.nginx_url, first.email, first.password, 'curl '])
      expect(demo.output()).toContain(part)
  })

  test('refuses a second one on the same folder, and leaves the first alone', async () => {
    const second = startDemo(dir, await freePortBase())
    expect(await second.ended()).not.toBe(0)
    expect(second.output()).toContain('another npm start uses')
    expect((await ask({ port: base + 88, host: '127.0.0.1' })).status).toBe(200)
  })

  test(
    'ends everything with SIGTERM, and starts again with the same state and credentials',
    async () => {
      expect(processesIn(dir).length).toBeGreaterThanOrEqual(4)
      demo.process.kill('SIGTERM')
      expect(await demo.ended()).toBe(0)
      expect(processesIn(dir)).toEqual([])
      expect(existsSync(join(dir, 'credentials.json'))).toBe(false)
      expect(await restart()).toEqual(first)
      expect((await ask({ port: base + 88, host: '127.0.0.1' })).body).toContain('Served by NxMesh')
    },
    START_MS,
  )

  test(
    'ends everything with SIGINT as well',
    async () => {
      demo.process.kill('SIGINT')
      await demo.ended()
      await nothingRuns()
      await restart()
    },
    START_MS,
  )

  test(
    'leaves nothing running when npm itself is killed',
    async () => {
      demo.process.kill('SIGKILL')
      await nothingRuns()
      await restart()
    },
    START_MS,
  )

  test(
    'says which process crashed, and ends the rest',
    async () => {
      process.kill(Number(readFileSync(join(dir, 'nginx/nginx.pid'), 'utf8')), 'SIGKILL')
      expect(await demo.ended()).not.toBe(0)
      expect(demo.output()).toContain('nginx ended by itself (signal SIGKILL)')
      await nothingRuns()
    },
    START_MS,
  )
})

describe('npm start on a port that is taken', () => {
  let other: Server
  beforeAll(async () => {
    other = createServer()
    await new Promise<void>(resolve => other.listen(base + 80, '127.0.0.1', resolve))
  })
  afterAll(() => {
    other.close()
  })

  test('says so before anything starts', async () => {
    const refused = startDemo(dir, base)
    expect(await refused.ended()).not.toBe(0)
    expect(refused.output()).toContain(`the port ${base + 80} (master, HTTP) on 127.0.0.1 is in use`)
    expect(processesIn(dir)).toEqual([])
  })
})
