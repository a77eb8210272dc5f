import { dirname } from 'node:path'
import { adopt } from '@nxmesh/nginx/adopt'
import { type CarriedText, carriedFacts } from '@nxmesh/nginx/carried'
import type { RenderFacts } from '@nxmesh/nginx/objects'
import { identityOf, readText } from '../host/files.ts'
import { expandPattern } from '../host/glob.ts'
import type { AdoptionRecord } from '../state/adoption.ts'
import { type Installation, readConf } from './installation.ts'

/** A new object whenever it may have changed. */
export type Carried = Pick<RenderFacts['carried'], 'default_servers' | 'http_directives'>
type Place = Pick<AdoptionRecord, 'error_log_path' | 'conf_d_path'>

interface Source {
  readonly path: string
  readonly context: CarriedText['context']
}

/** What nginx.conf and the files that it includes decide besides NxMesh; operators go on editing them. */
export interface CarriedReader {
  /** Reads the files again only when one of them was changed, added or removed. */
  read(): Carried
}

export function makeCarriedReader(installation: Installation, place: Place): CarriedReader {
  let conf_seen = ''
  let includes: ReturnType<typeof adopt>['includes'] = []
  let seen = ''
  let carried: Carried = { default_servers: [], http_directives: [] }
  return {
    read() {
      const conf = identityText(installation.conf_path)
      if (conf !== conf_seen) includes = adopt(readConf(installation), place).includes
      conf_seen = conf
      const sources = sourcesOf(installation, includes)
      const now = [conf, ...sources.map(({ path }) => identityText(path))].join('\n')
      if (now !== seen) carried = readCarried(readConf(installation), sources)
      seen = now
      return carried
    },
  }
}

function sourcesOf({ conf_path }: Installation, includes: ReturnType<typeof adopt>['includes']): Source[] {
  return includes.flatMap(({ pattern, context }) =>
    context === 'other' ? [] : expandPattern(pattern, dirname(conf_path)).map(path => ({ path, context })),
  )
}

function readCarried(text: string, sources: readonly Source[]): Carried {
  const texts = sources.map(({ path, context }) => ({ context, text: readText(path) ?? '' }))
  const { default_servers, http_directives } = carriedFacts([{ context: 'main', text }, ...texts])
  return { default_servers, http_directives }
}

function identityText(path: string): string {
  const identity = identityOf(path)
  return identity === null ? path : `${path} ${identity.inode} ${identity.size} ${identity.modified_ms}`
}
