import { describe, expect, test } from 'bun:test'
import { BlockList, isIP } from 'node:net'
import fc from 'fast-check'
import { addressText, contains, networkText, parseAddress, parseNetwork } from './addresses.ts'

/** The same network however it was written, or the reason why it is none. */
const read = (text: string) => {
  try {
    return networkText(parseNetwork(text))
  } catch (error) {
    return (error as Error).message
  }
}
const holds = (network: string, address: string) => {
  const parsed = parseAddress(address)
  return parsed !== null && contains(parseNetwork(network), parsed)
}
const anyAddress = fc.oneof(fc.ipV4(), fc.ipV6())
const spelled = fc.stringMatching(/^[0-9a-f:.]{1,46}$/)

describe('an address', () => {
  test('is read exactly where the system reads one', () => {
    const same = (text: string) =>
      expect([text, parseAddress(text) !== null]).toEqual([text, isIP(text) !== 0])
    fc.assert(fc.property(anyAddress, same), { numRuns: 2_000 })
    fc.assert(fc.property(spelled, same), { numRuns: 5_000 })
    for (const text of ['1.2.3.04', '::1.2.3.4', '1::2::3', ':1', '1:', ':::', '::', '1:2:3:4:5:6:7::', ''])
      same(text)
  })

  test('is written so that it is read as the same one, whatever it looked like', () => {
    fc.assert(
      fc.property(anyAddress, text => {
        const address = parseAddress(text)
        if (!address) throw new Error(text)
        expect(parseAddress(addressText(address))).toEqual(address)
      }),
      { numRuns: 2_000 },
    )
  })

  test('has one way to be written, as RFC 5952 has it', () => {
    const written = (text: string) => addressText(parseAddress(text) ?? { version: 4, bits: 0n })
    expect(written('2001:DB8:0:0:1:0:0:1')).toBe('2001:db8::1:0:0:1')
    expect(written('2001:db8:0:1:1:1:1:1')).toBe('2001:db8:0:1:1:1:1:1')
    expect(written('0:0:0:0:0:0:0:0')).toBe('::')
    expect(written('::ffff:192.0.2.1')).toBe('192.0.2.1')
  })
})

describe('a network', () => {
  test('holds what the system says that it holds', () => {
    const prefixed = fc.oneof(
      fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 }), fc.ipV4()),
      fc.tuple(fc.ipV6(), fc.integer({ min: 0, max: 128 }), fc.ipV6()),
    )
    fc.assert(
      fc.property(prefixed, fc.boolean(), ([base, prefix, other], near) => {
        const address = parseAddress(base)
        const peer = near ? base : other
        // What is written as IPv6 and is IPv4 has a case of its own.
        if (!address || (address.version === 4 && base.includes(':'))) return
        const behind = BigInt((base.includes(':') ? 128 : 32) - prefix)
        const network = addressText({ ...address, bits: (address.bits >> behind) << behind })
        const list = new BlockList()
        list.addSubnet(network, prefix, base.includes(':') ? 'ipv6' : 'ipv4')
        const said = list.check(peer, peer.includes(':') ? 'ipv6' : 'ipv4')
        if (parseAddress(peer)?.version !== address.version) return
        expect(holds(`${network}/${prefix}`, peer)).toBe(said)
      }),
      { numRuns: 3_000 },
    )
  })

  test('of IPv4 holds the same peers when they come to a listener on every address', () => {
    fc.assert(
      fc.property(fc.ipV4(), text => {
        expect(holds('0.0.0.0/0', `::ffff:${text}`)).toBe(true)
        expect(holds(`${text}/32`, `::ffff:${text}`)).toBe(true)
        expect(holds('::/0', `::ffff:${text}`)).toBe(false)
      }),
    )
    expect(read('::ffff:10.0.0.0/104')).toBe('10.0.0.0/8')
  })

  test('is normalized, or refused with the reason', () => {
    expect(read('192.0.2.7')).toBe('192.0.2.7/32')
    expect(read('2001:DB8::/32')).toBe('2001:db8::/32')
    expect(read('10.1.2.3/8')).toContain('the network is 10.0.0.0/8')
    expect(read('10.0.0.0/33')).toContain('/33')
    expect(read('::ffff:10.0.0.0/8')).toContain('/8')
    for (const text of [
      '',
      '/8',
      '10.0.0/8',
      'example.com',
      '10.0.0.0/8/8',
      '10.0.0.0/-1',
      ' 10.0.0.0/8',
      'fe80::1%eth0',
    ])
      expect(read(text)).toContain('must be')
  })
})
