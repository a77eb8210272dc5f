import { accessEndpoints } from './access.ts'
import { agentEndpoints } from './agents.ts'
import { auditEndpoints } from './audit.ts'
import { upstreamEndpoints, virtualHostEndpoints } from './config.ts'
import { deploymentEndpoints } from './deployments.ts'
import type { Endpoint } from './endpoint.ts'
import { identityProviderEndpoints } from './identity-providers.ts'
import { apiKeyEndpoints, roleEndpoints, userEndpoints } from './people.ts'
import { tenancyEndpoints } from './tenancy.ts'

/** Puts the name of a kind before the names of its endpoints: `list` → `upstreams_list`. */
function prefixed<P extends string, T extends Record<string, Endpoint>>(prefix: P, rows: T) {
  const entries = Object.entries(rows).map(([key, row]) => [`${prefix}_${key}`, row])
  return Object.fromEntries(entries) as { [K in keyof T & string as `${P}_${K}`]: T[K] }
}

/** The endpoint table: everything that the REST API answers, by operation id. */
export const ENDPOINTS = {
  ...accessEndpoints,
  ...userEndpoints,
  ...roleEndpoints,
  ...apiKeyEndpoints,
  ...auditEndpoints,
  ...identityProviderEndpoints,
  ...tenancyEndpoints,
  ...agentEndpoints,
  ...prefixed('upstreams', upstreamEndpoints),
  ...prefixed('virtual_hosts', virtualHostEndpoints),
  ...deploymentEndpoints,
} as const

export type OperationId = keyof typeof ENDPOINTS
