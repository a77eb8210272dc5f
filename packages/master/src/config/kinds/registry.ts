import type { Kind } from '@nxmesh/contract'
import type { ConfigKind } from './kind.ts'
import { upstreamKind } from './upstream.ts'
import { virtualHostKind } from './virtual-host.ts'

/** The versioned kinds. A new kind is a new file and a line here. */
export const CONFIG_KINDS: Readonly<Record<Kind, ConfigKind>> = {
  upstream: upstreamKind,
  virtual_host: virtualHostKind,
}
