import { expect, test } from 'bun:test'
import { join } from 'node:path'
import manifest from '../package.json' with { type: 'json' }

const ENTRY = join(import.meta.dir, '../../../bin/nxmesh.ts')

/** Runs the command line to its end. */
async function nxmesh(...args: string[]) {
  const child = Bun.spawn([process.execPath, ENTRY, ...args], { stdout: 'pipe', stderr: 'pipe' })
  const [status, stdout, stderr] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ])
  return { status, stdout, stderr }
}

test('whoever asks for help or the version gets it, and no error', async () => {
  for (const args of [['--help'], ['help'], ['master', '--help']]) {
    const { status, stdout, stderr } = await nxmesh(...args)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toContain('nxmesh master audit verify')
  }
  for (const word of ['version', '--version'])
    expect(await nxmesh(word)).toEqual({ status: 0, stdout: `${manifest.version}\n`, stderr: '' })
})

test('a command or flag that does not exist is named, with the way to those that do', async () => {
  const bare = await nxmesh()
  expect(bare).toMatchObject({ status: 2, stdout: '' })
  expect(bare.stderr).toStartWith('Usage:')
  const wrong = await nxmesh('master', 'rotate-keys')
  expect(wrong).toMatchObject({ status: 2, stdout: '' })
  expect(wrong.stderr).toStartWith('There is no command nxmesh master rotate-keys.\n\nUsage:')
  expect((await nxmesh('agent')).stderr).toStartWith('There is no command nxmesh agent.\n')
  expect((await nxmesh('master', 'run', '--data-dri', 'x')).stderr).toBe(
    "nxmesh master: Unknown option '--data-dri'. nxmesh master --help lists commands and settings.\n",
  )
})

test('a data folder that cannot be made ends the start with one line and no stack', async () => {
  const { status, stderr } = await nxmesh('master', 'run', '--data-dir', '/dev/null/data')
  expect({ status, lines: stderr.trim().split('\n').length }).toEqual({ status: 1, lines: 1 })
  expect(stderr).toStartWith('nxmesh master: The data folder /dev/null/data cannot be used (ENOTDIR).')
})
