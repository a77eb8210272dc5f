import { expect, test } from 'bun:test'
import { LIMITS } from '@nxmesh/contract/limits'
import { frame, site, testId } from '../testing/agent.ts'
import { ObjectError, parseObject } from './check-object.ts'

const SERVER = {
  address: '127.0.0.1:80',
  weight: 1,
  backup: false,
  down: false,
  max_fails: 1,
  fail_timeout: 10,
}
const UPSTREAM = {
  kind: 'upstream',
  id: testId(1),
  version_number: 1,
  name: 'pool',
  algorithm: 'round_robin',
  servers: [SERVER],
  keepalive_connections: 32,
  keepalive_timeout: null,
}
const parse = (value: object) => parseObject(JSON.stringify(value))

test('what a master sends is taken as it is', () => {
  for (const value of [...frame(80), site(1, 80, 'x'), UPSTREAM]) expect(parse(value)).toEqual(value as never)
})

// nginx allocates for these numbers before it knows of a single connection or name.
test.each([
  ['keepalive connections', { ...UPSTREAM, keepalive_connections: LIMITS.keepalive_connections_max + 1 }],
  ['keepalive timeout', { ...UPSTREAM, keepalive_timeout: LIMITS.keepalive_timeout_max_s + 1 }],
  ['weight', { ...UPSTREAM, servers: [{ ...SERVER, weight: LIMITS.weight_max + 1 }] }],
  ['fails', { ...UPSTREAM, servers: [{ ...SERVER, max_fails: LIMITS.max_fails_max + 1 }] }],
  ['fail timeout', { ...UPSTREAM, servers: [{ ...SERVER, fail_timeout: LIMITS.fail_timeout_max_s + 1 }] }],
  ['names', { kind: 'http', longest_server_name: 30, server_name_count: 1_000_000_000 }],
  ['length of a name', { kind: 'http', longest_server_name: 1_000_000, server_name_count: 1 }],
])('more than anyone could have asked the master for is refused: %s', (_what, value) => {
  expect(() => parse(value)).toThrow(ObjectError)
})
