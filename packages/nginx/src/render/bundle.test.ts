import { afterAll, expect, test } from 'bun:test'
import { RenderError } from '../errors.ts'
import type { BundleObject, RenderFacts, VirtualHostObject } from '../objects.ts'
import { parseConfig } from '../parser.ts'
import { checkText, httpConfig, put, removeFolder, testFolder } from '../testing/nginx.ts'
import { createRenderCache, renderBundle, renderObject } from './bundle.ts'
import { renderEntry, renderStatus } from './entry.ts'
import { ENTRY_PATH, STATUS_PATH } from './layout.ts'

const folder = testFolder()
afterAll(() => removeFolder(folder))

const FACTS: RenderFacts = {
  nginx_version: '1.22.1',
  modules: [],
  listen_address: null,
  carried: { default_servers: [], http_directives: [] },
}

const host = (index: number): VirtualHostObject => ({
  kind: 'virtual_host',
  id: `0192f1a2-7c3d-7000-8000-${String(index).padStart(12, '0')}`,
  version_number: 1,
  name: `Site ${index}`,
  server_names: [`www.site-${index}.example.com`],
  listen_port: 8080,
  template_id: 'default',
  gzip_enabled: index % 2 === 0,
  locations: [
    { path: '/', target: { type: 'proxy', url: `http://127.0.0.1:${1_000 + index}` }, custom_headers: [] },
    {
      path: `~ ^/${index}$`,
      target: { type: 'root', root: '/srv', index: null },
      custom_headers: [{ name: 'X-A', value: `$${index}` }],
    },
  ],
})

test('5,000 sites render within seconds, and nginx takes them', async () => {
  const sites = Array.from({ length: 5_000 }, (_, index) => host(index))
  const objects: BundleObject[] = [
    { kind: 'http', longest_server_name: 30, server_name_count: 5_000 },
    ...sites,
  ]
  const cache = createRenderCache()
  const start_ms = performance.now()
  const files = renderBundle(objects, FACTS, cache)
  const cold_ms = performance.now() - start_ms
  expect(files).toHaveLength(5_001)
  expect(cold_ms).toBeLessThan(5_000)
  objects[7] = { ...host(6), server_names: ['changed.example.com'] }
  const again_ms = performance.now()
  const next = renderBundle(objects, FACTS, cache)
  const warm_ms = performance.now() - again_ms
  expect(next[7]?.text).toContain('changed.example.com')
  expect(next.filter((file, index) => file === files[index])).toHaveLength(5_000)
  expect(warm_ms).toBeLessThan(cold_ms / 5)
  const answer = await checkText(folder, httpConfig(folder, files.map(({ text }) => text).join('')))
  expect(answer.output).not.toContain('[warn]')
  expect(answer.ok).toBe(true)
})

test('the cache forgets when the facts of the host change, and knows objects by the key it was given', () => {
  const cache = createRenderCache(object => JSON.stringify(object))
  const [first] = renderBundle([host(1)], FACTS, cache)
  expect(renderBundle([host(1)], FACTS, cache)[0]).toBe(first as NonNullable<typeof first>)
  const [moved] = renderBundle([host(1)], { ...FACTS, listen_address: '::1' }, cache)
  expect(moved?.text).toContain('listen [::1]:8080;')
})

test('a header that would say where the response ends is refused', () => {
  for (const name of ['Content-Length', 'transfer-ENCODING', 'Connection', 'Trailer']) {
    const [location] = host(1).locations
    const custom_headers = [{ name, value: '5' }]
    const locations = location ? [{ ...location, custom_headers }] : []
    expect(() => renderObject({ ...host(1), locations }, FACTS)).toThrow('sets by itself')
  }
})

test('two objects that would share a file are refused', () => {
  expect(() => renderBundle([host(1), { ...host(1) }], FACTS)).toThrow('is there twice')
})

test('an error names the resource and the field', () => {
  try {
    renderObject({ ...host(1), server_names: ['ok.com', 'not ok'] }, FACTS)
    throw new Error('was accepted')
  } catch (error) {
    expect(error).toBeInstanceOf(RenderError)
    expect(error).toMatchObject({ resource: { kind: 'virtual_host', id: host(1).id }, field: 'server_name' })
  }
})

test('the entry file includes its own folder only, and nginx follows it to the status server', async () => {
  const entry = renderEntry(folder)
  const paths = parseConfig(entry).directives.map(({ args }) => args[0]?.value)
  expect(paths.every(path => path?.startsWith(`${folder}/`))).toBe(true)
  await put(folder, ENTRY_PATH, entry)
  const status = { deployment_id: '0192f1a2-aaaa', generation: 7, apply_id: 'x1' }
  await put(folder, STATUS_PATH, renderStatus({ port: 18_099, ...status }))
  const answer = await checkText(folder, httpConfig(folder, `include ${folder}/${ENTRY_PATH};`), 'entry.conf')
  expect(answer.output).toContain('test is successful')
  expect(renderStatus({ port: 18_099, ...status })).toContain('return 200 "0192f1a2-aaaa 7 x1 $pid\\n";')
  expect(renderStatus({ unix_socket_path: '/run/nx.sock', ...status })).toContain(
    'listen "unix:/run/nx.sock";',
  )
})

test('folders and markers that could mean more than themselves are refused', () => {
  for (const path of ['/a*b', '/a"b', 'relative', '/a$b', '/a\nb', '/a;b', '/']) {
    expect(() => renderEntry(path)).toThrow('deployment folder')
  }
  const status = { port: 1, deployment_id: 'a', generation: 1, apply_id: 'b' }
  expect(() => renderStatus({ ...status, deployment_id: 'a"; return 200 "' })).toThrow('marker')
  expect(() => renderStatus({ ...status, apply_id: '$host' })).toThrow('marker')
  expect(() => renderStatus({ ...status, port: 0 })).toThrow('port')
})
