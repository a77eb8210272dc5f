import type { Kind } from '@nxmesh/contract'

/** One resource at one version, as releases hold it. */
export interface ResourceVersion {
  readonly kind: Kind
  readonly id: string
  readonly version_number: number
  /** UpstreamData or VirtualHostData. */
  readonly data: unknown
}

/** A change that was accepted in the running transaction. `version_number` is that of the tombstone for a deletion. */
export interface AcceptedChange {
  readonly kind: Kind
  readonly id: string
  readonly version_number: number
  readonly deleted: boolean
}
