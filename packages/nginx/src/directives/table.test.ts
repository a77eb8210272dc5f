import { afterAll, expect, test } from 'bun:test'
import { checkText, installedNginx, removeFolder, testFolder } from '../testing/nginx.ts'
import { isAvailable, type LintOptions } from './lint.ts'
import type { Context } from './row.ts'
import { DIRECTIVES, directiveIn } from './table.ts'

const folder = testFolder()
afterAll(() => removeFolder(folder))

const SURROUNDINGS: Partial<Record<Context, readonly [string, string]>> = {
  main: ['', ''],
  events: ['events {', '}'],
  http: ['http {', '}'],
  server: ['http { server {', '} }'],
  location: ['http { server { location / {', '} } }'],
  server_if: ['http { server { if ($host) {', '} } }'],
  location_if: ['http { server { location / { if ($host) {', '} } } }'],
  limit_except: ['http { server { location / { limit_except GET {', '} } } }'],
  upstream: ['http { upstream u {', '} }'],
}

interface Probe {
  readonly name: string
  readonly context: Context
  readonly text: string
  readonly expected: string
}

/** A statement whose argument count is wrong, or null where every count is right. */
function wrongCount(
  name: string,
  context: Context,
  options: LintOptions,
): { text: string; expected: string } | null {
  const spec = directiveIn(name, context)
  if (!spec || !isAvailable(spec, options)) return { text: `${name} x;`, expected: 'is not allowed here' }
  const count =
    spec.arguments_max === Number.POSITIVE_INFINITY ? spec.arguments_min - 1 : spec.arguments_max + 1
  if (count < 0) return null
  const expected = 'invalid number of arguments'
  return { text: `${name}${' x'.repeat(count)}${spec.block ? ' {}' : ';'}`, expected }
}

async function ask({ text, context }: Probe, id: number): Promise<string> {
  const [before, after] = SURROUNDINGS[context] ?? ['', '']
  return (await checkText(folder, `${before} ${text} ${after}`, `probe-${id}.conf`)).output
}

/** One complaint a run is all that nginx gives, so each probe is a run; a sample is enough once the table is right. */
const PROBES_EVERY = process.env.NXMESH_TEST_THOROUGH ? 1 : 8

test('the directive table agrees with the installed nginx about names, contexts and argument counts', async () => {
  const build = await installedNginx()
  if (!build) throw new Error('nginx is not installed')
  const loaded = build.modules.filter(module => !build.dynamic_modules.includes(module))
  const modules = loaded.includes('stream') ? loaded : loaded.filter(module => !module.startsWith('stream'))
  const options = { nginx_version: build.version, modules }
  const names = DIRECTIVES.filter(spec => isAvailable(spec, options)).map(({ name }) => name)
  const probes = [...new Set(names)].flatMap(name =>
    (Object.keys(SURROUNDINGS) as Context[]).flatMap(context => {
      const probe = wrongCount(name, context, options)
      return probe ? [{ name, context, ...probe }] : []
    }),
  )
  const sample = probes.filter((_, index) => index % PROBES_EVERY === 0)
  expect(sample.length).toBeGreaterThan(300)
  const wrong: string[] = []
  const next = sample.entries()
  const worker = async (): Promise<void> => {
    for (const [id, probe] of next) {
      const output = await ask(probe, id)
      if (!output.includes(probe.expected))
        wrong.push(`${probe.context}: ${probe.text} → ${output.split('\n')[0]}`)
    }
  }
  await Promise.all([worker(), worker(), worker(), worker()])
  expect(wrong).toEqual([])
}, 120_000)

test('directives that newer versions bring are unknown to the installed nginx, as the table says', async () => {
  const build = await installedNginx()
  if (!build) throw new Error('nginx is not installed')
  const missing = DIRECTIVES.filter(
    ({ since, contexts, name }) =>
      since !== null &&
      contexts.some(context => SURROUNDINGS[context]) &&
      DIRECTIVES.filter(spec => spec.name === name).every(
        spec => !isAvailable(spec, { nginx_version: build.version }),
      ),
  )
  const answers = await Promise.all(
    missing.map(({ name, contexts: [context = 'main'] }, id) =>
      ask({ name, context, text: `${name} x;`, expected: '' }, 100_000 + id),
    ),
  )
  expect(answers.filter(answer => !answer.includes('unknown directive'))).toEqual([])
  expect(answers.length).toBeGreaterThan(5)
})
