import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { admits, clientAddress, networksOf, within } from './addresses.ts'

const PROXIES = networksOf(['10.0.0.0/8', '2001:db8::/32'])
const client = (peer: string | null, header: string | null) => clientAddress(peer, PROXIES, () => header)
const strangers = fc.ipV4().filter(address => !within(PROXIES, address))
const proxies = fc.nat(0xffff).map(n => `10.0.${n >> 8}.${n & 255}`)

describe('an allow-list', () => {
  test('that is absent admits everyone, an empty one nobody', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), address => {
        expect(admits(null, address)).toBe(true)
        expect(admits([], address)).toBe(false)
      }),
    )
    expect(admits(null, null)).toBe(true)
    expect(admits([], null)).toBe(false)
  })

  test('of everything admits no one whose address is not known', () => {
    expect(admits(['0.0.0.0/0', '::/0'], null)).toBe(false)
    expect(admits(['0.0.0.0/0', '::/0'], 'nonsense')).toBe(false)
  })

  test('takes a peer in each form that sockets give it', () => {
    expect(admits(['192.0.2.0/24'], '::ffff:192.0.2.9')).toBe(true)
    expect(admits(['fe80::/10'], 'fe80::1%eth0')).toBe(true)
    expect(admits(['192.0.2.0/24'], '198.51.100.1')).toBe(false)
  })
})

describe('behind a proxy', () => {
  test('that is not trusted no header changes who the client is, and none is even read', () => {
    fc.assert(
      fc.property(strangers, peer => {
        const unread = () => {
          throw new Error('it was read')
        }
        expect(clientAddress(peer, PROXIES, unread)).toBe(peer)
        expect(clientAddress(peer, [], unread)).toBe(peer)
      }),
    )
  })

  test('the client is the right-most address that is no proxy, whatever stands left of it', () => {
    fc.assert(
      fc.property(
        proxies,
        strangers,
        fc.array(proxies, { maxLength: 5 }),
        fc.string(),
        (peer, who, chain, lie) => {
          expect(client(peer, [lie, who, ...chain].join(', '))).toBe(who)
        },
      ),
    )
    expect(client('::ffff:10.1.1.1', '203.0.113.9, 2001:DB8::7')).toBe('203.0.113.9')
  })

  test('the peer counts where the header is absent or cannot be read', () => {
    for (const header of [
      null,
      '',
      ' ',
      'unknown',
      '203.0.113.9:4711',
      '203.0.113.9,',
      'a, 10.0.0.2',
      '"203.0.113.9"',
    ])
      expect([header, client('10.0.0.1', header)]).toEqual([header, '10.0.0.1'])
  })

  test('a proxy that asks for itself is the client', () => {
    expect(client('10.0.0.1', '10.0.0.7, 10.0.0.2')).toBe('10.0.0.7')
    expect(client(null, '203.0.113.9')).toBe(null)
  })
})
