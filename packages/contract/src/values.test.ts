import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { z } from 'zod'
import { LIMITS } from './limits.ts'
import * as v from './values.ts'

const passes = (schema: z.ZodType, value: unknown) => schema.safeParse(value).success
const refuses = (schema: z.ZodType, values: readonly unknown[]) =>
  expect(values.filter(value => passes(schema, value))).toEqual([])
const becomes = (schema: z.ZodType, pairs: Record<string, string>) =>
  expect(Object.fromEntries(Object.keys(pairs).map(key => [key, schema.safeParse(key).data]))).toEqual(pairs)

/** Every field of the wire that reaches nginx's configuration as text. */
const FIELDS: Record<string, [z.ZodType, good: string]> = {
  server_name: [v.serverName, 'a.com'],
  location_path: [v.locationPath, '/a'],
  regex_path: [v.locationPath, '~ ^/a'],
  proxy_pass: [v.proxyUrl, 'http://a.com/x'],
  address: [v.serverAddress, 'a.com:80'],
  root: [v.absolutePath, '/srv/www'],
  index: [v.indexFiles, 'index.html'],
  header_name: [v.headerName, 'X-A'],
  header_value: [v.headerValue, 'a b'],
  name: [v.name, 'My site'],
  slug: [v.slug, 'my-site'],
  cidr: [v.cidr, '192.0.2.0/24'],
}
const fields = Object.entries(FIELDS)
const INVISIBLE = [
  '\u200b',
  '\u200e',
  '\u202e',
  '\u2066',
  '\u00ad',
  '\ufeff',
  '\u2060',
  '\u3164',
  '\u{e0041}',
]
const CONTROLS = ['\0', '\t', '\n', '\v', '\r', '\u001b', '\u007f', '\u0085', '\u2028', '\u2029', '\ud800']

describe('in every field', () => {
  test.each(fields)('%s takes a good value as it is', (_name, [schema, good]) => {
    becomes(schema, { [good]: good })
  })

  test.each(fields)(
    '%s refuses control characters and line ends, at every place',
    (_name, [schema, good]) => {
      for (const control of CONTROLS)
        refuses(schema, [control + good, good + control, good.slice(0, 1) + control + good.slice(1), control])
    },
  )

  test.each(fields)('%s refuses what nobody sees', (_name, [schema, good]) => {
    for (const one of INVISIBLE)
      refuses(schema, [one + good, good + one, good.slice(0, 1) + one + good.slice(1)])
  })

  test.each(fields)('%s refuses what is no text, and text without end', (_name, [schema, good]) => {
    refuses(schema, [null, undefined, 1, true, [], [good], {}, { toString: () => good }, good.repeat(10_000)])
  })

  // Where quotes, braces and the like mean nothing good they are refused here; where people need them, the renderer quotes.
  const closed = fields.filter(([name]) => !['regex_path', 'header_value', 'name'].includes(name))
  test.each(closed)('%s refuses what could end a token or open a block', (_name, [schema, good]) => {
    for (const sign of [';', '{', '}', '"', "'", '\\', '$', '；', ' # '])
      if (!(sign === '；' && good === '/a')) refuses(schema, [good + sign, good + sign + good])
  })
})

describe('server_name', () => {
  test('names are normalized', () => {
    becomes(v.serverName, {
      'A.com': 'a.com',
      'a.com,b.com': 'a.com, b.com',
      ' a.com ,  *.B.com ': 'a.com, *.b.com',
      'xn--mnchen-3ya.de': 'xn--mnchen-3ya.de',
      localhost: 'localhost',
      '192.0.2.1': '192.0.2.1',
    })
  })

  test('what is no name is refused', () => {
    refuses(v.serverName, [
      '',
      ',',
      'a.com,',
      'a..com',
      '-a.com',
      'a-.com',
      '.a.com',
      '*',
      '*.',
      'a.*',
      '*.*.com',
    ])
    refuses(v.serverName, ['~^a', '_', 'a_b.com', 'a com', '1.2.3', '10.0.0.256', 'a.1', '[::1]', 'a.com:80'])
    refuses(v.serverName, ['a.com; return 200 x; #', 'a.com\n}\nload_module x;', '$host', 'a.com/x'])
  })

  test('look-alikes are refused, also those that lower-casing would turn into a letter', () => {
    refuses(v.serverName, [
      'ａ.com',
      'a．com',
      'аpple.com',
      '\u212aelvin.com',
      'ſite.com',
      'İ.com',
      'münchen.de',
    ])
  })

  test('the same name twice, names without end', () => {
    refuses(v.serverName, ['a.com, A.com', Array.from({ length: 65 }, (_, n) => `a${n}.com`).join(',')])
    refuses(v.serverName, [`${'a'.repeat(64)}.com`, `${'a.'.repeat(126)}com`])
    expect(passes(v.serverName, `${'a'.repeat(63)}.com`)).toBe(true)
  })
})

describe('location paths', () => {
  test('the modifier is set apart by one space', () => {
    becomes(v.locationPath, {
      '/': '/',
      '=/x': '= /x',
      '= /x': '= /x',
      '^~   /x': '^~ /x',
      '~^/a': '~ ^/a',
      '~* \\.(png|jpe?g)$': '~* \\.(png|jpe?g)$',
      '/日本': '/日本',
    })
    expect(v.splitLocationPath('~* \\.png$')).toEqual({ modifier: '~*', pattern: '\\.png$' })
    expect(v.splitLocationPath('/=')).toEqual({ modifier: '', pattern: '/=' })
  })

  test('what ends the block or names something else is refused', () => {
    refuses(v.locationPath, [
      '',
      'x',
      '@named',
      '=',
      '= ',
      '^~',
      '~',
      '~*',
      '~  ',
      '= x',
      '!~ x',
      '/a b',
      '/$host',
    ])
    refuses(v.locationPath, [
      '/bla{alias /var/run/secrets/;}location ~* ^/abcd',
      '/"; alias /etc/; #',
      '/a\\',
    ])
    refuses(v.locationPath, [`~ ${'(a+)+'.repeat(20_000)}`])
  })
})

describe('proxy_pass', () => {
  test('is written again from its parts', () => {
    becomes(v.proxyUrl, {
      'HTTP://Backend': 'http://backend',
      'http://a.com:080/X': 'http://a.com:80/X',
      'https://[2001:DB8::1]:8443/': 'https://[2001:db8::1]:8443/',
      'http://my_service:3000': 'http://my_service:3000',
      'http://10.0.0.1': 'http://10.0.0.1',
    })
  })

  test('what means something else to nginx is refused', () => {
    refuses(v.proxyUrl, [
      'http://unix:80/',
      'http://unix:/run/x.sock',
      'http://UNIX:80',
      'unix:/x',
      'ftp://a',
      '//a',
    ])
    refuses(v.proxyUrl, [
      'http://ok/; proxy_pass http://169.254.169.254; #',
      'http://a/#;load_module',
      'http://$host',
    ])
    refuses(v.proxyUrl, [
      'http://a/?x=1',
      'http://u:p@a/',
      'http://a:0/',
      'http://a:65536/',
      'http://a:80;/',
      'http://',
    ])
    refuses(v.proxyUrl, [
      'http://a b/',
      'http://[::1',
      'http://[g::]/',
      'http://a/%00\\',
      'http://a/{}',
      'http:/a',
    ])
  })
})

describe('addresses of servers', () => {
  test('are normalized, so that the same server cannot be there twice', () => {
    becomes(v.serverAddress, {
      'A.com:80': 'a.com:80',
      'a.com:00080': 'a.com:80',
      '[FE80::1]:1': '[fe80::1]:1',
      '10.0.0.1:65535': '10.0.0.1:65535',
      'my_service:1': 'my_service:1',
    })
  })

  test('what is no address is refused', () => {
    refuses(v.serverAddress, [
      'a',
      'a:',
      ':80',
      'a:0',
      'a:65536',
      'a:80;',
      'a:-1',
      'a:1e3',
      '::1:80',
      '[::1]',
      '10.0.0:1',
    ])
    refuses(v.serverAddress, [
      'unix:80',
      'Unix:80',
      'unix:/x',
      '~a:80',
      '$a:80',
      '\u212aa:80',
      'a:８０',
      'a.com:80 weight=2',
    ])
  })
})

describe('folders and files', () => {
  test('a folder is absolute and goes nowhere else', () => {
    becomes(v.absolutePath, { '/': '/', '/srv//www/': '/srv/www', '/a b': '/a b', '/..a/.b': '/..a/.b' })
    refuses(v.absolutePath, ['', 'srv', './x', '/a/../b', '/..', '/.', '/a/.', '~/x', '/a$b', '/a*', '/ä'])
  })

  test('index files are names, not paths', () => {
    becomes(v.indexFiles, { 'index.html index.htm': 'index.html index.htm' })
    refuses(v.indexFiles, ['', '/x', '../x', 'a/b', 'a  b', ' a', '.hidden', '$x'])
  })
})

describe('headers', () => {
  test('a name is a token of RFC 9110 without quotes and variables', () => {
    refuses(v.headerName, ['', 'A B', 'A:', "A'", 'A$', 'Ä', 'A\r\nB', 'A"'])
  })

  test('a value is visible ASCII, quotes and dollars included', () => {
    for (const good of ['', '$http_authorization', `a"b'c\\`, '{};#', 'max-age=1'])
      becomes(v.headerValue, { [good]: good })
    refuses(v.headerValue, ['a\r\nSet-Cookie: x', ' a', 'a ', 'ä', 'a\tb'])
  })
})

describe('text for people', () => {
  test('any script and emoji, on one line', () => {
    for (const good of ['Zürich ❤️', '日本語', 'a'.repeat(LIMITS.name_chars)])
      becomes(v.name, { [good]: good })
    refuses(v.name, ['', ' ', ' a', 'a ', '\u00a0a', 'a'.repeat(LIMITS.name_chars + 1)])
  })

  test('slugs, e-mails, ids and ports', () => {
    refuses(v.slug, ['', 'A', 'a--b', '-a', 'a-', 'a_b', 'ä', 'a'.repeat(64)])
    becomes(v.email, { 'Me@Example.com': 'me@example.com' })
    refuses(v.email, ['a', 'a@b', '@b.com', 'a b@c.com', 'a@b.com\n', `${'a'.repeat(250)}@b.com`])
    refuses(v.id, ['', '1', '../x', "' OR 1=1", '{0192f0c1-2d3e-7abc-8def-0123456789ab}'])
    refuses(v.port, [0, -1, 65_536, 80.5, '80', '80;', Number.POSITIVE_INFINITY, Number.NaN, 2 ** 53, true])
  })
})

test('nothing random gets through that could leave its place', () => {
  const signs = fc.constantFrom(...';{}"\'\\$#~=@^*:/._-[]%, ab1A', 'é', '；', '\u2028', '\r', '\0')
  const random = fc.string({ unit: signs, maxLength: 24 })
  fc.assert(
    fc.property(random, value => {
      for (const name of ['server_name', 'proxy_pass', 'address', 'root', 'index', 'slug'] as const) {
        const parsed = FIELDS[name]?.[0].safeParse(value)
        if (parsed?.success) expect(String(parsed.data)).toMatch(/^[A-Za-z0-9 ,.*:/_@+=~%!&()[\]-]*$/)
      }
      const path = v.locationPath.safeParse(value)
      if (path.success && !path.data.startsWith('~'))
        expect(path.data).toMatch(/^(=|\^~)? ?\/[^\s;{}"'\\$#]*$/)
    }),
    { numRuns: 20_000 },
  )
})
