import type { ResourceRef } from './objects.ts'

/** A template that cannot be used, or cannot be rendered with these values. Line and column count from 1, in the template's text. */
export class TemplateError extends Error {
  override readonly name = 'TemplateError'
  readonly line: number
  readonly column: number

  constructor(message: string, line: number, column: number) {
    super(message)
    this.line = line
    this.column = column
  }
}

/** A value that may not stand where it was put. The reason is fit for the person who entered it. */
export class ValueError extends Error {
  override readonly name = 'ValueError'
}

/** An object that cannot be rendered: which resource, which of its fields (`locations.0.path`), and why. */
export class RenderError extends Error {
  override readonly name = 'RenderError'
  readonly resource: ResourceRef
  readonly field: string | null

  constructor(resource: ResourceRef, field: string | null, message: string) {
    super(message)
    this.resource = resource
    this.field = field
  }
}
