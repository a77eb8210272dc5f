/** One page of a list: at most `limit` items after the first `offset`. */
export interface Slice {
  readonly limit: number
  readonly offset: number
}

/** How many there are in all: known without counting where a page is not full. */
export async function totalOf(
  { limit, offset }: Slice,
  on_page: number,
  count: () => Promise<number>,
): Promise<number> {
  const is_last = on_page < limit && (on_page > 0 || offset === 0)
  return is_last ? offset + on_page : await count()
}
