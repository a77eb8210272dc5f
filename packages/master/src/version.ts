import manifest from '../package.json' with { type: 'json' }

/** The version of the product, which all packages share. */
export const VERSION: string = manifest.version
