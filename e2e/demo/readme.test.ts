import { afterAll, beforeAll, expect, test } from 'bun:test'
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Demo, demoFolder, freePortBase, removeDemoFolder, startDemo } from './demo.ts'

const START_MS = 90_000
const dir = demoFolder()
const reader = mkdtempSync(join(tmpdir(), 'nxmesh-reader-'))
let demo: Demo

beforeAll(async () => {
  demo = startDemo(dir, await freePortBase())
  await demo.ready()
  symlinkSync(dir, join(reader, '.nxmesh'))
}, START_MS)
afterAll(async () => {
  demo.process.kill('SIGTERM')
  await demo.ended()
  removeDemoFolder(dir)
  rmSync(reader, { recursive: true, force: true })
})

const readme = readFileSync(join(import.meta.dir, '../../README.md'), 'utf8')
const firstMinutes = readme.slice(readme.indexOf('## The first'), readme.indexOf('## A master'))
const blocks = [...firstMinutes.matchAll(/^```(sh)?\n([\s\S]*?)^```$/gm)].map(([, sh, text = '']) => ({
  sh: sh === 'sh',
  text,
}))

/** What the reader types after `npm start`, with this demo's ports in place of the usual ones. */
function script(backend_port: number): string {
  const typed = blocks.filter(({ sh, text }) => sh && !text.startsWith('npm start'))
  expect(typed.length).toBe(5)
  return typed
    .map(({ text }) => text)
    .join('')
    .replaceAll('8088', String(demo.base + 88))
    .replaceAll('9001', String(backend_port))
}

function freePort(): Promise<number> {
  return new Promise(resolve => {
    const probe = createServer()
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

test(
  'the commands of the README do what it says',
  async () => {
    // Job control, as in the reader's terminal, for `kill %1`.
    const child = spawn('bash', ['-c', `set -m\n${script(await freePort())}`], {
      cwd: reader,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', chunk => (output += chunk))
    await new Promise(resolve => child.once('close', resolve))
    const [, ...shown] = blocks.filter(({ sh }) => !sh).map(({ text }) => text)
    expect(output).toBe(shown.join(''))
  },
  START_MS,
)
