import { dirname, join } from 'node:path'
import { currentInclude, swapInclude } from '@nxmesh/nginx/adopt'
import { type NginxMessage, parseNginxErrors } from '@nxmesh/nginx/output'
import { runCommand } from '../host/commands.ts'
import { removeFile, writeExclusive } from '../host/files.ts'
import { confArgs, type Installation, readConf } from './installation.ts'

/** Beside nginx.conf, because relative includes count from the folder of the file that `-c` names. */
const TEST_FILE = '.nginx.conf.nxmesh-test'

export type TestResult =
  | { readonly result: 'passed' }
  | { readonly result: 'refused'; readonly error: NginxMessage }
  /** It says nothing about the configuration: a timeout, a cancellation, an executable that does not run. */
  | { readonly result: 'unable'; readonly message: string }

/** `nginx -t` of nginx.conf as it would be with this deployment folder in place of the current one. */
export async function testFolder(
  installation: Installation,
  folder: string,
  timeout_ms: number,
  cancel?: AbortSignal,
): Promise<TestResult> {
  const text = swapInclude(
    readConf(installation),
    currentInclude(installation.conf_d_path),
    `${folder}/*.conf`,
  )
  return await testText(installation, text, timeout_ms, cancel)
}

/** `nginx -t` of a text in nginx.conf's place. */
export async function testText(
  installation: Installation,
  text: string,
  timeout_ms: number,
  cancel?: AbortSignal,
): Promise<TestResult> {
  const path = join(dirname(installation.conf_path), TEST_FILE)
  removeFile(path)
  writeExclusive(path, text, 0o600, false)
  try {
    const result = await testFile(installation, path, timeout_ms, cancel)
    return result.result === 'refused'
      ? { ...result, error: named(result.error, path, installation) }
      : result
  } finally {
    removeFile(path)
  }
}

/** An error in the copy is an error at the same line of nginx.conf. */
function named(error: NginxMessage, test_path: string, { conf_path }: Installation): NginxMessage {
  return error.file === test_path ? { ...error, file: conf_path } : error
}

export async function testFile(
  installation: Installation,
  path: string,
  timeout_ms: number,
  cancel?: AbortSignal,
): Promise<TestResult> {
  const args = ['-t', ...confArgs(installation, path)]
  try {
    const result = await runCommand(installation.binary, args, timeout_ms, cancel)
    if (cancel?.aborted) return { result: 'unable', message: 'nginx -t was cancelled' }
    if (result.timed_out) return { result: 'unable', message: `nginx -t did not end within ${timeout_ms} ms` }
    if (result.exit_code === 0) return { result: 'passed' }
    return { result: 'refused', error: worst(result.output) }
  } catch {
    return { result: 'unable', message: `${installation.binary} cannot be run` }
  }
}

function worst(output: string): NginxMessage {
  const messages = parseNginxErrors(output)
  const found =
    messages.find(({ level }) => level === 'emerg') ??
    messages.find(({ level }) => level !== 'warn' && level !== 'notice')
  return (
    found ?? {
      level: 'emerg',
      message: output.trim().slice(0, 1_000) || 'nginx -t failed',
      file: null,
      line: null,
    }
  )
}
