import { Upstream, UpstreamData } from '@nxmesh/contract'
import { defineKind, nameClaim } from './kind.ts'

/** nginx compares the names of upstreams without case, so two that differ in case only are the same to it. */
export const upstreamKind = defineKind<UpstreamData>({
  kind: 'upstream',
  noun: 'upstream',
  data: UpstreamData,
  resource: Upstream,
  nameOf: data => data.name,
  references: () => [],
  claims: data => [nameClaim('upstream', 'upstream', data.name.toLowerCase())],
  agents: () => [],
  aliases: data => [data.name.toLowerCase()],
})
