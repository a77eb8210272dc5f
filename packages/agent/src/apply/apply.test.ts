import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { lstatSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { LIMITS } from '@nxmesh/contract/limits'
import { lastingLoopbackPort } from '../host/sockets.ts'
import { readMarker } from '../nginx/marker.ts'
import { pollUntil } from '../poll.ts'
import {
  frame,
  makeBundle,
  makeTestAgent,
  site,
  type TestAgent,
  type TestBundle,
  testId,
} from '../testing/agent.ts'
import { makePrivateNginx, type PrivateNginx } from '../testing/private-nginx.ts'

let nginx: PrivateNginx
let agent: TestAgent
let served: TestBundle
/** Generations rise over the whole file, as they do for one agent. */
let generation = 0

beforeAll(async () => {
  nginx = await makePrivateNginx({ workers: 2 })
  await nginx.start()
  agent = await makeTestAgent(nginx)
  served = makeBundle([...frame(nginx.port), site(1, nginx.port, 'one'), site(2, nginx.port, 'two')])
  await deploy(served)
})
afterAll(async () => {
  await agent?.close()
  await nginx?.close()
})

const current = () => readlinkSync(join(nginx.folder, 'conf.d/current'))
const sites = (folder: string) => readdirSync(join(nginx.folder, 'conf.d', folder, 'sites')).sort()
const header = async (n: number, port = nginx.port) => {
  const answer = await fetch(`http://127.0.0.1:${port}/`, {
    headers: { host: `s${n}.example.com`, connection: 'close' },
  })
  return answer.headers.get('x-site')
}

async function deploy(bundle: TestBundle, base?: TestBundle) {
  generation++
  const prepared = await agent.prepare(generation, bundle, base)
  expect(prepared.type).toBe('prepared')
  const ended = await agent.commit(generation, bundle)
  expect(ended.type).toBe('serving')
  served = bundle
  return { prepared, ended }
}

const withSites = (...more: ReturnType<typeof site>[]) => makeBundle([...frame(nginx.port), ...more])

describe('a deployment', () => {
  test('is served when the agent says so, by workers that answer with its marker', async () => {
    const bundle = withSites(site(1, nginx.port, 'new'), site(2, nginx.port, 'two'))
    const { ended } = await deploy(bundle, served)
    expect(await header(1)).toBe('new')
    const marker = await readMarker(agent.agent.context.adoption.status_port)
    expect(marker?.generation).toBe(generation)
    expect(agent.agent.orders.position()).toMatchObject({ generation, bundle_hash: bundle.hash })
    if (ended.type === 'serving') expect(Object.keys(ended.timings_ms)).toEqual(['swap', 'reload', 'verify'])
  })

  test('shares the files of unchanged sites with the one before and replaces changed ones', async () => {
    const before = current()
    await deploy(withSites(site(1, nginx.port, 'newer'), site(2, nginx.port, 'two')), served)
    const inode = (folder: string, name: string) =>
      statSync(join(nginx.folder, 'conf.d', folder, 'sites', name)).ino
    const [changed = '', same = ''] = sites(current())
    expect(inode(current(), same)).toBe(inode(before, same))
    expect(inode(current(), changed)).not.toBe(inode(before, changed))
  })

  test('drops the files of sites that are gone', async () => {
    await deploy(withSites(site(1, nginx.port, 'newer')), served)
    expect(sites(current())).toHaveLength(1)
    expect((await nginx.get('/', 's2.example.com')).status).toBe(404)
  })

  test('answers the same prepare and the same commit again', async () => {
    const bundle = served
    agent.agent.orders.prepare(agent.prepareMessage(generation, bundle))
    expect((await agent.next(generation, 'prepared', 'unable')).type).toBe('prepared')
    expect((await agent.commit(generation, bundle)).type).toBe('serving')
  })

  test('asks for objects that did not come', async () => {
    generation++
    const bundle = withSites(site(1, nginx.port, 'asked for'))
    const message = { ...agent.prepareMessage(generation, bundle, served), object_count: 0 }
    agent.agent.orders.prepare(message)
    const need = await agent.next(generation, 'need')
    const [hash = ''] = need.hashes
    expect(need.hashes).toHaveLength(1)
    const json = bundle.objects.get(hash) ?? ''
    agent.agent.orders.objects({
      type: 'objects',
      deployment_id: message.deployment_id,
      objects: [{ hash, json }],
    })
    expect((await agent.next(generation, 'prepared', 'unable')).type).toBe('prepared')
    expect((await agent.commit(generation, bundle)).type).toBe('serving')
    served = bundle
  })

  test('asks for many objects in pieces that the master takes', async () => {
    generation++
    const ids = Array.from({ length: LIMITS.need_hashes + 1 }, (_, at) => at + 1)
    const bundle = makeBundle(ids.map(id => site(id, nginx.port, 'many')))
    const message = { ...agent.prepareMessage(generation, bundle), object_count: 0 }
    agent.agent.orders.prepare(message)
    const [first, second] = [await agent.next(generation, 'need'), await agent.next(generation, 'need')]
    expect([first.hashes.length, second.hashes.length]).toEqual([LIMITS.need_hashes, 1])
    expect(Buffer.byteLength(JSON.stringify(first))).toBeLessThan(LIMITS.frame_in_bytes / 2)
    generation++
    const again = withSites(site(1, nginx.port, 'after many'))
    await deploy(again, served)
  })

  test('asks for the whole manifest when it does not know the base', async () => {
    generation++
    const bundle = withSites(site(1, nginx.port, 'whole'))
    const unknown = makeBundle([site(9, nginx.port, 'never sent')])
    agent.agent.orders.prepare(agent.prepareMessage(generation, bundle, unknown))
    expect((await agent.next(generation, 'need')).manifest).toBe(true)
    expect((await agent.prepare(generation, bundle)).type).toBe('prepared')
    expect((await agent.commit(generation, bundle)).type).toBe('serving')
    served = bundle
  })

  test('leaves five deployment folders, the current one among them', async () => {
    for (let n = 0; n < 3; n++) await deploy(withSites(site(1, nginx.port, `round ${n}`)), served)
    await agent.agent.orders.idle()
    const folders = readdirSync(join(nginx.folder, 'conf.d')).filter(name => /^\d{14}/.test(name))
    expect(folders).toHaveLength(5)
    expect(folders).toContain(current())
  })

  test('keeps its state to itself', () => {
    expect(statSync(agent.state_dir).mode & 0o777).toBe(0o700)
    expect(statSync(join(agent.state_dir, 'journal.json')).mode & 0o777).toBe(0o600)
  })
})

describe('an order', () => {
  test('of a lower generation is refused and changes nothing', async () => {
    const before = current()
    const answer = await agent.prepare(1, withSites(site(1, nginx.port, 'old')))
    expect(answer).toMatchObject({
      type: 'unable',
      message: expect.stringContaining('older than generation'),
    })
    expect(current()).toBe(before)
  })

  test('to commit what was not prepared is refused', async () => {
    const answer = await agent.commit(generation + 100, served)
    expect(answer).toMatchObject({ type: 'unable', message: expect.stringContaining('not prepared here') })
  })

  test('to commit another bundle than the prepared one is refused', async () => {
    generation++
    const bundle = withSites(site(1, nginx.port, 'a'))
    await agent.prepare(generation, bundle, served)
    const answer = await agent.commit(generation, withSites(site(1, nginx.port, 'b')))
    expect(answer).toMatchObject({ type: 'unable', message: expect.stringContaining('another bundle') })
  })

  test('that was aborted leaves no folder behind and cannot be committed', async () => {
    generation++
    const bundle = withSites(site(1, nginx.port, 'aborted'))
    const message = agent.prepareMessage(generation, bundle)
    await agent.prepare(generation, bundle)
    const { deployment_id, epoch } = message
    const folder = agent.agent.context.journal.read().pending?.folder ?? ''
    agent.agent.orders.abort({ type: 'abort', deployment_id, epoch, generation, reason: 'test' })
    expect((await agent.commit(generation, bundle)).type).toBe('unable')
    expect(readdirSync(join(nginx.folder, 'conf.d'))).not.toContain(folder)
  })

  test('gives way to a newer one that comes before it is committed', async () => {
    const [older, newer] = [generation + 1, generation + 2]
    generation = newer
    const first = withSites(site(1, nginx.port, 'first'))
    const second = withSites(site(1, nginx.port, 'second'))
    agent.agent.orders.prepare(agent.prepareMessage(older, first))
    const answer = agent.next(older, 'unable')
    const prepared = agent.prepare(newer, second)
    expect((await answer).message).toContain(`superseded by generation ${newer}`)
    await prepared
    expect((await agent.commit(older, first)).type).toBe('unable')
  })
})

describe('what cannot be right', () => {
  test('is rejected with file, line, resource and the words of nginx, and nothing live is touched', async () => {
    const [before, was] = [current(), await header(1)]
    generation++
    const upstream = {
      kind: 'upstream',
      id: testId(77),
      version_number: 1,
      name: 'lost',
      algorithm: 'round_robin',
      servers: [
        {
          address: 'nowhere.invalid:80',
          weight: 1,
          backup: false,
          down: false,
          max_fails: 1,
          fail_timeout: 10,
        },
      ],
      keepalive_connections: null,
      keepalive_timeout: null,
    } as const
    const answer = await agent.prepare(generation, makeBundle([...frame(nginx.port), upstream]))
    expect(answer).toMatchObject({
      type: 'rejected',
      error: {
        file: 'upstreams/lost.conf',
        line: expect.any(Number),
        resource: { kind: 'upstream', id: testId(77) },
        message: expect.stringContaining('host not found in upstream'),
      },
    })
    expect([current(), await header(1)]).toEqual([before, was])
    expect((await agent.prepare(generation, makeBundle([...frame(nginx.port), upstream]))).type).toBe(
      'rejected',
    )
    await deploy(withSites(site(1, nginx.port, 'next')))
  })

  test('is rejected when the renderer refuses a value', async () => {
    generation++
    const bad = site(1, nginx.port, 'x', { server_names: ['a.com; return 200 x; #'] })
    const answer = await agent.prepare(generation, withSites(bad))
    expect(answer).toMatchObject({
      type: 'rejected',
      error: { resource: { kind: 'virtual_host', id: testId(1) } },
    })
  })

  test('is rejected when a site would serve files from where this host does not allow it', async () => {
    generation++
    const target = { type: 'root', root: '/etc', index: null } as const
    const bad = site(1, nginx.port, 'x', { locations: [{ path: '/', target, custom_headers: [] }] })
    const answer = await agent.prepare(generation, withSites(bad))
    expect(answer).toMatchObject({ type: 'rejected', error: { message: expect.stringContaining('/etc') } })
  })

  for (const [what, json] of [
    ['no JSON', '{'],
    ['an unknown kind', '{"kind":"exec","command":"id"}'],
    ['a field too many', '{"kind":"listener","port":80,"extra":1}'],
    ['a wrong type', '{"kind":"listener","port":"80; include /etc/passwd"}'],
    ['a prototype', '{"kind":"listener","__proto__":{"port":80}}'],
  ] as const) {
    test(`is rejected when an object is ${what}`, async () => {
      generation++
      const text = new TextEncoder().encode(json)
      const hash = new Bun.CryptoHasher('sha256').update(text).digest('hex')
      const manifest = [['listener/80', hash]] as [string, string][]
      const line = new Bun.CryptoHasher('sha256').update(`listener/80 ${hash}\n`).digest('hex')
      const bundle: TestBundle = { manifest, hash: line, objects: new Map([[hash, json]]) }
      expect((await agent.prepare(generation, bundle)).type).toBe('rejected')
    })
  }

  test('is rejected when another program has the port, and it is named', async () => {
    const port = await lastingLoopbackPort()
    const other = createServer().listen(port, '127.0.0.1')
    await new Promise(resolve => other.once('listening', resolve))
    try {
      generation++
      const answer = await agent.prepare(generation, makeBundle([...frame(port), site(1, port, 'x')]))
      expect(answer).toMatchObject({
        type: 'rejected',
        error: {
          message: expect.stringMatching(
            new RegExp(`${port}: address already in use by .*pid ${process.pid}`),
          ),
        },
      })
    } finally {
      await new Promise(resolve => other.close(resolve))
    }
  })
})

describe('a change that passes every test and cannot be loaded', () => {
  test('is undone: the sites of before are served, and the master is told', async () => {
    await deploy(withSites(site(1, nginx.port, 'stays')))
    const before = current()
    const port = await lastingLoopbackPort()
    generation++
    const bundle = makeBundle([...frame(port), site(1, port, 'never')])
    expect((await agent.prepare(generation, bundle)).type).toBe('prepared')
    const other = createServer().listen(port, '127.0.0.1')
    await new Promise(resolve => other.once('listening', resolve))
    try {
      const answer = await agent.commit(generation, bundle)
      expect(answer).toMatchObject({
        type: 'failed',
        swapped_back: true,
        error: { message: expect.stringContaining('Address already in use') },
      })
      expect(current()).toBe(before)
      expect(await header(1)).toBe('stays')
      expect((await agent.commit(generation, bundle)).type).toBe('failed')
    } finally {
      await new Promise(resolve => other.close(resolve))
    }
    await deploy(withSites(site(1, nginx.port, 'after')))
    expect(await header(1)).toBe('after')
  }, 20_000)
})

test('a change of the current link is atomic: there is a whole deployment at every moment', async () => {
  const link = join(nginx.folder, 'conf.d/current')
  let looked = 0
  let done = false
  const watching = pollUntil(() => {
    expect(lstatSync(link).isSymbolicLink()).toBe(true)
    expect(readFileSync(join(link, 'nxmesh.conf'), 'utf8')).toContain('include')
    looked++
    return done ? true : null
  }, 30_000)
  for (let n = 0; n < 3; n++) await deploy(withSites(site(1, nginx.port, `swap ${n}`)), served)
  done = true
  await watching
  expect(looked).toBeGreaterThan(10)
})
