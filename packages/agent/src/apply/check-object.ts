import { LIMITS } from '@nxmesh/contract/limits'
import type { BundleObject } from '@nxmesh/nginx/objects'

/** An object that is not what the render model says. */
export class ObjectError extends Error {
  override readonly name = 'ObjectError'
}

type Check = (value: unknown, path: string) => void

const TEXT_MAX_CHARS = 8_000
const LIST_MAX = 1_000
/** A host name with `*.` before it. */
const LONGEST_NAME_MAX_CHARS = LIMITS.host_name_chars + 2

const fail = (path: string, wanted: string): never => {
  throw new ObjectError(`${path || 'the object'} must be ${wanted}`)
}

const text: Check = (value, path) => {
  if (typeof value !== 'string' || value.length > TEXT_MAX_CHARS) fail(path, 'a text')
}
const flag: Check = (value, path) => {
  if (typeof value !== 'boolean') fail(path, 'true or false')
}
const whole: Check = (value, path) => {
  if (!Number.isSafeInteger(value) || (value as number) < 0) fail(path, 'a whole number')
}
/** A whole number that the contract could have let pass: nginx allocates for some of them before it has any use for it. */
const upTo =
  (max: number): Check =>
  (value, path) => {
    whole(value, path)
    if ((value as number) > max) fail(path, `at most ${max}`)
  }
const nullable =
  (check: Check): Check =>
  (value, path) => {
    if (value !== null) check(value, path)
  }
const oneOf =
  (...values: readonly unknown[]): Check =>
  (value, path) => {
    if (!values.includes(value)) fail(path, values.map(one => JSON.stringify(one)).join(' or '))
  }
const list =
  (check: Check): Check =>
  (value, path) => {
    if (!Array.isArray(value) || value.length > LIST_MAX) return fail(path, 'a list')
    value.forEach((one, index) => {
      check(one, `${path}.${index}`)
    })
  }
/** Exactly these fields, own ones. */
const shape =
  (fields: Readonly<Record<string, Check>>): Check =>
  (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return fail(path, 'an object')
    const given = value as Record<string, unknown>
    for (const name of Object.keys(given)) {
      if (!Object.hasOwn(fields, name)) fail(join(path, name), 'absent')
    }
    for (const [name, check] of Object.entries(fields)) {
      check(Object.hasOwn(given, name) ? given[name] : undefined, join(path, name))
    }
  }
/** Which shape applies is said by one field. */
const variant =
  (field: string, shapes: Readonly<Record<string, Check>>): Check =>
  (value, path) => {
    const name =
      typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[field] : null
    const check = typeof name === 'string' && Object.hasOwn(shapes, name) ? shapes[name] : undefined
    if (check === undefined) return fail(join(path, field), Object.keys(shapes).join(' or '))
    check(value, path)
  }
const join = (path: string, name: string) => (path === '' ? name : `${path}.${name}`)

const upstream = shape({
  kind: oneOf('upstream'),
  id: text,
  version_number: whole,
  name: text,
  algorithm: oneOf('round_robin', 'weighted_round_robin', 'least_connections', 'ip_hash'),
  servers: list(
    shape({
      address: text,
      weight: upTo(LIMITS.weight_max),
      backup: flag,
      down: flag,
      max_fails: upTo(LIMITS.max_fails_max),
      fail_timeout: upTo(LIMITS.fail_timeout_max_s),
    }),
  ),
  keepalive_connections: nullable(upTo(LIMITS.keepalive_connections_max)),
  keepalive_timeout: nullable(upTo(LIMITS.keepalive_timeout_max_s)),
})

const target = variant('type', {
  upstream: shape({ type: text, name: text, keepalive: flag }),
  proxy: shape({ type: text, url: text }),
  root: shape({ type: text, root: text, index: nullable(text) }),
})

const virtualHost = shape({
  kind: oneOf('virtual_host'),
  id: text,
  version_number: whole,
  name: text,
  server_names: list(text),
  listen_port: whole,
  template_id: oneOf('default'),
  gzip_enabled: flag,
  locations: list(shape({ path: text, target, custom_headers: list(shape({ name: text, value: text })) })),
})

const object = variant('kind', {
  upstream,
  virtual_host: virtualHost,
  listener: shape({ kind: text, port: whole }),
  http: shape({
    kind: text,
    longest_server_name: upTo(LONGEST_NAME_MAX_CHARS),
    server_name_count: upTo(LIMITS.resources_per_kind * LIMITS.server_names),
  }),
})

/**
 * Reads an object as it came over the wire. The master may be someone else's by now: nothing reaches the renderer that is
 * not of the render model's types, bounded, and without further fields.
 * @throws ObjectError
 */
export function parseObject(json: string): BundleObject {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    throw new ObjectError('the object is not JSON')
  }
  object(value, '')
  return value as BundleObject
}
