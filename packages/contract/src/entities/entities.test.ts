import { describe, expect, test } from 'bun:test'
import type { z } from 'zod'
import { ApiError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { validationError } from '../validation.ts'
import { AgentSelector, Labels, selects } from './agent.ts'
import { UpstreamData, UpstreamPatch, VirtualHostData, VirtualHostPatch } from './config.ts'

const ID = '0192f0c1-2d3e-7abc-8def-0123456789ab'

/** The fields that a schema complains about; none when it takes the value. */
function complaints(schema: z.ZodType, value: unknown): string[] {
  const parsed = schema.safeParse(value)
  return parsed.success ? [] : validationError(parsed.error).details.map(one => one.field)
}

test('a response header cannot say where the response ends', () => {
  const host = (name: string) => ({
    name: 'a',
    server_name: 'a.com',
    listen_port: 80,
    locations: [{ path: '/', root: '/srv', custom_headers: [{ name, value: '5' }] }],
  })
  for (const name of [
    'Content-Length',
    'transfer-ENCODING',
    'Connection',
    'Keep-Alive',
    'Trailer',
    'Upgrade',
  ])
    expect(complaints(VirtualHostData, host(name))).toEqual(['locations.0.custom_headers.0.name'])
  expect(complaints(VirtualHostData, host('Content-Language'))).toEqual([])
})

describe('selectors', () => {
  const agent = { id: ID, labels: { env: 'prod', tier: 'edge', empty: '' } }
  const picks = (selector: unknown, one = agent) => selects(AgentSelector.parse(selector), one)
  const expression = (key: string, operator: string, values?: string[]) =>
    picks({ match_expressions: [{ key, operator, ...(values ? { values } : {}) }] })

  test('all, by id, by labels', () => {
    expect(picks({ all: true })).toBe(true)
    expect([picks({ agent_ids: [ID.toUpperCase()] }), picks({ agent_ids: [] })]).toEqual([true, false])
    expect(picks({ match_labels: { env: 'prod', tier: 'edge' } })).toBe(true)
    expect(picks({ match_labels: { env: 'prod', tier: 'core' } })).toBe(false)
    expect(picks({ match_labels: { region: 'eu' } })).toBe(false)
  })

  test('by expressions, all of which must hold', () => {
    expect([expression('env', 'in', ['dev', 'prod']), expression('env', 'in', ['dev'])]).toEqual([
      true,
      false,
    ])
    expect([expression('env', 'not_in', ['dev']), expression('env', 'not_in', ['prod'])]).toEqual([
      true,
      false,
    ])
    expect([expression('empty', 'exists'), expression('region', 'exists')]).toEqual([true, false])
    expect([expression('region', 'not_exists'), expression('env', 'not_exists')]).toEqual([true, false])
    const both = [
      { key: 'env', operator: 'exists' },
      { key: 'tier', operator: 'in', values: ['core'] },
    ]
    expect(picks({ match_expressions: both })).toBe(false)
  })

  test('a label that is not there is in nothing, and not in everything', () => {
    expect([expression('region', 'in', ['eu']), expression('region', 'not_in', ['eu'])]).toEqual([
      false,
      true,
    ])
  })

  test('what every object has is no label', () => {
    for (const key of ['toString', 'valueOf', 'hasOwnProperty'])
      expect([expression(key, 'exists'), expression(key, 'not_exists')]).toEqual([false, true])
  })

  test('what could mean two things is refused', () => {
    for (const selector of [
      {},
      { all: false },
      { all: true, agent_ids: [ID] },
      { agent_ids: ['x'] },
      { match_expressions: [{ key: 'a', operator: 'in', values: [] }] },
      { match_expressions: [{ key: 'a', operator: 'exists', values: ['b'] }] },
      { match_expressions: [{ key: 'a', operator: 'in;', values: ['b'] }] },
      { match_labels: { 'a b': 'c' } },
    ])
      expect(AgentSelector.safeParse(selector).success).toBe(false)
  })

  test('labels are words, and not too many', () => {
    const many = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, n) => [`k${n}`, 'v']))
    expect(complaints(Labels, many(LIMITS.labels))).toEqual([])
    expect(complaints(Labels, many(LIMITS.labels + 1))).toHaveLength(1)
    for (const hostile of [{ constructor: 'x' }, { 'a;b': 'x' }, { a: 'x\ny' }, { a: '$x' }])
      expect(Labels.safeParse(hostile).success).toBe(false)
    // The REST door refuses this key everywhere; elsewhere it does not arrive.
    expect(Labels.parse(JSON.parse('{"__proto__":"x","a":"b"}'))).toEqual({ a: 'b' })
  })
})

describe('virtual hosts', () => {
  const host = (more: object = {}) => ({
    name: 'Site',
    server_name: 'a.com',
    listen_port: 80,
    locations: [{ path: '/', root: '/srv' }],
    ...more,
  })
  const at = (location: object) => complaints(VirtualHostData, host({ locations: [location] }))

  test('the least that one needs; the rest has defaults', () => {
    expect(VirtualHostData.parse(host())).toEqual({
      ...host(),
      ssl_enabled: false,
      ssl_certificate_id: null,
      template_id: 'default',
      locations: [
        { path: '/', root: '/srv', upstream_id: null, proxy_pass: null, index: null, custom_headers: [] },
      ],
      gzip_enabled: false,
      target_agents: { all: true },
    })
  })

  test('a location leads to exactly one place', () => {
    expect(at({ path: '/' })).toEqual(['locations.0.path'])
    expect(at({ path: '/', root: '/srv', proxy_pass: 'http://a' })).toEqual(['locations.0.path'])
    expect(at({ path: '/', upstream_id: ID })).toEqual([])
    expect(at({ path: '/', proxy_pass: 'http://a', index: 'index.html' })).toEqual(['locations.0.index'])
  })

  test('a regular expression and a proxied path do not go together', () => {
    expect(at({ path: '~ ^/a', proxy_pass: 'http://a/x' })).toEqual(['locations.0.proxy_pass'])
    expect(at({ path: '~ ^/a', proxy_pass: 'http://a' })).toEqual([])
  })

  test('at least one location, none of them twice', () => {
    expect(complaints(VirtualHostData, host({ locations: [] }))).toEqual(['locations'])
    const paths = (...all: string[]) =>
      complaints(VirtualHostData, host({ locations: all.map(path => ({ path, root: '/srv' })) }))
    expect(paths('/a', '/b', '= /a', '~ /a')).toEqual([])
    expect(paths('/a', '/b', '/a')).toEqual(['locations.2.path'])
    expect(paths('/a', '^~/a')).toEqual(['locations.1.path'])
    expect(paths('=/a', '=  /a')).toEqual(['locations.1.path'])
  })

  test('what is not built yet says so, unless there is a real mistake as well', () => {
    const code = (more: object) => {
      const parsed = VirtualHostData.safeParse(host(more))
      return parsed.success ? null : validationError(parsed.error).code
    }
    expect(code({ ssl_enabled: true })).toBe('NOT_BUILT_YET')
    expect(code({ ssl_enabled: true, ssl_certificate_id: ID })).toBe('NOT_BUILT_YET')
    expect(code({ ssl_enabled: true, locations: [{ path: '/' }] })).toBe('VALIDATION_ERROR')
    expect(code({ listen_port: 0 })).toBe('VALIDATION_ERROR')
  })

  test('fields that nobody knows are refused, camelCase twins among them', () => {
    expect(complaints(VirtualHostData, host({ listenPort: 81 }))).toEqual(['listenPort'])
    expect(complaints(VirtualHostPatch, { workspace_id: ID })).toEqual(['workspace_id'])
  })
})

describe('upstreams', () => {
  const pool = (more: object = {}) => ({ name: 'pool', servers: [{ address: 'a:80' }], ...more })

  test('rules that bind several fields', () => {
    const ask = (more: object) => complaints(UpstreamData, pool(more))
    const backup = { address: 'b:80', backup: true }
    expect(ask({})).toEqual([])
    expect(ask({ algorithm: 'ip_hash', servers: [{ address: 'a:80' }, backup] })).toEqual(['algorithm'])
    expect(ask({ servers: [backup] })).toEqual(['servers'])
    expect(ask({ servers: [{ address: 'a:80' }, { address: 'A:080' }] })).toEqual(['servers.1.address'])
    expect(ask({ keepalive_timeout: 60 })).toEqual(['keepalive_timeout'])
    expect(ask({ algorithm: 'round_robin; }' })).toEqual(['algorithm'])
  })

  test('a name is an identifier of nginx', () => {
    for (const name of ['', '1a', 'a b', 'a;', '$a', 'unix:', 'a..b', '.a', 'a.', '-a', 'ä'])
      expect(UpstreamData.safeParse(pool({ name })).success).toBe(false)
    for (const name of ['a', 'my-pool_1', 'api.v1'])
      expect(complaints(UpstreamData, pool({ name }))).toEqual([])
  })
})

describe('patches', () => {
  test('change only what they name', () => {
    expect(UpstreamPatch.parse({ keepalive_connections: null })).toEqual({ keepalive_connections: null })
    expect(VirtualHostPatch.parse({ gzip_enabled: true })).toEqual({ gzip_enabled: true })
    expect(VirtualHostPatch.parse({})).toEqual({})
    const name: string | undefined = UpstreamPatch.parse({ name: 'a' }).name
    expect(name).toBe('a')
  })

  test('check what they name', () => {
    expect(complaints(VirtualHostPatch, { server_name: 'a;b', listen_port: '80' })).toEqual([
      'server_name',
      'listen_port',
    ])
  })
})

describe('errors of validation', () => {
  test('a wrong selector names the nearest way to write it', () => {
    expect(complaints(AgentSelector, { agent_ids: ['x'] })).toEqual(['agent_ids.0'])
  })

  test('are bounded, however much is wrong', () => {
    const names = Object.fromEntries(Array.from({ length: 1_000 }, (_, n) => [`x${n}`.padEnd(300, 'y'), 1]))
    const parsed = UpstreamPatch.safeParse(names)
    if (parsed.success) throw new Error('It was taken')
    const error = validationError(parsed.error)
    expect(error).toBeInstanceOf(ApiError)
    expect(error.details).toHaveLength(LIMITS.error_details)
    expect(Math.max(...error.details.map(one => one.field.length))).toBeLessThanOrEqual(100)
  })
})
