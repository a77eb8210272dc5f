/** Renders a compiled template: walks its tree over plain data and gives text and values to the writer. */
import type { AST } from '@handlebars/parser'
import { TemplateError, ValueError } from '../errors.ts'
import { compileTemplate, TEMPLATE_LIMITS, templateErrorAt } from './compile.ts'
import { callHelper, isTruthy } from './helpers.ts'
import { literal, NginxValue, NginxWords, number } from './values.ts'
import { Writer } from './writer.ts'

/** What a template can see: plain objects, lists, text, numbers, booleans, and wrapped values. */
export type TemplateData =
  | string
  | number
  | boolean
  | null
  | undefined
  | NginxValue
  | NginxWords
  | readonly TemplateData[]
  | { readonly [name: string]: TemplateData }

export interface Template {
  /**
   * @throws TemplateError for a value that may not stand where the template puts it, for one that is missing, and beyond the limits
   */
  render(data: TemplateData): string
}

/**
 * Compiles a template of the Handlebars subset; the result can be rendered any number of times.
 * @throws TemplateError with the position of what is not part of the subset
 */
export function template(text: string): Template {
  const program = compileTemplate(text)
  return { render: data => new Renderer().render(program, data) }
}

interface Scope {
  readonly value: unknown
  readonly parent: Scope | null
  readonly data: Readonly<Record<string, unknown>>
}

class Renderer {
  private readonly writer = new Writer()
  private iterations = 0

  render(program: AST.Program, data: unknown): string {
    this.program(program, { value: data, parent: null, data: {} })
    return located(program, () => this.writer.finish())
  }

  private program(program: AST.Program, scope: Scope): void {
    for (const node of program.body) {
      if (node.type === 'ContentStatement') {
        located(node, () => this.writer.raw((node as AST.ContentStatement).value))
      } else if (node.type === 'MustacheStatement') {
        located(node, () => this.mustache(node as AST.MustacheStatement, scope))
      } else if (node.type === 'BlockStatement') this.block(node as AST.BlockStatement, scope)
    }
  }

  private mustache(node: AST.MustacheStatement, scope: Scope): void {
    const called = node.params.length > 0
    this.writer.value(toValue(called ? this.call(node, scope) : this.evaluate(node.path, scope), node))
  }

  private block(node: AST.BlockStatement, scope: Scope): void {
    const value = located(node, () => this.evaluate(node.params[0] as AST.Expression, scope))
    const name = node.path.original
    if (name === 'each') this.each(value, node, scope)
    else if (name === 'with')
      this.branch(isTruthy(value), node, scope, { value, parent: scope, data: scope.data })
    else this.branch(isTruthy(value) === (name === 'if'), node, scope)
  }

  private branch(taken: boolean, node: AST.BlockStatement, scope: Scope, inner = scope): void {
    if (taken) this.program(node.program, inner)
    else if (node.inverse) this.program(node.inverse, scope)
  }

  private each(list: unknown, node: AST.BlockStatement, scope: Scope): void {
    const entries = entriesOf(list)
    if (entries.length === 0) this.branch(false, node, scope)
    this.iterations += entries.length
    if (this.iterations > TEMPLATE_LIMITS.iterations_max)
      throw templateErrorAt(node, 'the template loops too often')
    entries.forEach(([key, value], index) => {
      const data = { key, index, first: index === 0, last: index === entries.length - 1 }
      this.program(node.program, { value, parent: scope, data })
    })
  }

  private call(node: AST.MustacheStatement | AST.SubExpression, scope: Scope): unknown {
    const args = node.params.map(param => this.evaluate(param, scope))
    return callHelper((node.path as AST.PathExpression).original, args)
  }

  private evaluate(node: AST.Expression, scope: Scope): unknown {
    if (node.type === 'PathExpression') return lookUp(node as AST.PathExpression, scope)
    if (node.type === 'SubExpression') return this.call(node as AST.SubExpression, scope)
    return (node as AST.StringLiteral).value
  }
}

function lookUp(path: AST.PathExpression, scope: Scope): unknown {
  let from: Scope | null = scope
  for (let i = 0; i < path.depth; i++) from = from?.parent ?? null
  if (!from) throw new ValueError(`${path.original} leads out of the data`)
  return path.parts.reduce<unknown>(property, path.data ? from.data : from.value)
}

/** Own properties of plain objects and lists, and nothing else. */
function property(holder: unknown, name: unknown): unknown {
  if (typeof holder !== 'object' || holder === null || typeof name !== 'string') return undefined
  if (holder instanceof NginxValue || holder instanceof NginxWords || !Object.hasOwn(holder, name))
    return undefined
  return (holder as Record<string, unknown>)[name]
}

function entriesOf(list: unknown): (readonly [string, unknown])[] {
  if (Array.isArray(list)) return list.map((value, index) => [String(index), value] as const)
  if (typeof list !== 'object' || list === null || list instanceof NginxValue || list instanceof NginxWords)
    return []
  return Object.entries(list)
}

function toValue(value: unknown, node: AST.MustacheStatement): NginxValue | NginxWords {
  if (value instanceof NginxValue || value instanceof NginxWords) return value
  if (typeof value === 'string') return literal(value)
  if (typeof value === 'number') return number(value)
  const name = (node.path as AST.PathExpression).original
  if (value === undefined || value === null) throw new ValueError(`${name} has no value`)
  throw new ValueError(`${name} is neither text nor a number`)
}

/** Gives an error of the writer the position in the template. */
function located<T>(node: AST.Node, run: () => T): T {
  try {
    return run()
  } catch (error) {
    if (error instanceof ValueError) throw templateErrorAt(node, error.message)
    throw error
  }
}

export { TemplateError }
