/** The files of a deployment folder that belong to one apply and not to the bundle. */
import { ValueError } from '../errors.ts'
import { refuseUnsafe } from '../template/values.ts'
import { portNumber } from './fields.ts'
import { SUBFOLDERS } from './layout.ts'

// No glob character: nginx would expand it. No quote, backslash or dollar: nothing to escape.
const FOLDER = /^\/[A-Za-z0-9 ._/@+,=~-]*[A-Za-z0-9._@+,=~-]$/

/**
 * The entry file `nxmesh.conf`: includes the folder's own subfolders by absolute path, so that a symlink
 * that moves meanwhile cannot mix two deployments.
 * @param folder absolute path of the deployment folder, with its links resolved
 * @throws ValueError
 */
export function renderEntry(folder: string): string {
  if (!FOLDER.test(folder)) throw new ValueError(`cannot be a deployment folder: ${JSON.stringify(folder)}`)
  const includes = SUBFOLDERS.map(name => `include "${folder}/${name}/*.conf";\n`)
  return `# NxMesh: everything of one deployment\n${includes.join('')}`
}

export type StatusAddress = { readonly port: number } | { readonly unix_socket_path: string }

export type StatusOptions = StatusAddress & {
  readonly deployment_id: string
  readonly generation: number
  /** Unique per apply: tells workers that started after this reload from all others. */
  readonly apply_id: string
  /** Whether this nginx has http_stub_status_module; true unless said otherwise. */
  readonly stub_status?: boolean
}

const STUB_STATUS = '    location = /nxmesh/stub_status {\n        stub_status;\n    }\n'
const MARKER_WORD = /^[A-Za-z0-9_-]{1,64}$/

/**
 * The status server: `GET /nxmesh/marker` answers `<deployment_id> <generation> <apply_id> <pid of the worker>` and a line
 * end, `GET /nxmesh/stub_status` nginx's counters. Loopback only; each answer closes its connection, so that no old worker is kept alive.
 * @throws ValueError
 */
export function renderStatus(options: StatusOptions): string {
  for (const word of [options.deployment_id, options.apply_id, String(options.generation)]) {
    if (!MARKER_WORD.test(word)) throw new ValueError(`cannot be part of the marker: ${JSON.stringify(word)}`)
  }
  const marker = `${options.deployment_id} ${options.generation} ${options.apply_id} $pid\\n`
  return `# NxMesh status
server {
    listen ${statusAddress(options)};
    access_log off;
    keepalive_timeout 0;
    default_type text/plain;
    location = /nxmesh/marker {
        return 200 "${marker}";
    }
${options.stub_status === false ? '' : STUB_STATUS}    location / {
        return 404;
    }
}
`
}

function statusAddress(address: StatusAddress): string {
  if ('port' in address) return `127.0.0.1:${portNumber(address.port)}`
  const path = refuseUnsafe(address.unix_socket_path)
  if (!FOLDER.test(path)) throw new ValueError(`cannot be a socket: ${JSON.stringify(path)}`)
  return `"unix:${path}"`
}
