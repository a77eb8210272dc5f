/** What must be undone when something ends: last first, once. */
export class Endings {
  readonly #all: (() => unknown)[] = []
  #running: Promise<void> | null = null

  add(end: () => unknown): void {
    this.#all.push(end)
  }

  /** Runs them all, also after one that fails, so that no lock or database stays open; then throws the first failure. */
  run(): Promise<void> {
    this.#running ??= this.#runAll()
    return this.#running
  }

  async #runAll(): Promise<void> {
    const failures: unknown[] = []
    for (const end of this.#all.reverse()) {
      try {
        await end()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
  }
}
