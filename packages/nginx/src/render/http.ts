import { RenderError } from '../errors.ts'
import type { HttpObject, ListenerObject, RenderedFile, RenderFacts, ResourceRef } from '../objects.ts'
import { field, listenText, portNumber } from './fields.ts'
import { banner, HTTP_PATH, listenerPath } from './layout.ts'

/** nginx's defaults (`server_names_hash_max_size`, and `server_names_hash_bucket_size` on a 64-byte cache line). */
const DEFAULT_MAX_SIZE = 512
const DEFAULT_BUCKET_SIZE = 64
const BUCKET_SIZE_MAX = 65_536
const CROWDED_NAMES = 256
const NAMES_PER_BUCKET = 8
const POINTER_BYTES = 8

/** The http-level file: the literal dollar, and hash sizes that hold every server name. */
export function renderHttp(http: HttpObject, facts: RenderFacts): RenderedFile {
  const resource: ResourceRef = { kind: 'http', id: 'http' }
  const { bucket_size, max_size } = hashSizes(resource, http, facts)
  const sizes = [
    `server_names_hash_bucket_size ${bucket_size};\n`,
    `server_names_hash_max_size ${max_size};\n`,
  ]
  const wanted = sizes.filter(line => !facts.carried.http_directives.includes(line.split(' ')[0] ?? ''))
  const dollar = '# nginx has no escape for a dollar sign.\ngeo $nx_dollar {\n    default "$";\n}\n'
  return { path: HTTP_PATH, text: banner(resource, null) + wanted.join('') + dollar, resource }
}

/**
 * A bucket must hold its longest name with a pointer and a length (NGX_HASH_ELT_SIZE) and a closing pointer; with many
 * names it holds several, or nginx tries one size after another at each start.
 */
function hashSizes(
  resource: ResourceRef,
  http: HttpObject,
  facts: RenderFacts,
): { bucket_size: number; max_size: number } {
  const { longest_server_name: longest, server_name_count: count } = http
  for (const [name, value] of [
    ['longest_server_name', longest],
    ['server_name_count', count],
  ] as const) {
    if (!Number.isSafeInteger(value) || value < 0)
      throw new RenderError(resource, name, 'must be a whole number')
  }
  const element = POINTER_BYTES + Math.ceil((longest + 2) / POINTER_BYTES) * POINTER_BYTES
  const wanted = element * (count > CROWDED_NAMES ? NAMES_PER_BUCKET : 1) + POINTER_BYTES
  const floors = facts.carried.hash_floors
  const bucket_floor = floors?.server_names_hash_bucket_size ?? DEFAULT_BUCKET_SIZE
  const max_floor = floors?.server_names_hash_max_size ?? DEFAULT_MAX_SIZE
  const bucket_size = Math.min(
    powerOfTwo(Math.max(DEFAULT_BUCKET_SIZE, bucket_floor, wanted)),
    BUCKET_SIZE_MAX,
  )
  return { bucket_size, max_size: powerOfTwo(Math.max(DEFAULT_MAX_SIZE, max_floor, count)) }
}

const powerOfTwo = (least: number): number => 2 ** Math.ceil(Math.log2(least))

/**
 * The explicit default server of a port, which knows no host. None where the carried configuration has one already.
 * @throws RenderError
 */
export function renderListener(listener: ListenerObject, facts: RenderFacts): RenderedFile | null {
  const resource: ResourceRef = { kind: 'listener', id: String(listener.port) }
  const port = field(resource, 'port', () => portNumber(listener.port))
  const listen = field(resource, 'listen_address', () => listenText(facts.listen_address, port))
  const address = facts.listen_address === null ? `*:${port}` : listen
  if (facts.carried.default_servers.includes(address)) return null
  const body = `server {\n    listen ${listen} default_server;\n    server_name _;\n    return 404;\n}\n`
  return { path: listenerPath(port), text: banner(resource, null) + body, resource }
}
