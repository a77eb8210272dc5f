/**
 * The structural check: a rendered text has exactly the tree that harmless values of the same types give. Values decide
 * nothing but text inside arguments, so any other difference means that a value became configuration.
 */
import { type Directive, parseConfig } from '../parser.ts'

/** A rendered text whose structure its values have changed; it must not be used. */
export class TreeChangedError extends Error {
  override readonly name = 'TreeChangedError'
}

/** Directive names, nesting and argument counts, and nothing else, e.g. `server{listen/1;location/1{return/1;}}`. */
export function shapeOf(directives: readonly Directive[]): string {
  let shape = ''
  for (const { name, args, block } of directives) {
    shape += `${JSON.stringify(name)}/${args.length}`
    shape += block ? `{${shapeOf(block.directives)}}` : ';'
  }
  return shape
}

/**
 * @param text what was rendered
 * @param harmless_text what the same template gives for harmless values of the same types
 * @throws TreeChangedError when the directives, their nesting or their argument counts differ
 * @throws NginxSyntaxError when one of them is no configuration
 */
export function assertUnchangedTree(text: string, harmless_text: string): void {
  assertShape(text, shapeOf(parseConfig(harmless_text).directives))
}

/** As `assertUnchangedTree`, with the expected shape at hand. */
export function assertShape(text: string, shape: string): void {
  if (shapeOf(parseConfig(text).directives) !== shape) {
    throw new TreeChangedError('the values change the structure of the configuration')
  }
}
