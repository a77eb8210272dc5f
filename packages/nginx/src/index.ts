/**
 * What we know about nginx: reading its configuration, rendering ours so that no value can become a directive,
 * judging both, and taking over what was there before. Pure: no I/O, no clock, runs in the browser too.
 */
export * from './adopt.ts'
export * from './carried.ts'
export * from './check/allowed.ts'
export * from './check/tree.ts'
export * from './directives/lint.ts'
export type { Context, ValueUnit } from './directives/row.ts'
export * from './directives/table.ts'
export * from './errors.ts'
export { LEXER_LIMITS, NginxSyntaxError, type Token, type TokenType, tokenize, wordValue } from './lexer.ts'
export type * from './objects.ts'
export * from './output.ts'
export * from './parser.ts'
export {
  createRenderCache,
  type RenderCache,
  renderBundle,
  renderObject,
  resourceOf,
} from './render/bundle.ts'
export { renderEntry, renderStatus, type StatusAddress, type StatusOptions } from './render/entry.ts'
export { type LocationModifier, splitLocationPath } from './render/fields.ts'
export { ENTRY_PATH, HTTP_PATH, STATUS_PATH, SUBFOLDERS } from './render/layout.ts'
export { provedTemplate } from './render/proved-template.ts'
export { versionAtLeast } from './render/version.ts'
export { type Template, type TemplateData, template } from './template/template.ts'
export * from './template/values.ts'
