import { ApiError } from '@nxmesh/contract'
import type { Connection } from './connection.ts'

/**
 * Requests that wait for something (`?wait=applied`): not cut by the idle timeout, and a bounded number of them at once. Each
 * holds a socket, memory and a place among those who are told of an end, for minutes.
 */
export class HeldRequests {
  readonly #max: number
  #count = 0

  constructor(max: number) {
    this.#max = max
  }

  /** Throws UNAVAILABLE, before anything is done, when too many wait. */
  async run<T>(connection: Connection, work: () => Promise<T>): Promise<T> {
    if (this.#count >= this.#max)
      throw new ApiError('UNAVAILABLE', `${this.#max} requests wait already; ask without wait=applied`)
    connection.hold()
    this.#count++
    try {
      return await work()
    } finally {
      this.#count--
    }
  }
}
