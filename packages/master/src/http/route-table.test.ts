import { expect, test } from 'bun:test'
import { RouteTable } from './route-table.ts'

const table = new RouteTable<string>()
table.add('GET', '/agents', 'list')
table.add('POST', '/agents', 'create')
table.add('POST', '/agents/register', 'register')
table.add('GET', '/agents/{id}', 'get')
table.add('POST', '/agents/{id}/tokens', 'tokens')
table.add('GET', '/sites/{id}/versions/{version}', 'version')

const methods = (path: string) => [...(table.find(path)?.by_method.keys() ?? [])]
const params = (path: string) => table.find(path)?.params

test('a path leads to what its methods do, with its parameters', () => {
  expect(table.find('/agents')?.by_method.get('POST')).toBe('create')
  expect(table.find('/agents/a')?.by_method.get('GET')).toBe('get')
  expect([params('/agents/a'), params('/sites/b/versions/v3')]).toEqual([
    { id: 'a' },
    { id: 'b', version: 'v3' },
  ])
})

test('a name that is written out goes before a parameter', () => {
  expect([methods('/agents/register'), methods('/agents/registers')]).toEqual([['POST'], ['GET']])
})

test('nothing is at half a path, at a longer one, or where a segment is empty', () => {
  for (const path of [
    '',
    '/',
    '/agent',
    '/agents/',
    '//agents',
    '/agents/a/',
    '/agents/a/tokens/b',
    '/sites/b',
  ])
    expect(table.find(path)).toBeNull()
  for (const path of [
    '/agents//tokens',
    '/sites//versions/1',
    '/__proto__',
    '/constructor',
    '/agents/register/x',
  ])
    expect(table.find(path)).toBeNull()
})

test('parameters are decoded; what is no encoding is left for the schema to refuse', () => {
  expect([params('/agents/%61b'), params('/agents/a%2Fb'), params('/agents/%zz')]).toEqual([
    { id: 'ab' },
    { id: 'a/b' },
    { id: '%zz' },
  ])
})
