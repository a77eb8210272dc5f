import { dirname, join } from 'node:path'
import { adopt, currentInclude, swapInclude } from '@nxmesh/nginx/adopt'
import type { NginxMessage } from '@nxmesh/nginx/output'
import { renderEntry, renderStatus } from '@nxmesh/nginx/render/entry'
import { renderHttp } from '@nxmesh/nginx/render/http'
import { ENTRY_PATH, STATUS_PATH } from '@nxmesh/nginx/render/layout'
import { makeDeploymentFolder } from '../apply/staging.ts'
import {
  exists,
  isFolder,
  isSymlink,
  makeFolder,
  readLink,
  realPath,
  removeTree,
  replaceKeepingOwner,
  swapLink,
  syncFolder,
  whyUnsafeFolder,
  writeExclusive,
} from '../host/files.ts'
import { sendSignal } from '../host/processes.ts'
import { lastingLoopbackPort } from '../host/sockets.ts'
import { AGENT_LIMITS } from '../limits.ts'
import type { Log } from '../log.ts'
import { pollUntil } from '../poll.ts'
import { type AdoptionRecord, type HashFloors, readAdoption, writeAdoption } from '../state/adoption.ts'
import { openJournal } from '../state/journal.ts'
import type { StatePaths } from '../state/paths.ts'
import { configuredErrorLog, type Installation, NginxError, readConf } from './installation.ts'
import { acceptsNoMore, findMaster, workersOf } from './master-process.ts'
import { proveServing } from './proof.ts'
import { reload } from './reload.ts'
import { type TestResult, testFile, testText } from './test-config.ts'

export interface AdoptionDeps {
  readonly installation: Installation
  readonly paths: StatePaths
  readonly now: () => Date
  readonly newId: () => string
  readonly log: Log
}

/** Deployment id of the folder that adoption makes, before anything was deployed. */
const NOTHING_DEPLOYED = 'none'

/**
 * Takes nginx.conf over: keeps everything that is in it, sets the main error log's level, and adds the include of the current
 * deployment. nginx judges it before and after; where it refuses, the file is as it was. Done once; later calls answer
 * what was decided then.
 * @throws NginxError in words for the operator, with nothing changed
 */
export async function adoptNginx(deps: AdoptionDeps): Promise<AdoptionRecord> {
  const { installation, paths, log } = deps
  const known = readAdoption(paths)
  if (known !== null) restoreCurrent(deps, known)
  if (known !== null && isAdopted(installation, known)) return known
  await mustPass(testFile(installation, installation.conf_path, AGENT_LIMITS.nginx_test_max_ms), 'as it is')
  const plan = await makePlan(deps, known)
  const text = readConf(installation)
  const options = { error_log_path: plan.error_log_path, conf_d_path: plan.conf_d_path }
  const adopted = adopt(text, options)
  const hash_floors = mergeFloors(adopted.floors, known?.hash_floors)
  const folder = prepareFirstFolder(deps, plan, hash_floors)
  try {
    const tested = swapInclude(adopted.text, currentInclude(plan.conf_d_path), `${folder.path}/*.conf`)
    await mustPass(testText(installation, tested, AGENT_LIMITS.nginx_test_max_ms), 'taken over by NxMesh')
  } catch (error) {
    if (folder.is_new) await removeTree(folder.path)
    throw error
  }
  if (folder.is_new) swapLink(join(plan.conf_d_path, 'current'), folder.name)
  const backup_path = adopted.changed ? backUp(deps, text) : (known?.backup_path ?? null)
  if (adopted.changed)
    replaceKeepingOwner(realPath(installation.conf_path) ?? installation.conf_path, adopted.text)
  try {
    await activate(deps, plan, folder.apply_id)
  } catch (error) {
    await putBack(deps, text)
    throw error
  }
  const record: AdoptionRecord = { ...plan, backup_path, hash_floors }
  writeAdoption(paths, record)
  log('info', 'nginx.conf is owned by NxMesh now', { conf_path: plan.conf_path, backup_path })
  return record
}

type Plan = Omit<AdoptionRecord, 'backup_path' | 'hash_floors'>

async function makePlan({ installation }: AdoptionDeps, known: AdoptionRecord | null): Promise<Plan> {
  const { settings, conf_path, conf_d_path, build } = installation
  makeFolder(conf_d_path, 0o755)
  const unsafe = whyUnsafeFolder(conf_d_path)
  if (unsafe !== null) throw new NginxError(`${unsafe}; whoever can would decide what nginx serves`)
  const link = join(conf_d_path, 'current')
  if (exists(link) && !isSymlink(link)) throw new NginxError(`${link} exists and is not NxMesh's symlink`)
  const wanted_port = settings.status_port === 0 ? known?.status_port : settings.status_port
  return {
    conf_path,
    conf_d_path: realPath(conf_d_path) ?? conf_d_path,
    error_log_path:
      settings.error_log_path ?? configuredErrorLog(installation) ?? usableErrorLog(build.error_log_path),
    status_port: wanted_port ?? (await lastingLoopbackPort()),
  }
}

/** A build may log to `stderr`, which nobody can read afterwards. */
function usableErrorLog(built_in: string): string {
  if (built_in.startsWith('/') && !built_in.endsWith('/stderr')) return built_in
  if (isFolder('/var/log/nginx')) return '/var/log/nginx/error.log'
  throw new NginxError('nginx.conf names no error log file; set nginx.error_log_path')
}

function isAdopted(installation: Installation, record: AdoptionRecord): boolean {
  const { error_log_path, conf_d_path } = record
  const whole = isFolder(join(conf_d_path, 'current'))
  return whole && !adopt(readConf(installation), { error_log_path, conf_d_path }).changed
}

/** Once removed from nginx.conf, a size is only known from here. */
function mergeFloors(a: HashFloors, b: HashFloors | undefined): HashFloors {
  const larger = (one: number | null, other: number | null) =>
    one === null || other === null ? (one ?? other) : Math.max(one, other)
  return {
    server_names_hash_max_size: larger(a.server_names_hash_max_size, b?.server_names_hash_max_size ?? null),
    server_names_hash_bucket_size: larger(
      a.server_names_hash_bucket_size,
      b?.server_names_hash_bucket_size ?? null,
    ),
  }
}

interface FirstFolder {
  readonly name: string
  readonly path: string
  readonly apply_id: string
  readonly is_new: boolean
}

/** So that `current` never dangles, which nginx would take for "no sites". */
function prepareFirstFolder(
  { now, newId, installation }: AdoptionDeps,
  { conf_d_path, status_port }: Plan,
  hash_floors: HashFloors,
): FirstFolder {
  const current = readLink(join(conf_d_path, 'current'))
  if (current !== null && isFolder(join(conf_d_path, current))) {
    return { name: current, path: join(conf_d_path, current), apply_id: '', is_new: false }
  }
  const name = now().toISOString().replace(/\D/g, '').slice(0, 14)
  const path = join(conf_d_path, name)
  const apply_id = newId()
  makeDeploymentFolder(path)
  const marker = { port: status_port, deployment_id: NOTHING_DEPLOYED, generation: 0, apply_id }
  writeExclusive(join(path, ENTRY_PATH), renderEntry(path), 0o644, true)
  const http = renderHttp(
    { kind: 'http', longest_server_name: 0, server_name_count: 0 },
    {
      nginx_version: installation.build.version,
      modules: [],
      listen_address: null,
      carried: { default_servers: [], http_directives: [], hash_floors },
    },
  )
  // The names of the carried sites need what was taken out of nginx.conf for them.
  if (Object.values(hash_floors).some(size => size !== null))
    writeExclusive(join(path, http.path), http.text, 0o644, true)
  writeExclusive(join(path, STATUS_PATH), renderStatus(marker), 0o644, true)
  syncFolder(path)
  return { name, path, apply_id, is_new: true }
}

function backUp({ installation, now, log }: AdoptionDeps, text: string): string {
  const stamp = now().toISOString().replace(/\D/g, '').slice(0, 14)
  const path = `${installation.conf_path}.before-nxmesh-${stamp}`
  if (!exists(path)) writeExclusive(path, text, 0o600, true)
  syncFolder(dirname(path))
  log('info', 'nginx.conf is kept as it was', { backup_path: path })
  return path
}

async function activate(deps: AdoptionDeps, plan: Plan, apply_id: string): Promise<void> {
  const { installation } = deps
  await mustPass(
    testFile(installation, installation.conf_path, AGENT_LIMITS.nginx_test_max_ms),
    'taken over by NxMesh',
  )
  const master = findMaster(installation, null)
  if (master === null) return
  const older = workersOf(master)
  // The running master still logs where it did before, and below the level that would tell how the reload ended.
  const outcome = await reload(master, plan.error_log_path, { silent_before: true })
  if (!outcome.loaded)
    throw new NginxError(`nginx does not load nginx.conf taken over by NxMesh: ${outcome.error.message}`)
  if (apply_id === '') return
  const missing = await proveServing({ master, older, status_port: plan.status_port, apply_id })
  if (missing !== null) throw new NginxError(`nginx runs and does not serve what NxMesh added: ${missing}`)
}

async function putBack({ installation, log }: AdoptionDeps, text: string): Promise<void> {
  replaceKeepingOwner(realPath(installation.conf_path) ?? installation.conf_path, text)
  log('error', 'nginx.conf was put back as it was', { conf_path: installation.conf_path })
  const master = findMaster(installation, null)
  if (master === null) return
  // What was there before logs no notices, so the workers themselves show that the reload is over.
  const older = workersOf(master)
  sendSignal(master, 'SIGHUP')
  await pollUntil(() => (older.every(acceptsNoMore) ? true : null), AGENT_LIMITS.verify_max_ms)
}

/** A lost or dangling `current` makes nginx start without its sites; what was served last is made current again. */
function restoreCurrent({ paths, log }: AdoptionDeps, { conf_d_path }: AdoptionRecord): void {
  const link = join(conf_d_path, 'current')
  const { folder } = openJournal(paths).read().serving ?? { folder: null }
  if (folder === null || isFolder(link) || !isFolder(join(conf_d_path, folder))) return
  log('warn', 'the current link was lost and is put back', { folder })
  swapLink(link, folder)
}

async function mustPass(test: Promise<TestResult>, state: string): Promise<void> {
  const tested = await test
  if (tested.result === 'passed') return
  const reason = tested.result === 'unable' ? tested.message : describe(tested.error)
  throw new NginxError(`nginx refuses nginx.conf ${state}: ${reason}`)
}

function describe({ message, file, line }: NginxMessage): string {
  return file === null ? message : `${message} in ${file}:${line}`
}
