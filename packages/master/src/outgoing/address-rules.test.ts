import { describe, expect, test } from 'bun:test'
import { allowedOf, judge, parseRange } from './address-rules.ts'

const nothing = allowedOf([])
const refused = (address: string, allow = nothing) => judge(address, allow).refused

describe('an address that is nobody’s public server is refused', () => {
  test.each([
    ['127.0.0.1', 'loopback'],
    ['127.255.255.254', 'loopback'],
    ['::1', 'loopback'],
    ['0.0.0.0', 'unspecified'],
    ['0.1.2.3', 'unspecified'],
    ['::', 'unspecified'],
    ['10.0.0.1', 'private'],
    ['172.16.0.1', 'private'],
    ['172.31.255.255', 'private'],
    ['192.168.1.1', 'private'],
    ['169.254.1.1', 'link-local'],
    ['fe80::1', 'link-local'],
    ['febf::1', 'link-local'],
    ['fc00::1', 'unique-local'],
    ['fdff::1', 'unique-local'],
    ['fec0::1', 'site-local'],
    ['100.64.0.1', 'carrier-grade'],
    ['100.127.255.255', 'carrier-grade'],
    ['224.0.0.1', 'multicast'],
    ['239.255.255.255', 'multicast'],
    ['ff02::1', 'multicast'],
    ['192.0.2.1', 'documentation'],
    ['198.51.100.1', 'documentation'],
    ['203.0.113.1', 'documentation'],
    ['2001:db8::1', 'documentation'],
    ['3fff::1', 'documentation'],
    ['198.19.0.1', 'measurements'],
    ['192.0.0.8', 'protocol'],
    ['2001::1', 'protocol'],
    ['240.0.0.1', 'reserved'],
    ['255.255.255.255', 'reserved'],
    ['2002:7f00:1::', 'tunnel'],
    ['100::1', 'no public address'],
    ['::127.0.0.1', 'no public address'],
    ['5f00::1', 'no public address'],
    // In the wrappings of IPv6.
    ['::ffff:127.0.0.1', 'loopback'],
    ['::ffff:7f00:1', 'loopback'],
    ['0:0:0:0:0:ffff:10.1.2.3', 'private'],
    ['64:ff9b::127.0.0.1', 'loopback'],
    ['64:ff9b::a00:1', 'private'],
    ['64:ff9b::', 'unspecified'],
    ['64:ff9b:1::1', 'protocol'],
    ['64:ff9b::1:808:808', 'no public address'],
    // Where clouds hand out credentials.
    ['169.254.169.254', 'metadata'],
    ['::ffff:169.254.169.254', 'metadata'],
    ['64:ff9b::a9fe:a9fe', 'metadata'],
    ['168.63.129.16', 'metadata'],
    ['100.100.100.200', 'metadata'],
    ['fd00:ec2::254', 'metadata'],
    ['FD00:0EC2:0::254', 'metadata'],
    // What is no address at all.
    ['fe80::1%eth0', 'no plain address'],
    ['0x7f.1', 'no plain address'],
    ['', 'no plain address'],
  ])('%s: %s', (address, kind) => expect(refused(address)).toContain(kind))

  test.each([
    '1.1.1.1',
    '8.8.8.8',
    '172.15.0.1',
    '172.32.0.1',
    '100.63.0.1',
    '100.128.0.1',
    '2606:4700::1111',
    '2a00:1450::1',
    '::ffff:1.1.1.1',
    '64:ff9b::101:101',
  ])('%s is public', address => expect(refused(address)).toBeNull())
})

describe('the setting outgoing.allow', () => {
  test('opens its ranges, also for an address in a wrapping, and nothing beside them', () => {
    const allow = allowedOf(['10.1.0.0/16', 'fd12::/16', '127.0.0.1'])
    for (const open of ['10.1.255.1', '::ffff:10.1.0.1', '64:ff9b::a01:1', 'fd12::9', '127.0.0.1'])
      expect(refused(open, allow)).toBeNull()
    for (const shut of ['10.2.0.1', 'fd13::1', '127.0.0.2', '::1', '192.168.0.1'])
      expect(refused(shut, allow)).not.toBeNull()
  })

  test('of one family says nothing about the other', () => {
    expect(refused('127.0.0.1', allowedOf(['::/0']))).toContain('loopback')
    expect(refused('::1', allowedOf(['0.0.0.0/0']))).toContain('loopback')
  })

  test('opens a metadata service only when it names it alone', () => {
    const wide = allowedOf(['0.0.0.0/0', '::/0', '169.254.0.0/16', '169.254.169.252/30'])
    for (const address of ['169.254.169.254', 'fd00:ec2::254', '168.63.129.16'])
      expect(refused(address, wide)).toContain('metadata')
    expect(refused('169.254.169.254', allowedOf(['169.254.169.254/32']))).toBeNull()
    expect(refused('fd00:ec2::254', allowedOf(['fd00:0ec2::254']))).toBeNull()
  })

  test('takes ranges and addresses, and nothing else', () => {
    expect(parseRange('10.0.0.0/8')).toEqual({ address: '10.0.0.0', prefix: 8, family: 'ipv4' })
    expect(parseRange('FD00::1')).toEqual({ address: 'fd00::1', prefix: 128, family: 'ipv6' })
    for (const text of [
      '',
      'example.com',
      '10.0.0.0/33',
      '10.0.0/8',
      '::/129',
      '10.0.0.1/',
      '1.2.3.4/-1',
      '*',
    ])
      expect(parseRange(text)).toBeNull()
    expect(() => allowedOf(['example.com'])).toThrow('example.com')
  })
})
