/** A template whose every rendering is proved: its tree is the tree that harmless values of the same types give. */
import { assertShape, shapeOf } from '../check/tree.ts'
import { parseConfig } from '../parser.ts'
import { type Template, type TemplateData, template } from '../template/template.ts'
import { harmless, NginxValue, NginxWords, words } from '../template/values.ts'

const SHAPES_MAX = 500

/**
 * @returns a template that renders like `template(text)` and also throws TreeChangedError where a value
 *   changed the structure
 */
export function provedTemplate(text: string): Template {
  const compiled = template(text)
  const shapes = new Map<string, string>()
  return {
    render(data) {
      const rendered = compiled.render(data)
      const tame = harmlessData(data)
      const key = JSON.stringify(tame)
      let shape = shapes.get(key)
      if (shape === undefined) {
        shape = shapeOf(parseConfig(compiled.render(tame)).directives)
        if (shapes.size >= SHAPES_MAX) shapes.clear()
        shapes.set(key, shape)
      }
      assertShape(rendered, shape)
      return rendered
    },
  }
}

/** The same structure with every value made harmless. */
function harmlessData(data: TemplateData): TemplateData {
  if (data instanceof NginxValue) return harmless(data)
  if (data instanceof NginxWords) return words(data.values.map(harmless))
  if (typeof data === 'string') return data === '' ? '' : data.startsWith('/') ? '/nx' : 'nx'
  if (Array.isArray(data)) return data.map(harmlessData)
  if (typeof data !== 'object' || data === null) return data
  return Object.fromEntries(
    Object.entries(data).map(([name, value]) => [name, harmlessData(value as TemplateData)]),
  )
}
