/**
 * Loads what makes certificates. Its library asks for the polyfill while it loads, and a bundler may put static imports in
 * another order, so the polyfill is waited for.
 */
export async function loadMaker(): Promise<typeof import('./make-certificate.ts')> {
  await import('reflect-metadata')
  return await import('./make-certificate.ts')
}
