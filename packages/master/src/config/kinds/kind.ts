import type { Kind } from '@nxmesh/contract'
import type { z } from 'zod'

/** A place in the data that points to another resource of the same workspace. */
export type Reference =
  | { readonly type: 'resource'; readonly field: string; readonly kind: Kind; readonly id: string }
  /** A host name that means a resource when one of the workspace has it as alias; otherwise it is a name for DNS. */
  | { readonly type: 'host'; readonly field: string; readonly host: string; readonly with_port: boolean }

/** A place in the data that names an agent. */
export interface AgentMention {
  readonly field: string
  readonly id: string
}

/** Something that only one resource of a workspace may have. `text` says it to people. */
export interface Claim {
  readonly key: string
  readonly field: string
  readonly text: string
}

/** One versioned kind. Everything else about it (store, service, routes, versions) is written once for all kinds. */
export interface ConfigKind {
  readonly kind: Kind
  /** For messages, e.g. `virtual host`. */
  readonly noun: string
  /** The data of a version, validated as a whole. */
  readonly data: z.ZodType<Record<string, unknown>>
  /** What the API shows: the data with what every kind has around it. */
  readonly resource: z.ZodType
  nameOf(data: unknown): string
  references(data: unknown): readonly Reference[]
  claims(data: unknown): readonly Claim[]
  /** Agents need not outlive what names them: these are checked when they are named, not when the agent is deleted. */
  agents(data: unknown): readonly AgentMention[]
  /** Host names by which others may mean this resource, in lower case as nginx compares them. */
  aliases(data: unknown): readonly string[]
}

interface TypedKind<D> {
  readonly kind: Kind
  readonly noun: string
  readonly data: z.ZodType<D>
  readonly resource: z.ZodType
  nameOf(data: D): string
  references(data: D): readonly Reference[]
  claims(data: D): readonly Claim[]
  agents(data: D): readonly AgentMention[]
  aliases(data: D): readonly string[]
}

/** Writes a kind with its own type of data. Stored data was validated by the same schema before it was written. */
export const defineKind = <D extends object>(kind: TypedKind<D>): ConfigKind => ({
  kind: kind.kind,
  noun: kind.noun,
  data: kind.data as unknown as ConfigKind['data'],
  resource: kind.resource,
  nameOf: data => kind.nameOf(data as D),
  references: data => kind.references(data as D),
  claims: data => kind.claims(data as D),
  agents: data => kind.agents(data as D),
  aliases: data => kind.aliases(data as D),
})

/** Names are unique within a kind. */
export const nameClaim = (kind: Kind, noun: string, name: string): Claim => ({
  key: `name/${kind}/${name}`,
  field: 'name',
  text: `the name of the ${noun} ${JSON.stringify(name)}`,
})
