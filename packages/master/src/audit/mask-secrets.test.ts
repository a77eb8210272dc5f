import { expect, test } from 'bun:test'
import { auditJson } from './audit-rules.ts'
import { MASK, maskSecrets } from './mask-secrets.ts'

test('what stands under the name of a secret is masked, wherever it lies and whatever it is', () => {
  const secrets = {
    password: 'p',
    secret: 1,
    token: ['t'],
    key: { inner: 'k' },
    private_key_pem: 'pem',
    client_secret: 's',
    Authorization: 'Bearer x',
    'X-Api-Key': 'x',
    accessToken: 'x',
    smtp_password: 'x',
    session_key: 'x',
    'set-cookie': 'x',
  }
  const masked = Object.fromEntries(Object.keys(secrets).map(name => [name, MASK]))
  expect(maskSecrets(secrets)).toEqual(masked)
  expect(maskSecrets({ list: [{ deep: secrets }] })).toEqual({ list: [{ deep: masked }] })
  expect(auditJson({ list: [secrets] })).not.toContain('Bearer')
})

test('a header or variable whose name is that of a secret loses its value', () => {
  const headers = [
    { name: 'Authorization', value: 'Basic x' },
    { name: 'X-Frame-Options', value: 'DENY' },
  ]
  expect(maskSecrets({ headers })).toEqual({ headers: [{ name: 'Authorization', value: MASK }, headers[1]] })
})

test('what only looks like a secret stays, and so does that there is none', () => {
  const harmless = {
    key_id: 'a',
    data_key_id: 'b',
    master_key_id: 'c',
    tokens: 3,
    token_prefix: 'nxk_1',
    public_key: 'pk',
    keys: ['a'],
    monkey: 'm',
    password: null,
    client_secret: true,
    at: new Date(0).toISOString(),
    selector: { match_expressions: [{ key: 'env', operator: 'In', values: ['live'] }] },
  }
  expect(maskSecrets(harmless)).toEqual(harmless)
  expect(maskSecrets('text')).toBe('text')
  expect(maskSecrets({ when: new Date(0) })).toEqual({ when: '1970-01-01T00:00:00.000Z' })
})
