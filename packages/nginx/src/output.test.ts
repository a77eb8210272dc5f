import { expect, test } from 'bun:test'
import { parseNginxErrors, parseNginxV } from './output.ts'
import { checkText, installedNginx, removeFolder, testFolder } from './testing/nginx.ts'

test('every form of complaint is read', () => {
  const output = `nginx: [warn] conflicting server name "a.com" on 0.0.0.0:80, ignored
nginx: [warn] the "user" directive makes sense only if the master process runs with super-user privileges, ignored in /etc/nginx/nginx.conf:1
2026/11/23 19:49:02 [emerg] 10589#10589: host not found in upstream "no.invalid:80" in /d/upstreams/back.conf:4
nginx: [emerg] unknown directive "a in b" in /d/sites/a b.conf:12
nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)
nginx: configuration file /etc/nginx/nginx.conf test failed
`
  expect(parseNginxErrors(output)).toEqual([
    {
      level: 'warn',
      message: 'conflicting server name "a.com" on 0.0.0.0:80, ignored',
      file: null,
      line: null,
    },
    {
      level: 'warn',
      message:
        'the "user" directive makes sense only if the master process runs with super-user privileges, ignored',
      file: '/etc/nginx/nginx.conf',
      line: 1,
    },
    {
      level: 'emerg',
      message: 'host not found in upstream "no.invalid:80"',
      file: '/d/upstreams/back.conf',
      line: 4,
    },
    { level: 'emerg', message: 'unknown directive "a in b"', file: '/d/sites/a b.conf', line: 12 },
    {
      level: 'emerg',
      message: 'bind() to 0.0.0.0:80 failed (98: Address already in use)',
      file: null,
      line: null,
    },
  ])
  expect(parseNginxErrors('nginx: the configuration file /x syntax is ok\n')).toEqual([])
})

test('a message over several lines is put together', () => {
  const [message] = parseNginxErrors(
    'nginx: [emerg] directive "a\nb" has no opening "{" in /x.conf:3\nnginx: test failed',
  )
  expect(message).toEqual({
    level: 'emerg',
    message: 'directive "a b" has no opening "{"',
    file: '/x.conf',
    line: 3,
  })
})

test('what the real nginx says is read', async () => {
  const folder = testFolder()
  const { output } = await checkText(folder, 'events {}\nhttp {\n  bogus on;\n}\n')
  removeFolder(folder)
  expect(parseNginxErrors(output).find(({ level }) => level === 'emerg')).toEqual({
    level: 'emerg',
    message: 'unknown directive "bogus"',
    file: `${folder}/nginx.conf`,
    line: 3,
  })
})

test('the installed nginx tells its version, paths and modules', async () => {
  const build = await installedNginx()
  expect(build?.version).toMatch(/^\d+\.\d+\.\d+$/)
  expect(build?.modules).toContain('http_ssl_module')
  expect(build?.modules).toContain('http_proxy_module')
  expect(build?.conf_path).toStartWith('/')
})

test('nginx -V of a build with odd arguments', () => {
  const build = parseNginxV(`nginx version: nginx/1.27.4
configure arguments: --prefix=/opt/ng --with-cc-opt='-O2 --with-fake_module' --without-http_geo_module --with-http_v3_module --with-stream=dynamic --user=web
`)
  expect(build).toMatchObject({
    version: '1.27.4',
    prefix: '/opt/ng',
    conf_path: '/opt/ng/conf/nginx.conf',
    error_log_path: '/opt/ng/logs/error.log',
    user: 'web',
    dynamic_modules: ['stream'],
  })
  expect(build?.modules).toContain('http_v3_module')
  expect(build?.modules).not.toContain('http_geo_module')
  expect(parseNginxV('bash: nginx: command not found')).toBeNull()
})
