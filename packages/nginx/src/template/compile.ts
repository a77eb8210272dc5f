/**
 * The subset of Handlebars that templates are written in: variables, if/else/unless, each, with, comments and a fixed
 * set of helpers. Everything else of the grammar is refused here, with its position, before any value is seen.
 */
import { type AST, parse } from '@handlebars/parser'
import { TemplateError } from '../errors.ts'
import { HELPER_NAMES } from './helpers.ts'

export const TEMPLATE_LIMITS = { template_max_chars: 65_536, depth_max: 32, iterations_max: 100_000 } as const

const BLOCKS = new Set(['if', 'unless', 'each', 'with'])
const FORBIDDEN_NAMES = new Set(['__proto__', 'constructor', 'prototype'])
const DATA_NAMES = new Set(['index', 'key', 'first', 'last'])

/**
 * Parses and checks a template.
 * @throws TemplateError with the position of what is not part of the subset
 */
export function compileTemplate(text: string): AST.Program {
  if (text.length > TEMPLATE_LIMITS.template_max_chars) {
    throw new TemplateError(`a template has at most ${TEMPLATE_LIMITS.template_max_chars} characters`, 1, 1)
  }
  const program = parseTemplate(text)
  checkProgram(program, 0)
  return program
}

function parseTemplate(text: string): AST.Program {
  try {
    return parse(text)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const line = Number(/line (\d+)/i.exec(message)?.[1] ?? 1)
    throw new TemplateError(message.split('\n')[0] ?? 'the template cannot be parsed', line, 1)
  }
}

/** A TemplateError at a node of the template. */
export function templateErrorAt(node: AST.Node, message: string): TemplateError {
  // The parser leaves an empty program without a location.
  const start = node.loc?.start ?? { line: 1, column: 0 }
  return new TemplateError(message, start.line, start.column + 1)
}

function checkProgram(program: AST.Program, depth: number): void {
  if (depth > TEMPLATE_LIMITS.depth_max) throw templateErrorAt(program, 'blocks are nested too deeply')
  if (program.blockParams?.length) throw templateErrorAt(program, 'block parameters are not supported')
  for (const statement of program.body) checkStatement(statement, depth)
}

function checkStatement(node: AST.Statement, depth: number): void {
  switch (node.type) {
    case 'ContentStatement':
    case 'CommentStatement':
      return
    case 'MustacheStatement':
      checkMustache(node as AST.MustacheStatement)
      return
    case 'BlockStatement':
      checkBlock(node as AST.BlockStatement, depth)
      return
    default:
      throw templateErrorAt(node, `${WORDS_FOR[node.type] ?? node.type} is not supported`)
  }
}

const WORDS_FOR: Readonly<Record<string, string>> = {
  PartialStatement: 'a partial',
  PartialBlockStatement: 'a partial block',
  Decorator: 'a decorator',
  DecoratorBlock: 'a decorator block',
}

function checkMustache(node: AST.MustacheStatement): void {
  if (!node.escaped) throw templateErrorAt(node, 'values are always escaped: use {{…}}')
  checkCall(node)
}

function checkBlock(node: AST.BlockStatement, depth: number): void {
  const name = node.path.original
  if (node.path.type !== 'PathExpression' || !BLOCKS.has(name)) {
    throw templateErrorAt(node, `unknown block {{#${String(name)}}}`)
  }
  // A raw block, {{{{if x}}}}, has no delimiters to strip and would take its body as text.
  if (isRawBlock(node)) throw templateErrorAt(node, 'a raw block is not supported')
  if (node.params.length !== 1) throw templateErrorAt(node, `{{#${name}}} takes one value`)
  if (node.hash?.pairs.length) throw templateErrorAt(node, 'named parameters are not supported')
  for (const param of node.params) checkExpression(param, depth + 1)
  checkProgram(node.program, depth + 1)
  if (node.inverse) checkProgram(node.inverse, depth + 1)
}

const isRawBlock = (node: AST.BlockStatement): boolean => node.openStrip?.open === undefined

function checkCall(node: AST.MustacheStatement | AST.SubExpression, depth = 0): void {
  if (node.hash?.pairs.length) throw templateErrorAt(node, 'named parameters are not supported')
  if (node.params.length === 0 && node.type === 'MustacheStatement') {
    checkExpression(node.path, depth)
    return
  }
  const name = (node.path as AST.PathExpression).original
  if (node.path.type !== 'PathExpression' || !HELPER_NAMES.has(name)) {
    throw templateErrorAt(node, `unknown helper ${String(name)}`)
  }
  for (const param of node.params) checkExpression(param, depth + 1)
}

function checkExpression(node: AST.Expression, depth: number): void {
  if (depth > TEMPLATE_LIMITS.depth_max) throw templateErrorAt(node, 'expressions are nested too deeply')
  switch (node.type) {
    case 'PathExpression':
      checkPath(node as AST.PathExpression)
      return
    case 'SubExpression':
      checkCall(node as AST.SubExpression, depth)
      return
    case 'StringLiteral':
    case 'NumberLiteral':
    case 'BooleanLiteral':
      return
    default:
      throw templateErrorAt(node, `${node.type} is not supported`)
  }
}

function checkPath(node: AST.PathExpression): void {
  for (const part of node.parts) {
    if (typeof part !== 'string') throw templateErrorAt(node, 'a computed path is not supported')
    if (FORBIDDEN_NAMES.has(part)) throw templateErrorAt(node, `${part} cannot be read`)
  }
  if (node.data && (node.parts.length !== 1 || !DATA_NAMES.has(String(node.parts[0])))) {
    throw templateErrorAt(node, `unknown data variable @${node.parts.join('.')}`)
  }
}
