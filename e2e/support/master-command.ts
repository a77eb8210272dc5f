import { type Client, makeClient } from '@nxmesh/contract/client'
import { type Running, runProgram } from './processes.ts'
import { until } from './until.ts'

type Env = Readonly<Record<string, string>>

/** A master as a process of its own, on free ports. */
export interface LoneMaster {
  readonly plain_url: string
  readonly setup_token: string | null
  readonly running: Running
}

/** Rejects with what it wrote when it ends instead of serving. */
export async function startLoneMaster(args: readonly string[], env: Env = {}): Promise<LoneMaster> {
  const listen = ['--listen', '127.0.0.1:0', '--listen-plain', '127.0.0.1:0']
  const running = runProgram('nxmesh', ['master', 'run', ...listen, ...args], env)
  const text = await until(
    'the greeting of the master',
    () => running.hasExited() || (/CA fingerprint/.test(running.output()) && running.output()),
    { deadline_ms: 60_000 },
  )
  if (text === true) throw new Error(running.output())
  const found = (label: string) => new RegExp(`^ +${label} +(\\S+)$`, 'm').exec(text)?.[1] ?? null
  return { running, plain_url: found('plain URL') ?? '', setup_token: found('setup token') }
}

/** Makes the first administrator; answers with the person's client, and with the key of a program that may keep the instance. */
export async function setUpLoneMaster(master: LoneMaster): Promise<{ client: Client; key: string }> {
  const base_url = master.plain_url
  const session = await makeClient({ base_url }).call('setup', {
    body: {
      setup_token: master.setup_token ?? '',
      email: 'owner@example.com',
      password: 'a long password for tests',
    },
  })
  const client = makeClient({ base_url, token: session.data.token })
  const body = { name: 'tests', role: 'instance_admin', organization_id: null } as const
  const { key } = (await client.call('api_keys_create', { body })).data
  return { key, client }
}

/** Runs `nxmesh master …` to its end. */
export async function masterCommand(args: readonly string[], env: Env = {}) {
  const running = runProgram('nxmesh', ['master', ...args], env)
  const status = await running.exited
  return { status, output: running.output() }
}

/** Runs `nxmesh master …` to where the step stops it, and kills it there. */
export async function killMasterCommandAt(step: string, args: readonly string[]): Promise<void> {
  const running = runProgram('nxmesh', ['master', ...args], { NXMESH_FAULTS: '1', NXMESH_TEST_STOP_AT: step })
  const isStopped = async () => {
    if (running.hasExited()) throw new Error(running.output())
    return / T /.test(await Bun.file(`/proc/${running.pid}/stat`).text())
  }
  await until(`the command to stop at ${step}`, isStopped, { deadline_ms: 30_000 }).finally(() =>
    running.kill(),
  )
}
