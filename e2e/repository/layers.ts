import { dirname } from 'node:path'
import { codeOnly, isTest, packageOf, type Source } from './sources.ts'

/** The layering rules of the house. Each answers the violations it found, as lines for a person. */
export type Rule = (sources: readonly Source[]) => string[]

const SHARED = ['contract', 'nginx']

function eachImport(
  sources: readonly Source[],
  judge: (from: Source, specifier: string, target: string | null) => string | null,
): string[] {
  return sources.flatMap(from =>
    from.imports.flatMap(one => {
      const problem = judge(from, one.specifier, one.target)
      return problem ? [`${from.path} imports ${one.specifier}: ${problem}`] : []
    }),
  )
}

export const appsMeetOnlyAtContractAndNginx: Rule = sources =>
  eachImport(sources, (from, _, target) => {
    const [own, other] = [packageOf(from.path), target && packageOf(target)]
    if (!own || !target || other === own) return null
    if (!other) return 'a package reaches outside the packages'
    if (SHARED.includes(own)) return `${own} imports no sibling`
    return SHARED.includes(other) ? null : `apps meet only at ${SHARED.join(' and ')}`
  })

/** Beside its own files: the grammar of the templates, nothing else; and nothing global that does I/O or tells the time. */
const NGINX_PACKAGES = ['@handlebars/parser']
const IMPURE =
  /\b(?:Date\b|Math\.random|performance\.|process\.|Bun\.|fetch\(|console\.|setTimeout\(|setInterval\(|crypto\.|require\(|new Function|eval\()/

export const nginxIsPure: Rule = all => {
  const sources = all.filter(one => packageOf(one.path) === 'nginx' && !isTest(one.path))
  const imports = eachImport(sources, (_, specifier, target) =>
    target || NGINX_PACKAGES.includes(specifier) ? null : 'nginx is pure: no built-in, no I/O, no clock',
  )
  const used = sources.flatMap(one => {
    const found = IMPURE.exec(codeOnly(one.text))
    return found ? [`${one.path} uses ${found[0]}: nginx is pure`] : []
  })
  return [...imports, ...used]
}

/** Signing is a part of the contract, and WebCrypto is 70 times slower for it. */
const CONTRACT_BUILTINS: Record<string, readonly string[]> = {
  'packages/contract/src/channel/signing.ts': ['node:crypto'],
}
export const contractNeedsOnlyZod: Rule = all =>
  eachImport(
    all.filter(one => packageOf(one.path) === 'contract' && !isTest(one.path)),
    (from, specifier, target) =>
      target || specifier === 'zod' || CONTRACT_BUILTINS[from.path]?.includes(specifier)
        ? null
        : 'contract needs only zod',
  )

export const routesNeverTouchAStore: Rule = sources =>
  eachImport(
    sources.filter(one => /-routes\.ts$/.test(one.path)),
    (_, __, target) => (target && /-store\.ts$/.test(target) ? 'routes call a service, never a store' : null),
  )

export const storesArePrivate: Rule = sources =>
  eachImport(sources, (from, _, target) => {
    if (!target || !/-store\.ts$/.test(target) || isTest(from.path)) return null
    const area = dirname(target)
    return from.path.startsWith(`${area}/`) ? null : `a store is private to its area (${area})`
  })

const HOST = 'packages/agent/src/host/'
const DISK_AND_PROCESSES =
  /^(?:node:)?(?:fs(?:\/promises)?|child_process|net|dgram|http|https|worker_threads|cluster)$/
/** The link is the agent's way out: it opens connections to the master, and reads no file. */
const LINK_MAY = ['node:net', 'node:https', 'node:http']
/** `isIP` is a pure function that happens to live there. */
const PURE_USES = new Set(['packages/agent/src/config.ts node:net'])

export const onlyHostTouchesDiskAndProcesses: Rule = all => {
  const sources = all.filter(
    one => packageOf(one.path) === 'agent' && !isTest(one.path) && !one.path.startsWith(HOST),
  )
  const imports = eachImport(sources, (from, specifier) => {
    if (!DISK_AND_PROCESSES.test(specifier) || PURE_USES.has(`${from.path} ${specifier}`)) return null
    const link = from.path.startsWith('packages/agent/src/link/') && LINK_MAY.includes(specifier)
    return link ? null : 'only agent/src/host touches disk and processes'
  })
  const used = sources.flatMap(one => {
    const found = /\bBun\.(?:file|write|spawn|spawnSync|listen|connect|\$)/.exec(codeOnly(one.text))
    return found ? [`${one.path} uses ${found[0]}: only agent/src/host touches disk and processes`] : []
  })
  return [...imports, ...used]
}
