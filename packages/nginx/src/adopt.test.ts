import { expect, test } from 'bun:test'
import { ADOPTION_BANNER, adopt, currentInclude, swapInclude } from './adopt.ts'
import { carriedFacts, normalizeListen } from './carried.ts'
import { parseConfig } from './parser.ts'
import { checkText, put, removeFolder, testFolder } from './testing/nginx.ts'

const OPTIONS = { error_log_path: '/var/log/nginx/error.log', conf_d_path: '/etc/nginx/conf.d' }
const INCLUDE = 'include /etc/nginx/conf.d/current/*.conf;'

const DEBIAN = `user www-data;
error_log /var/log/nginx/error.log; # keep me
include /etc/nginx/modules-enabled/*.conf;

events {
\tworker_connections 768;
}

http {
\tserver_names_hash_bucket_size 128;
\t# a comment
\tgzip on;
\terror_log /var/log/nginx/http.log;
\tinclude /etc/nginx/sites-enabled/*;
}

# the end
`

test('adopting keeps every line, sets the error log and includes the current deployment last', () => {
  const { text, floors, includes } = adopt(DEBIAN, OPTIONS)
  expect(text).toBe(
    `${ADOPTION_BANNER}\n${DEBIAN.replace('error.log; #', 'error.log notice; #')
      .replace('\tserver_names_hash_bucket_size 128;\n', '')
      .replace('sites-enabled/*;\n', `sites-enabled/*;\n\t${INCLUDE}\n`)}`,
  )
  expect(floors).toEqual({ server_names_hash_bucket_size: 128, server_names_hash_max_size: null })
  expect(includes).toEqual([
    { pattern: '/etc/nginx/modules-enabled/*.conf', context: 'main' },
    { pattern: '/etc/nginx/sites-enabled/*', context: 'http' },
  ])
})

test('adopting twice changes nothing', () => {
  const inputs = [
    DEBIAN,
    '',
    'events {}',
    'http { include x; }',
    'events {}\nhttp {}',
    'http {\n}\nhttp {\n  gzip on;\n}\n',
    `http {\n ${INCLUDE}\n server { listen 80; }\n}\n`,
    DEBIAN.replaceAll('\n', '\r\n'),
    'error_log a; error_log b warn; http { # x\n }',
    'http{server_names_hash_max_size 1;server_names_hash_max_size 2;}',
  ]
  for (const input of inputs) {
    const first = adopt(input, OPTIONS)
    expect(adopt(first.text, OPTIONS)).toMatchObject({ changed: false, text: first.text })
    const http = parseConfig(first.text)
      .directives.filter(({ name }) => name === 'http')
      .at(-1)
    expect(http?.block?.directives.at(-1)?.args[0]?.value).toBe(currentInclude(OPTIONS.conf_d_path))
    expect(first.text).not.toContain('server_names_hash')
  }
})

test('a file that has everything already stays as it is, byte for byte', () => {
  const text = `${ADOPTION_BANNER}\nerror_log ${OPTIONS.error_log_path} notice;\nevents {}\nhttp {\n  ${INCLUDE} # last\n}\n`
  expect(adopt(text, OPTIONS)).toMatchObject({ changed: false, text })
})

test('an include that is there already, even a relative one, does not double the sites', () => {
  for (const pattern of ['/etc/nginx/conf.d/current/*.conf', 'conf.d/current/*.conf']) {
    const { text } = adopt(`http {\n  include ${pattern};\n  gzip on;\n}\n`, OPTIONS)
    expect(text.match(/current/g)).toHaveLength(1)
    expect(text).toContain(`gzip on;\n  ${INCLUDE}\n}`)
  }
})

test('further error logs and main settings', () => {
  const { text } = adopt('error_log syslog:server=10.0.0.1 warn;\nhttp {}', {
    ...OPTIONS,
    main: { worker_processes: ['4'] },
  })
  expect(text).toContain('worker_processes 4;')
  const two = adopt(
    `error_log syslog:server=10.0.0.1 warn;\nerror_log ${OPTIONS.error_log_path} notice;\n`,
    OPTIONS,
  )
  expect(two.text).toContain('syslog:server=10.0.0.1')
})

test('an adopted nginx.conf passes the real nginx with no deployment and with one', async () => {
  const folder = testFolder()
  const options = { error_log_path: `${folder}/error.log`, conf_d_path: `${folder}/conf.d` }
  const source = 'events {}\nhttp {\n  access_log off;\n}\n'
  const { text } = adopt(source, { ...options, main: { pid: [`${folder}/nginx.pid`] } })
  expect((await checkText(folder, text)).output).toContain('test is successful')
  await put(folder, 'conf.d/20260101000000/nxmesh.conf', 'server { listen 8080; bogus; }')
  const test_text = swapInclude(
    text,
    currentInclude(options.conf_d_path),
    `${folder}/conf.d/20260101000000/*.conf`,
  )
  expect((await checkText(folder, test_text, 'test.conf')).output).toContain('unknown directive "bogus"')
  removeFolder(folder)
})

test('the test file differs in the one include only', () => {
  const { text } = adopt(DEBIAN, OPTIONS)
  const swapped = swapInclude(text, currentInclude(OPTIONS.conf_d_path), '/etc/nginx/conf.d/2026/nxmesh.conf')
  expect(swapped).toBe(text.replace('/etc/nginx/conf.d/current/*.conf', '/etc/nginx/conf.d/2026/nxmesh.conf'))
  expect(() => swapInclude(DEBIAN, '/not/there', '/x')).toThrow('0 times')
})

test('what was carried over is read from all its files', () => {
  const facts = carriedFacts([
    { context: 'main', text: 'http { gzip on; server { listen 8081; server_name x; } }' },
    {
      context: 'http',
      text: 'server { listen 80 default_server; listen [::]:80 default_server; server_name _; }',
    },
    { context: 'http', text: 'upstream old { server 127.0.0.1; } server { server_name a.com *.b.com; }' },
    { context: 'other', text: 'proxy_set_header Host $host;' },
  ])
  expect(facts.default_servers).toEqual(['*:80', '*:8081', '[::]:80'])
  expect(facts.explicit_default_servers).toEqual(['*:80', '[::]:80'])
  expect(facts.upstream_names).toEqual(['old'])
  expect(facts.server_names).toEqual(['*.b.com', '_', 'a.com', 'x'])
  expect(facts.http_directives).toContain('gzip')
})

test('all forms of a listen address', () => {
  const forms = [
    '80',
    '*:80',
    '0.0.0.0:80',
    '127.0.0.1',
    '[::]:80',
    '[::1]',
    'localhost:8080',
    'unix:/run/a.sock',
  ]
  expect(forms.map(normalizeListen)).toEqual([
    '*:80',
    '*:80',
    '*:80',
    '127.0.0.1:80',
    '[::]:80',
    '[::1]:80',
    'localhost:8080',
    'unix:/run/a.sock',
  ])
})

test('an unwritable path is refused', () => {
  expect(() => adopt('', { ...OPTIONS, error_log_path: '/a; user root' })).toThrow('cannot be written')
  expect(() => adopt('', { ...OPTIONS, conf_d_path: 'relative' })).toThrow('cannot be written')
})
