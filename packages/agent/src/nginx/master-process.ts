import { readText } from '../host/files.ts'
import {
  allPids,
  childrenOf,
  type ProcessFacts,
  type ProcessId,
  readProcess,
  socketInodes,
} from '../host/processes.ts'
import { listeningSockets } from '../host/sockets.ts'
import { type Installation, pidPath } from './installation.ts'

const MASTER_TITLE = 'nginx: master'
const SHUTTING_DOWN = 'is shutting down'

/**
 * The master process of this nginx, or null when it does not run. The pid file is believed only when a process of that number
 * shows nginx's own title: an empty file reads as 0, and a stale number may belong to anybody by now. Without a usable
 * file, the master is the one that holds the status server's socket.
 */
export function findMaster(installation: Installation, status_port: number | null): ProcessId | null {
  const text = readText(pidPath(installation))?.trim() ?? ''
  const named = /^\d{1,10}$/.test(text) ? asMaster(Number(text)) : null
  return named ?? (status_port === null ? null : masterByPort(status_port))
}

function asMaster(pid: number): ProcessId | null {
  const facts = readProcess(pid)
  if (facts === null || !facts.title.startsWith(MASTER_TITLE)) return null
  return { pid: facts.pid, started: facts.started }
}

function masterByPort(port: number): ProcessId | null {
  const inodes = listeningSockets()
    .filter(one => one.port === port && one.address === '127.0.0.1')
    .map(({ inode }) => inode)
  if (inodes.length === 0) return null
  for (const pid of allPids()) {
    const master = asMaster(pid)
    if (master === null) continue
    const held = socketInodes(pid)
    if (inodes.some(inode => held.has(inode))) return master
  }
  return null
}

/** The workers (and cache processes) that run now. */
export function workersOf(master: ProcessId): ProcessFacts[] {
  return childrenOf(master.pid)
}

/** A worker that has ended, or has closed its listeners and only finishes what it had accepted. */
export function acceptsNoMore(worker: ProcessId): boolean {
  const facts = readProcess(worker.pid)
  return facts === null || facts.started !== worker.started || facts.title.includes(SHUTTING_DOWN)
}
