/** Where a path leads: what each method does there, and the values of the path's parameters. */
export interface Found<T> {
  readonly by_method: ReadonlyMap<string, T>
  readonly params: Readonly<Record<string, string>>
}

interface Place<T> {
  readonly fixed: Map<string, Place<T>>
  /** Where a segment of any value leads. */
  any: Place<T> | null
  /** Of the parameters on the way, in their order. */
  names: readonly string[]
  readonly by_method: Map<string, T>
}

const newPlace = <T>(): Place<T> => ({ fixed: new Map(), any: null, names: [], by_method: new Map() })

/** Finds routes by the segments of a path; a segment that is written out goes before a parameter. */
export class RouteTable<T> {
  readonly #root: Place<T> = newPlace()

  /** `path` with parameters in braces, as in the endpoint table: `/agents/{id}/tokens`. */
  add(method: string, path: string, value: T): void {
    const names: string[] = []
    let place = this.#root
    for (const segment of path.split('/')) {
      const name = /^\{(\w+)\}$/.exec(segment)?.[1]
      if (name !== undefined) names.push(name)
      place = name === undefined ? fixedPlace(place, segment) : anyPlace(place)
    }
    place.names = names
    place.by_method.set(method, value)
  }

  /** `path`: as sent, without query. Null where nothing is. */
  find(path: string): Found<T> | null {
    const values: string[] = []
    let place = this.#root
    for (const segment of path.split('/')) {
      const fixed = place.fixed.get(segment)
      const next = fixed ?? (segment === '' ? null : place.any)
      if (!next) return null
      if (!fixed) values.push(segment)
      place = next
    }
    if (place.by_method.size === 0) return null
    return { by_method: place.by_method, params: paramsOf(place.names, values) }
  }
}

function fixedPlace<T>(place: Place<T>, segment: string): Place<T> {
  const next = place.fixed.get(segment) ?? newPlace<T>()
  place.fixed.set(segment, next)
  return next
}

function anyPlace<T>(place: Place<T>): Place<T> {
  place.any ??= newPlace<T>()
  return place.any
}

function paramsOf(names: readonly string[], values: readonly string[]): Record<string, string> {
  const params: Record<string, string> = {}
  for (const [at, name] of names.entries()) params[name] = decoded(values[at] ?? '')
  return params
}

/** What is not an encoding stays as it is, for the schema to refuse. */
function decoded(segment: string): string {
  if (!segment.includes('%')) return segment
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}
