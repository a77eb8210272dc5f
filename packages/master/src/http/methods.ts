import { BASE_PATH, ENDPOINTS, HEALTH_PATH, OPENAPI_PATH, READY_PATH } from '@nxmesh/contract'

const PATHS = [
  ...Object.values(ENDPOINTS).map(row => ({ method: row.method, pattern: patternOf(BASE_PATH + row.path) })),
  ...[HEALTH_PATH, READY_PATH, OPENAPI_PATH].map(path => ({ method: 'GET', pattern: patternOf(path) })),
]

function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replaceAll('.', '\\.').replace(/\{\w+\}/g, '[^/]+')}$`)
}

/** The methods that a path takes, for `Allow`; none where there is no such path. */
export function methodsOf(path: string): string[] {
  const methods = new Set(PATHS.filter(one => one.pattern.test(path)).map(one => one.method))
  if (methods.has('GET')) methods.add('HEAD')
  return [...methods].sort()
}
