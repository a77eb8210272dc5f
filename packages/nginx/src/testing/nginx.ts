/** The real nginx for tests: checks texts in a folder of their own. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseNginxV } from '../output.ts'

const NGINX = process.env.NXMESH_TEST_NGINX ?? '/usr/sbin/nginx'
const DEADLINE_MS = 20_000

export interface NginxAnswer {
  readonly ok: boolean
  readonly output: string
}

export const testFolder = (): string => mkdtempSync(join(tmpdir(), 'nxmesh-nginx-'))
export const removeFolder = (folder: string): void => rmSync(folder, { recursive: true, force: true })

function run(args: readonly string[]): Promise<NginxAnswer> {
  return new Promise(resolve => {
    execFile(NGINX, args, { timeout: DEADLINE_MS }, (error, stdout, stderr) => {
      resolve({ ok: error === null, output: `${stdout}${stderr}` })
    })
  })
}

/** What is installed; null without nginx. */
export const installedNginx = async () => parseNginxV((await run(['-V'])).output)

/** Writes a file below the folder, with the folders that it needs. */
export async function put(folder: string, path: string, text: string): Promise<void> {
  const file = join(folder, path)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, text)
}

/** `nginx -t` for a configuration; `name` keeps checks that run side by side apart. */
export async function checkText(folder: string, text: string, name = 'nginx.conf'): Promise<NginxAnswer> {
  await put(folder, name, text)
  return run(['-t', '-e', 'stderr', '-p', folder, '-c', join(folder, name)])
}

/** Surroundings for http-level text that leave nothing outside the folder. */
export function httpConfig(folder: string, http: string): string {
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    name => `${name}_temp_path ${folder}/${name}_temp;`,
  )
  return `pid ${folder}/nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n${temp.join('\n')}\n${http}\n}\n`
}

/** A port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

/**
 * Runs nginx with a configuration until `stop`, once it answers on the port.
 * @throws with nginx's output when it does not start in time
 */
export async function startNginx(
  folder: string,
  text: string,
  port: number,
): Promise<{ stop: () => Promise<void> }> {
  // Workers of a root nginx run as another user, who may not look into the test's folder.
  const user = process.getuid?.() === 0 ? 'user root;\n' : ''
  await put(folder, 'running.conf', `daemon off;\n${user}${text}`)
  const child = spawn(NGINX, ['-e', 'stderr', '-p', folder, '-c', join(folder, 'running.conf')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let output = ''
  child.stderr.on('data', chunk => {
    output += chunk
  })
  const ended = once(child, 'exit')
  const deadline_ms = Date.now() + DEADLINE_MS
  while (!(await answers(port))) {
    if (child.exitCode !== null || Date.now() > deadline_ms) {
      child.kill('SIGKILL')
      throw new Error(`nginx did not start: ${output}`)
    }
  }
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    await ended
  }
  return { stop }
}

function answers(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => setTimeout(resolve, 20, false))
  })
}
