import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'

/** The repository as the rules see it: files with the modules that they import. Paths are relative to its root. */
export interface Source {
  readonly path: string
  readonly text: string
  readonly imports: readonly Import[]
}

export interface Import {
  /** As it is written. */
  readonly specifier: string
  /** The file of this repository that it means, null for Node's modules and npm packages. */
  readonly target: string | null
}

export const ROOT = normalize(join(import.meta.dir, '../..'))
const CODE_FOLDERS = ['packages', 'e2e', 'bench', 'bin', 'scripts']
const SKIPPED = new Set(['node_modules', 'dist', '.git', '.nxmesh', 'results'])

/** Every file below a folder, sorted, with what npm, git and builds put there left out. */
export function filesBelow(folder: string, endings: readonly string[]): string[] {
  const entries = readdirSync(join(ROOT, folder), { withFileTypes: true })
  const found = entries.flatMap(entry => {
    if (SKIPPED.has(entry.name)) return []
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return filesBelow(path, endings)
    return endings.some(ending => entry.name.endsWith(ending)) ? [path] : []
  })
  return found.sort()
}

export const readText = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

let cached: Source[] | undefined
/** All TypeScript of the repository. */
export function allSources(): Source[] {
  cached ??= CODE_FOLDERS.flatMap(folder => filesBelow(folder, ['.ts', '.tsx'])).map(path =>
    source(path, readText(path)),
  )
  return cached
}

/** One file of code; also how tests make a sample that violates a rule. */
export function source(path: string, text: string): Source {
  const imports = specifiers(text).map(specifier => ({ specifier, target: resolve(path, specifier) }))
  return { path, text, imports }
}

const IMPORT =
  /\b(?:import|export)\b[\s\w*{},$]*?\bfrom\s*['"]([^'"\n]+)['"]|\bimport\s*\(\s*['"]([^'"\n]+)['"]\s*\)|\bimport\s+['"]([^'"\n]+)['"]/g

function specifiers(text: string): string[] {
  return [...withoutComments(text).matchAll(IMPORT)].map(match => match[1] ?? match[2] ?? match[3] ?? '')
}

function resolve(from: string, specifier: string): string | null {
  if (specifier.startsWith('.')) return normalize(join(dirname(from), specifier))
  const workspace = /^@nxmesh\/([a-z0-9]+)(?:\/(.+))?$/.exec(specifier)
  if (!workspace) return null
  const folder = `packages/${workspace[1]}/src`
  if (workspace[2]) return `${folder}/${workspace[2]}.ts`
  return existsSync(join(ROOT, folder, 'main.ts')) ? `${folder}/main.ts` : `${folder}/index.ts`
}

/** Comments off, and strings too where they are not the name of a module: an import inside a string is none. */
export function withoutComments(text: string): string {
  return text.replace(TOKENS, (token, offset: number) => {
    const names_a_module = /\b(?:from|import)\s*\(?\s*$/.test(text.slice(Math.max(0, offset - 20), offset))
    return token.startsWith('/') || !names_a_module ? ' ' : token
  })
}

/** Comments and the contents of strings off: what is left is code. Substitutions of template strings go with them. */
export function codeOnly(text: string): string {
  return text.replace(TOKENS, token => (token.startsWith('/') ? ' ' : `${token[0]}${token[0]}`))
}

const TOKENS = /\/\/[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\[\s\S])*`/g

/** Tests and what only tests, benchmarks and harnesses use. */
export const isTest = (path: string): boolean =>
  /\.test\.tsx?$/.test(path) ||
  /(^|\/)testing(-[a-z0-9-]+)?(\.ts$|\/)/.test(path) ||
  /^(e2e|bench)\//.test(path)

/** `packages/master/src/http/page.ts` → `master`; null outside the packages. */
export const packageOf = (path: string): string | null => /^packages\/([^/]+)\//.exec(path)?.[1] ?? null
