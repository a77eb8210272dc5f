import { normalizeListen } from '@nxmesh/nginx/carried'
import { checkAllowed, defaultPolicy, type LocalPolicy } from '@nxmesh/nginx/check/allowed'
import type { RenderedFile } from '@nxmesh/nginx/objects'
import type { NginxMessage } from '@nxmesh/nginx/output'
import { type Directive, parseConfig, walk } from '@nxmesh/nginx/parser'
import { STATUS_PATH } from '@nxmesh/nginx/render/layout'
import { faultPoint } from '../faults.ts'
import type { ProcessId } from '../host/processes.ts'
import { AGENT_LIMITS } from '../limits.ts'
import { findPortConflict, type WantedAddress } from '../nginx/ports.ts'
import { testFolder } from '../nginx/test-config.ts'
import { type ApplyContext, Rejection, Unable } from './context.ts'
import type { Waiting } from './receive.ts'
import type { Rendered } from './render.ts'

/**
 * Judges a rendered folder: the local allow-list on what is new, then the addresses that it would open, then nginx itself.
 * What is shared with the folder before has passed there.
 * @throws Rejection with file, line and nginx's message; Unable when nginx gave no answer
 */
export async function validate(
  ctx: ApplyContext,
  rendered: Rendered,
  master: ProcessId,
  { deadline, cancel }: Waiting,
): Promise<void> {
  faultPoint('validate')
  const policy = localPolicy(ctx, rendered.path)
  const wanted = rendered.written.flatMap(file => judge(file, policy))
  refuseStatusPort(ctx, rendered, wanted)
  const timeout_ms = Math.min(deadline - performance.now(), AGENT_LIMITS.nginx_test_max_ms)
  if (timeout_ms <= 0) throw new Unable('no time is left for nginx -t')
  const test = testFolder(ctx.installation, rendered.path, timeout_ms, cancel)
  const conflict = await findPortConflict(distinct(wanted).filter(isNew(ctx, rendered)), master)
  const tested = await test
  if (tested.result === 'unable') throw new Unable(cancel.aborted ? String(cancel.reason) : tested.message)
  if (tested.result === 'refused') throw new Rejection(configError(rendered, tested.error))
  if (conflict !== null) {
    const { file, line } = conflict.wanted
    throw new Rejection({ message: conflict.message, file, line, resource: resourceOf(rendered, file) })
  }
}

/** Another server there would answer in place of the one that proves which deployment is served. */
function refuseStatusPort(ctx: ApplyContext, rendered: Rendered, wanted: readonly WantedAddress[]): void {
  const { status_port } = ctx.adoption
  const taken = wanted.filter(one => one.port === status_port && one.file !== STATUS_PATH)
  // The site that wants the port, rather than the port's listener, is what a person made.
  const [first] = taken.map(one => ({ ...one, resource: resourceOf(rendered, one.file) })).sort(sitesFirst)
  if (first === undefined) return
  const { file, line, resource } = first
  const message = `port ${status_port} is where NxMesh itself asks this nginx what it serves; choose another`
  throw new Rejection({ message, file, line, resource })
}

type Placed = { readonly resource: { readonly kind: string } | null }
const sitesFirst = (a: Placed, b: Placed) =>
  Number(b.resource?.kind === 'virtual_host') - Number(a.resource?.kind === 'virtual_host')

/** What is served already listens there: looking at every socket of the host would cost more than an edit may. */
function isNew({ base, adoption }: ApplyContext, { record }: Rendered): (wanted: WantedAddress) => boolean {
  if (base === null || base.facts_key !== record.facts_key) return () => true
  const held = new Set(base.entries.map(({ key }) => key).filter(key => key.startsWith('listener/')))
  return ({ port }) => port !== adoption.status_port && !held.has(`listener/${port}`)
}

function localPolicy(ctx: ApplyContext, folder: string): LocalPolicy {
  const policy = defaultPolicy(folder, [ctx.paths.root, ctx.adoption.conf_d_path])
  const roots = ctx.installation.settings.allowed_roots
  return roots === null ? policy : { ...policy, content_folders: roots }
}

/** The addresses that an allowed file listens on. */
function judge(file: RenderedFile, policy: LocalPolicy): WantedAddress[] {
  const { directives } = parseConfig(file.text)
  const [problem] = checkAllowed(directives, policy)
  if (problem !== undefined) {
    const { message, line } = problem
    throw new Rejection({ message, file: file.path, line, resource: file.resource })
  }
  return listensOf(file.path, directives)
}

function listensOf(file: string, directives: readonly Directive[]): WantedAddress[] {
  const found: WantedAddress[] = []
  walk(directives, ({ name, args, span }) => {
    const value = args[0]?.value
    if (name !== 'listen' || value === undefined || value.startsWith('unix:')) return
    const normal = normalizeListen(value)
    const colon = normal.lastIndexOf(':')
    const [address, port] = [normal.slice(0, colon), Number(normal.slice(colon + 1))]
    found.push({ address, port, file, line: span.line })
  })
  return found
}

function distinct(wanted: readonly WantedAddress[]): WantedAddress[] {
  return [...new Map(wanted.map(one => [`${one.address}:${one.port}`, one])).values()]
}

/** nginx's complaint, with the file named as below the deployment folder and the resource that it was rendered from. */
function configError(rendered: Rendered, { message, file, line }: NginxMessage) {
  const inside = file?.startsWith(`${rendered.path}/`) ?? false
  const path = inside && file !== null ? file.slice(rendered.path.length + 1) : file
  const resource = (path === null ? null : resourceOf(rendered, path)) ?? named(rendered, message)
  return { message, file: path, line, resource }
}

function resourceOf(rendered: Rendered, path: string) {
  const written = rendered.written.find(file => file.path === path)
  if (written) return written.resource
  const key = rendered.record.entries.find(entry => entry.path === path)?.key
  return key === undefined ? null : splitKey(key)
}

/** Some complaints name no place, only an upstream: `host not found in upstream …` without a file, `no servers are inside`. */
function named(rendered: Rendered, message: string) {
  const name = /upstream "([^"]+)"/.exec(message)?.[1]
  const key = rendered.record.entries.find(({ path }) => path === `upstreams/${name}.conf`)?.key
  return key === undefined ? null : splitKey(key)
}

function splitKey(key: string) {
  const slash = key.indexOf('/')
  return { kind: key.slice(0, slash), id: key.slice(slash + 1) }
}
