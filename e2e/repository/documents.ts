import { existsSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { filesBelow, ROOT } from './sources.ts'

/** Every document of the repository. */
export const documents = (): string[] => filesBelow('.', ['.md']).map(path => normalize(path))

const TOP = '(?:packages|docs|e2e|bench|deploy|bin|scripts|\\.ci)'
const IN_CODE = new RegExp(
  `^${TOP}/[A-Za-z0-9_./-]*$|^[A-Za-z0-9_-]+\\.md$|^(?:package|package-lock|biome|tsconfig)\\.json$`,
)
/** Made by a command, named in the documents, not in git. */
const MADE = /^(?:dist|\.nxmesh|node_modules|bench\/results)(?:\/|$)/

/** The paths that a document names: relative links, and code spans that look like a path of this repository. */
export function pathsIn(document: string, text: string): string[] {
  const spans = [...text.matchAll(/`([^`\n]+)`/g)]
    .map(match => match[1] ?? '')
    .filter(span => IN_CODE.test(span))
  const links = [...text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)].map(match =>
    normalize(join(dirname(document), match[1] ?? '')),
  )
  return [...new Set([...spans, ...links])].filter(path => !MADE.test(path))
}

/** Paths that a document names and that do not exist. */
export const missingPaths = (document: string, text: string): string[] =>
  pathsIn(document, text)
    .filter(path => !existsSync(join(ROOT, path)) && !existsSync(join(ROOT, dirname(document), path)))
    .map(path => `${document} names ${path}, which does not exist`)
