/** The real nginx for tests: checks texts in a folder of their own. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
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
