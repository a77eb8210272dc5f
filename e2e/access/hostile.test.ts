import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BASE_PATH, ENDPOINTS } from '@nxmesh/contract'
import { makeClient } from '@nxmesh/contract/client'
import type { Endpoint } from '@nxmesh/contract/endpoints/endpoint'
import { runProgram } from '../support/processes.ts'
import { until } from '../support/until.ts'
import { type MatrixWorld, openMatrixWorld } from './matrix-world.ts'

setDefaultTimeout(120_000)

/** What is known to work against tools of this kind, tried on a whole master. */

let world: MatrixWorld
let other: MatrixWorld
beforeAll(async () => {
  ;[world, other] = await Promise.all([openMatrixWorld(), openMatrixWorld()])
})
afterAll(async () => {
  await Promise.all([world.stop(), other.stop()])
})

const closed = (Object.entries(ENDPOINTS) as [string, Endpoint][]).filter(
  ([, row]) => typeof row.access === 'string',
)
const pathOf = (row: Endpoint) => BASE_PATH + row.path.replace(/\{\w+\}/g, world.own.workspace_id)
const send = (row: Endpoint, headers: Record<string, string>, body = '{}') =>
  fetch(world.base_url + pathOf(row), {
    method: row.method,
    headers: { ...(row.method === 'GET' ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(row.method === 'GET' ? {} : { body }),
  })
const tokenOf = async (on: MatrixWorld) =>
  (
    await makeClient({ base_url: on.base_url }).call('login', {
      body: { email: 'root@example.com', password: 'a long password for tests' },
    })
  ).data.token

describe('every route that is not public', () => {
  test('refuses who has no token, another master’s, a broken one, or one in the wrong place', async () => {
    const strange = await tokenOf(other)
    const own = await tokenOf(world)
    const attempts: Record<string, string>[] = [
      {},
      { authorization: `Bearer ${strange}` },
      { authorization: `Bearer ${own.slice(0, -2)}` },
      { authorization: `Basic ${own}` },
      { authorization: own },
      { 'x-authorization': `Bearer ${own}` },
      { cookie: `nxmesh_refresh=${own}; token=${own}` },
    ]
    const open: string[] = []
    for (const [id, row] of closed)
      for (const headers of attempts) {
        const { status } = await send(row, headers)
        if (status !== 401) open.push(`${id} ${status} ${JSON.stringify(headers).slice(0, 40)}`)
      }
    expect(open).toEqual([])
    expect(closed.length).toBeGreaterThan(60)
  })

  test('refuses a change that another site’s page sends, with a good token as well', async () => {
    const authorization = `Bearer ${await tokenOf(world)}`
    const open: string[] = []
    for (const [id, row] of closed) {
      if (row.method === 'GET') continue
      for (const origin of ['https://evil.example', 'null', `${world.base_url}.evil.example`])
        if ((await send(row, { authorization, origin })).status !== 403) open.push(`${id} ${origin}`)
      const text = await send(row, { authorization, 'content-type': 'text/plain' })
      if (text.status !== 415) open.push(`${id} takes text/plain: ${text.status}`)
    }
    expect(open).toEqual([])
  })

  test('refuses fields that it does not have, so that none can be smuggled in', async () => {
    const authorization = `Bearer ${await tokenOf(world)}`
    const taken: string[] = []
    for (const [id, row] of closed) {
      if (row.body === undefined) continue
      const smuggled = JSON.stringify({ instance_admin: true, permissions_json: '[]', created_by_id: 'x' })
      const answer = await send(row, { authorization }, smuggled)
      const text = await answer.text()
      if (answer.status !== 422 || !text.includes('There is no such field'))
        taken.push(`${id} ${answer.status}`)
    }
    expect(taken).toEqual([])
  })
})

describe('a disk that is full', () => {
  const folder = mkdtempSync(join(tmpdir(), 'nxmesh-full-'))
  const data = join(folder, 'data')
  const mounted =
    spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=24m,mode=700', 'nxmesh-test', folder]).status === 0
  afterAll(() => {
    if (mounted) spawnSync('umount', [folder])
    rmSync(folder, { recursive: true, force: true })
  })

  test.skipIf(!mounted)(
    'costs nothing that was acknowledged, and the master goes on when there is room again',
    async () => {
      const listen = ['--listen', '127.0.0.1:0', '--listen-plain', '127.0.0.1:0']
      const running = runProgram('nxmesh', ['master', 'run', '--data-dir', data, ...listen])
      try {
        const greeting = await until(
          'the greeting',
          () => /setup token/.test(running.output()) && running.output(),
        )
        const found = (label: string) => new RegExp(`^ +${label} +(\\S+)$`, 'm').exec(greeting)?.[1] ?? ''
        const base_url = found('plain URL')
        const setup = await makeClient({ base_url }).call('setup', {
          body: {
            setup_token: found('setup token'),
            email: 'root@example.com',
            password: 'a long password for tests',
          },
        })
        const client = makeClient({ base_url, token: setup.data.token })
        const made: string[] = []
        const make = async (n: number) => {
          const body = { name: 'x'.repeat(100), slug: `org-${n}` }
          made.push((await client.call('organizations_create', { body })).data.id)
        }
        await make(0)
        const ballast = join(folder, 'ballast')
        // All that is left, in pieces: a write that does not fit is cut short.
        spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=4096', 'count=100000'])
        let refused = 0
        for (let n = 1; n < 60; n++)
          await make(n).catch((error: { code?: string }) => {
            refused++
            expect(['INTERNAL', 'UNAVAILABLE']).toContain(String(error.code))
          })
        expect(refused).toBeGreaterThan(0)
        expect((await client.call('organizations_list', { query: { per_page: 200 } })).data.length).toBe(
          made.length + 1,
        )
        writeFileSync(ballast, '')
        await until('room', async () => {
          await make(1_000 + made.length)
          return true
        })
        const listed = (await client.call('organizations_list', { query: { per_page: 200 } })).data
        expect(listed.filter(one => made.includes(one.id))).toHaveLength(made.length)
        expect(listed).toHaveLength(made.length + 1)
      } finally {
        await running.kill()
      }
      // What is on the disk is whole.
      const verified = runProgram('nxmesh', ['master', 'audit', 'verify', '--data-dir', data])
      await until('the verification', () => verified.hasExited())
      expect(verified.output()).toMatch(/\d+:[0-9a-f]{64}/)
    },
  )
})
