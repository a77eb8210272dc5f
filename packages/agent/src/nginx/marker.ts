import { getLoopback } from '../host/sockets.ts'
import { AGENT_LIMITS } from '../limits.ts'

/** What the status server of a worker says that it serves. */
export interface Marker {
  readonly deployment_id: string
  readonly generation: number
  readonly apply_id: string
  /** Of the worker that answered. */
  readonly pid: number
}

const MARKER_PATH = '/nxmesh/marker'

/** Null when nothing answers, or something else does. */
export async function readMarker(port: number): Promise<Marker | null> {
  const body = await getLoopback(port, MARKER_PATH, AGENT_LIMITS.marker_max_ms)
  const match = /^([A-Za-z0-9_-]+) (\d+) ([A-Za-z0-9_-]+) (\d+)\s*$/.exec(body ?? '')
  if (!match) return null
  const [, deployment_id = '', generation, apply_id = '', pid] = match
  return { deployment_id, generation: Number(generation), apply_id, pid: Number(pid) }
}
