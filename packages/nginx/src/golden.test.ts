/** Runs every folder of `packages/nginx/golden`; how a case looks is described in its README. */
import { afterAll, expect, test } from 'bun:test'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { checkAllowed, defaultPolicy } from './check/allowed.ts'
import { lint } from './directives/lint.ts'
import { RenderError } from './errors.ts'
import type { BundleObject, RenderedFile, RenderFacts } from './objects.ts'
import { parseConfig } from './parser.ts'
import { renderBundle } from './render/bundle.ts'
import { renderEntry } from './render/entry.ts'
import { ENTRY_PATH } from './render/layout.ts'
import { checkText, httpConfig, installedNginx, put, removeFolder, testFolder } from './testing/nginx.ts'

interface Input {
  readonly description: string
  readonly facts?: Partial<RenderFacts>
  readonly objects: readonly BundleObject[]
}

const GOLDEN = join(import.meta.dir, '../golden')
const UPDATE = process.env.UPDATE_GOLDEN === '1'
const DEFAULT_FACTS: RenderFacts = {
  nginx_version: '1.22.1',
  modules: ['http_geo_module', 'http_gzip_module', 'http_proxy_module', 'http_ssl_module'],
  listen_address: null,
  carried: { default_servers: [], http_directives: [] },
}

const installed = await installedNginx()
const folder = testFolder()
afterAll(() => removeFolder(folder))

const cases = readdirSync(GOLDEN, { withFileTypes: true }).filter(entry => entry.isDirectory())

test('there are golden cases', () => {
  expect(cases.length).toBeGreaterThanOrEqual(25)
})

for (const { name } of cases) {
  const input = JSON.parse(readFileSync(join(GOLDEN, name, 'input.json'), 'utf8')) as Input
  test(`${name}: ${input.description}`, async () => {
    const outcome = render(input)
    if (UPDATE) record(name, outcome)
    expect(outcome).toEqual(recorded(name))
    if (outcome.error) return
    passesOwnJudgement(input, outcome.files)
    await passesNginx(name, input, outcome.files)
  })
}

interface Outcome {
  readonly files: Readonly<Record<string, string>>
  readonly error: {
    readonly resource: unknown
    readonly field: string | null
    readonly message: string
  } | null
}

function render({ facts, objects }: Input): Outcome {
  try {
    const files = renderBundle(objects, { ...DEFAULT_FACTS, ...facts })
    return {
      files: Object.fromEntries(files.map(({ path, text }: RenderedFile) => [path, text])),
      error: null,
    }
  } catch (error) {
    if (!(error instanceof RenderError)) throw error
    return { files: {}, error: { resource: error.resource, field: error.field, message: error.message } }
  }
}

function record(name: string, { files, error }: Outcome): void {
  const expected = join(GOLDEN, name, 'expected')
  const errorFile = join(GOLDEN, name, 'error.json')
  rmSync(expected, { recursive: true, force: true })
  rmSync(errorFile, { force: true })
  if (error) writeFileSync(errorFile, `${JSON.stringify(error, null, 2)}\n`)
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(expected, path)), { recursive: true })
    writeFileSync(join(expected, path), text)
  }
}

function recorded(name: string): Outcome {
  const errorFile = join(GOLDEN, name, 'error.json')
  if (existsSync(errorFile)) return { files: {}, error: JSON.parse(readFileSync(errorFile, 'utf8')) }
  const expected = join(GOLDEN, name, 'expected')
  const entries = readdirSync(expected, { withFileTypes: true, recursive: true }).filter(entry =>
    entry.isFile(),
  )
  const files = entries.map(entry => {
    const file = join(entry.parentPath, entry.name)
    return [relative(expected, file), readFileSync(file, 'utf8')]
  })
  return { files: Object.fromEntries(files), error: null }
}

/** What we render must be right by our own directive table, and allowed on a host that nobody configured further. */
function passesOwnJudgement({ facts }: Input, files: Outcome['files']): void {
  const { nginx_version } = { ...DEFAULT_FACTS, ...facts }
  const policy = defaultPolicy('/etc/nginx/conf.d/20260101000000')
  for (const text of Object.values(files)) {
    const { directives } = parseConfig(text)
    expect(lint(directives, { context: 'http', nginx_version })).toEqual([])
    expect(checkAllowed(directives, policy)).toEqual([])
  }
}

async function passesNginx(name: string, { facts }: Input, files: Outcome['files']): Promise<void> {
  const wanted = facts?.nginx_version
  if (!installed || (wanted !== undefined && wanted !== installed.version)) {
    console.log(`${name}: not tried with nginx ${wanted ?? ''}, installed is ${installed?.version ?? 'none'}`)
    return
  }
  for (const [path, text] of Object.entries(files)) await put(folder, `${name}/${path}`, text)
  await put(folder, `${name}/${ENTRY_PATH}`, renderEntry(join(folder, name)))
  const carried = facts?.carried?.http_directives.includes('server_names_hash_bucket_size')
  const extra = carried ? 'server_names_hash_bucket_size 512;\n' : ''
  const config = httpConfig(folder, `${extra}include ${folder}/${name}/${ENTRY_PATH};`)
  const answer = await checkText(folder, config, `${name}.conf`)
  expect(answer.output).not.toContain('[emerg]')
  expect(answer.output).not.toContain('[warn]')
  expect(answer.ok).toBe(true)
}
