import { expect, test } from 'bun:test'
import { MASTER_LIMITS } from '../../limits.ts'
import { makeOpenidConnect } from './openid-connect.ts'
import { ProviderError } from './relying-party.ts'

const config = (issuer: string) => ({
  kind: 'oidc' as const,
  issuer,
  client_id: 'nxmesh',
  client_secret: null,
  scopes: ['openid'],
  groups_claim: 'groups',
  wants_groups: false,
})

test('a provider that hangs does not take the requests that others need', async () => {
  const hang = Promise.withResolvers<Response>()
  const asked: string[] = []
  const party = makeOpenidConnect({
    now: () => new Date(),
    fetch: async url => {
      asked.push(new URL(url).host)
      return new URL(url).host === 'hangs.example' ? await hang.promise : new Response('', { status: 500 })
    },
  })
  const check = (host: string) => party.check(config(`https://${host}`)).catch((error: unknown) => error)
  const waiting = Array.from({ length: MASTER_LIMITS.provider_asked_at_once }, () => check('hangs.example'))
  expect(String(await check('hangs.example'))).toContain('wait for the provider already')
  expect(await check('answers.example')).toBeInstanceOf(ProviderError)
  expect(asked).toContain('answers.example')
  hang.resolve(new Response('', { status: 500 }))
  await Promise.all(waiting)
  expect(String(await check('hangs.example'))).not.toContain('wait for the provider already')
  expect(asked.filter(one => one === 'hangs.example')).toHaveLength(MASTER_LIMITS.provider_asked_at_once + 1)
})
