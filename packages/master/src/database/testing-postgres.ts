import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { Client } from 'pg'

/**
 * A private PostgreSQL cluster for tests: a temporary folder, a unix socket, no TCP port, durability off. It ends with the
 * process that asked for it, however that ends: the shell around it waits for the end of its standard input.
 */
export interface TestCluster {
  /** The connection URL of one of its databases. */
  url(database: string): string
  /** Runs one statement outside a transaction, as the superuser, in the maintenance database. */
  admin(statement: string): Promise<void>
}

const START_DEADLINE_MS = 60_000
const SCRIPT = `
set -eu
trap '' INT TERM HUP
end() { set +e; [ -z "\${pid:-}" ] || { kill -INT "$pid"; wait "$pid"; } 2>/dev/null; rm -rf "$DIR"; }
trap end EXIT
$AS "$BIN/initdb" -D "$DIR/data" -U nxmesh -A trust -E UTF8 --locale=C --no-sync >"$DIR/log" 2>&1
cd "$DIR"
# exec: the signal must reach the postmaster itself
( trap - INT TERM HUP; exec $AS "$BIN/postgres" -D "$DIR/data" -k "$DIR" -c listen_addresses='' -c fsync=off -c synchronous_commit=off \\
  -c full_page_writes=off -c max_connections=200 -c shared_buffers=32MB ) >>"$DIR/log" 2>&1 </dev/null &
pid=$!
echo started
read -r _ || true
`

/** One cluster for all test files of a run; test files have modules of their own, so it is kept on the global object. */
export function sharedCluster(): Promise<TestCluster> {
  const kept = globalThis as { nxmesh_test_cluster?: Promise<TestCluster> }
  kept.nxmesh_test_cluster ??= startCluster()
  return kept.nxmesh_test_cluster
}

const PREFIX = 'nxmesh-pg-'

async function startCluster(): Promise<TestCluster> {
  sweep()
  const dir = mkdtempSync(join(tmpdir(), PREFIX))
  writeFileSync(join(dir, 'owner'), String(process.pid))
  const shell = spawn('sh', ['-c', SCRIPT], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
    env: { ...process.env, DIR: dir, BIN: serverPrograms(), AS: otherUser(dir) },
  })
  // It must not keep the test run from ending.
  shell.unref()
  const cluster: TestCluster = {
    url: database => `postgresql://nxmesh@localhost/${database}?host=${encodeURIComponent(dir)}`,
    admin: statement => run(cluster.url('postgres'), statement),
  }
  await answering(cluster, shell, dir)
  return cluster
}

/** Removes what runs left behind of which everything was killed at once, the shell as well. */
function sweep(): void {
  for (const name of readdirSync(tmpdir())) {
    const dir = join(tmpdir(), name)
    if (!name.startsWith(PREFIX) || alive(join(dir, 'owner'))) continue
    if (!alive(join(dir, 'data', 'postmaster.pid'))) rmSync(dir, { recursive: true, force: true })
  }
}

/** Whether the process runs whose id is the first line of a file. A folder without the file is being made or removed. */
function alive(pid_file: string): boolean {
  try {
    process.kill(Number.parseInt(readFileSync(pid_file, 'utf8'), 10), 0)
    return true
  } catch (error) {
    return (
      (error as { code?: string }).code === 'EPERM' || (!existsSync(pid_file) && pid_file.endsWith('owner'))
    )
  }
}

function serverPrograms(): string {
  const debian = '/usr/lib/postgresql'
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : []
  const folders = [
    ...versions.map(one => join(debian, one, 'bin')),
    ...(process.env.PATH ?? '').split(delimiter),
  ]
  const found = folders.find(one => existsSync(join(one, 'initdb')) && existsSync(join(one, 'postgres')))
  if (!found) throw new Error('PostgreSQL is needed by the tests of stores: apt-get install postgresql')
  return found
}

/** PostgreSQL refuses to run as root: then it runs as nobody, who is given the folder. */
function otherUser(dir: string): string {
  if (process.getuid?.() !== 0) return ''
  const given = Bun.spawnSync(['chown', 'nobody', dir])
  if (!given.success) throw new Error(`chown failed: ${given.stderr}`)
  return 'setpriv --reuid=nobody --regid=nogroup --clear-groups'
}

async function answering(cluster: TestCluster, shell: ChildProcess, dir: string): Promise<void> {
  const deadline = Date.now() + START_DEADLINE_MS
  for (;;) {
    if (shell.exitCode !== null) throw new Error(`PostgreSQL did not start; see ${dir}/log`)
    const up = await cluster.admin('select 1').then(
      () => true,
      () => false,
    )
    if (up) return
    if (Date.now() > deadline) throw new Error(`PostgreSQL did not answer within ${START_DEADLINE_MS} ms`)
    await Bun.sleep(20)
  }
}

async function run(url: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
